"""The pod's status as a kubelet writes it. Pure: `(pod, seen, now) -> status`.

Source: kubernetes/kubernetes (pkg/kubelet/kubelet_pods.go getPhase, convertToAPIContainerStatuses;
pkg/kubelet/status/generate.go).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from flowdeck.embedded.node.pods.decide import init_has_failed, main_is_over
from flowdeck.embedded.node.pods.seen import CRASH_LOOP, BackOff, ContainerSeen, PodSeen, Run
from flowdeck.embedded.node.pods.spec import (
    ephemeral_containers,
    init_containers,
    is_sidecar,
    main_containers,
    qos_class,
    restarts_after,
)
from flowdeck.kube.objects import Tree, copy_of, get_in
from flowdeck.kube.times import format_time

SCHEME = "flowdeck"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OURS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled", "DisruptionTarget")


def status_of(pod: Tree, seen: PodSeen, now: datetime, back_off: BackOff) -> Tree:
    """The whole status, conditions of others kept; conditions that stay keep their transition times."""
    phase = phase_of(pod, seen)
    status: Tree = {
        "phase": phase,
        "conditions": _conditions(pod, seen, phase, now),
        "hostIP": seen.host_ip,
        "hostIPs": [{"ip": seen.host_ip}],
        "qosClass": get_in(pod, "status", "qosClass") or qos_class(pod),
    }
    if generation := get_in(pod, "metadata", "generation"):
        status["observedGeneration"] = generation
    if seen.ip:
        status |= {"podIP": seen.ip, "podIPs": [{"ip": seen.ip}]}
    if seen.started_at:
        status["startTime"] = format_time(seen.started_at)
    if why := seen.refusal or seen.ended:
        status |= {"reason": why[0], "message": why[1]}
    if seen.refusal:
        return status
    if init := init_containers(pod):
        status["initContainerStatuses"] = [
            _container_status(pod, container, seen, now, back_off, is_init=True) for container in init
        ]
    status["containerStatuses"] = [
        _container_status(pod, container, seen, now, back_off, is_init=False) for container in main_containers(pod)
    ]
    if ephemeral := ephemeral_containers(pod):
        status["ephemeralContainerStatuses"] = [
            _ephemeral_status(pod, container, seen, now, back_off) for container in ephemeral
        ]
    return status


# ---- phase -------------------------------------------------------------------------------------------------------


def phase_of(pod: Tree, seen: PodSeen) -> str:
    """Pending, Running, Succeeded or Failed; a finished pod stays what it is."""
    reported = get_in(pod, "status", "phase", default="Pending")
    if reported in ("Succeeded", "Failed"):
        return str(reported)
    if seen.refusal:
        return "Failed"
    if _anything_runs(pod, seen):
        return "Running" if _is_initialized(pod, seen) else "Pending"
    if seen.ended or init_has_failed(pod, seen):
        return "Failed"
    if _is_leaving(pod, seen):
        return _phase_of_the_stopped(pod, seen, str(reported))
    if main_is_over(pod, seen):
        return "Failed" if _any_main_failed(pod, seen) else "Succeeded"
    return "Running" if _is_initialized(pod, seen) and _any_main_began(pod, seen) else "Pending"


def _is_leaving(pod: Tree, seen: PodSeen) -> bool:
    return bool(seen.is_gone or get_in(pod, "metadata", "deletionTimestamp"))


def _phase_of_the_stopped(pod: Tree, seen: PodSeen, reported: str) -> str:
    """A deleted pod whose containers are all stopped is finished, whatever its restart policy."""
    runs = [seen.of(container["name"]).run for container in main_containers(pod)]
    if any(run is None for run in runs):
        return "Failed" if seen.is_torn_down else reported
    return "Failed" if _any_main_failed(pod, seen) else "Succeeded"


def _anything_runs(pod: Tree, seen: PodSeen) -> bool:
    return any(seen.of(c["name"]).is_running for c in (*init_containers(pod), *main_containers(pod)))


def _any_main_failed(pod: Tree, seen: PodSeen) -> bool:
    runs = (seen.of(container["name"]).run for container in main_containers(pod))
    return any(run is None or run.has_failed for run in runs)


def _any_main_began(pod: Tree, seen: PodSeen) -> bool:
    return any(seen.of(container["name"]).run for container in main_containers(pod))


def _is_initialized(pod: Tree, seen: PodSeen) -> bool:
    if _any_main_began(pod, seen):
        return True
    return all(_has_done_its_part(container, seen.of(container["name"])) for container in init_containers(pod))


def _has_done_its_part(container: Tree, state: ContainerSeen) -> bool:
    if is_sidecar(container):
        return state.is_started
    return state.run is not None and state.run.exit_code == 0


# ---- conditions --------------------------------------------------------------------------------------------------


def _conditions(pod: Tree, seen: PodSeen, phase: str, now: datetime) -> list[Tree]:
    is_over = phase in ("Succeeded", "Failed")
    wanted = [
        _condition("PodReadyToStartContainers", seen.is_set_up and not seen.is_torn_down),
        _initialized(pod, seen, phase),
        *_readiness(pod, seen, phase, is_over),
        _condition("PodScheduled", True),
    ]
    if seen.refusal:
        wanted = [_condition("PodScheduled", True)]
    if _was_lost_by_reboot(pod, seen) and phase == "Failed":
        wanted.append(
            {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
             "message": "The machine restarted while the pod ran"}
        )  # fmt: skip
    elif seen.ended and seen.ended[0] == "Evicted":
        wanted.append(
            {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": seen.ended[1]}
        )
    old = {condition["type"]: condition for condition in get_in(pod, "status", "conditions", default=[])}
    merged = [_with_times(condition, old.get(condition["type"]), pod, now) for condition in wanted]
    written = {condition["type"] for condition in wanted}
    return merged + [
        copy_of(condition)
        for name, condition in old.items()
        if name not in written and (name not in _OURS or name == "DisruptionTarget")
    ]


def _was_lost_by_reboot(pod: Tree, seen: PodSeen) -> bool:
    runs = (seen.of(c["name"]).run for c in (*init_containers(pod), *main_containers(pod)))
    return any(run is not None and run.is_lost_by_reboot for run in runs)


def _condition(name: str, holds: bool, reason: str = "", message: str = "") -> Tree:
    condition: Tree = {"type": name, "status": "True" if holds else "False"}
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def _with_times(condition: Tree, old: Tree | None, pod: Tree, now: datetime) -> Tree:
    moment = format_time(now)
    if old and old.get("status") == condition["status"] and old.get("lastTransitionTime"):
        moment = old["lastTransitionTime"]
    generation = get_in(pod, "metadata", "generation")
    observed = {"observedGeneration": generation} if generation else {}
    return {**condition, "lastProbeTime": None, "lastTransitionTime": moment, **observed}


def _initialized(pod: Tree, seen: PodSeen, phase: str) -> Tree:
    if phase == "Succeeded":
        return _condition("Initialized", True, "PodCompleted")
    if _is_initialized(pod, seen):
        return _condition("Initialized", True)
    names = [c["name"] for c in init_containers(pod) if not _has_done_its_part(c, seen.of(c["name"]))]
    return _condition(
        "Initialized", False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(names)}]"
    )


def _readiness(pod: Tree, seen: PodSeen, phase: str, is_over: bool) -> list[Tree]:
    if is_over:
        reason = "PodCompleted" if phase == "Succeeded" else "PodFailed"
        return [_condition("Ready", False, reason), _condition("ContainersReady", False, reason)]
    counted = [*(c for c in init_containers(pod) if is_sidecar(c)), *main_containers(pod)]
    unready = [c["name"] for c in counted if not seen.of(c["name"]).is_ready]
    if unready:
        text = f"containers with unready status: [{' '.join(unready)}]"
        return [
            _condition("Ready", False, "ContainersNotReady", text),
            _condition("ContainersReady", False, "ContainersNotReady", text),
        ]
    return [_ready(pod), _condition("ContainersReady", True)]


def _ready(pod: Tree) -> Tree:
    """All containers are ready; what others must say too (`readinessGates`) is missing or not."""
    told = {c["type"]: c["status"] for c in get_in(pod, "status", "conditions", default=[])}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]
    messages = []
    for gate in gates:
        if gate not in told:
            messages.append(f'corresponding condition of pod readiness gate "{gate}" does not exist.')
        elif told[gate] != "True":
            messages.append(f'the status of pod readiness gate "{gate}" is not "True", but {told[gate]}')
    if messages:
        return _condition("Ready", False, "ReadinessGatesNotReady", ", ".join(messages))
    return _condition("Ready", True)


# ---- containers --------------------------------------------------------------------------------------------------


def _container_status(
    pod: Tree, container: Tree, seen: PodSeen, now: datetime, back_off: BackOff, *, is_init: bool
) -> Tree:
    name = container["name"]
    state = seen.of(name)
    run = state.run
    current, last = _states(pod, container, seen, now, back_off, is_init=is_init)
    is_done_init = is_init and not is_sidecar(container) and run is not None and run.exit_code == 0
    status: Tree = {
        "name": name,
        "state": current,
        "lastState": {"terminated": _terminated(last)} if last else {},
        "ready": is_done_init or (state.is_running and state.is_ready),
        "restartCount": run.attempt if run else 0,
        "image": container.get("image", ""),
        "imageID": run.image_id if run else "",
        "started": state.is_running and state.is_started,
    }
    if run and run.id:
        status["containerID"] = f"{SCHEME}://{run.id}"
    if resources := container.get("resources"):
        status["resources"] = copy_of(resources)
        if requests := resources.get("requests"):
            status["allocatedResources"] = copy_of(requests)
    if mounts := _mounts(container):
        status["volumeMounts"] = mounts
    return status


def _ephemeral_status(pod: Tree, container: Tree, seen: PodSeen, now: datetime, back_off: BackOff) -> Tree:
    """Never ready, never restarted."""
    status = _container_status(pod, container, seen, now, back_off, is_init=False) | {"ready": False}
    del status["started"]
    run = seen.of(container["name"]).run
    return status if run is None or run.is_running else status | {"state": {"terminated": _terminated(run)}}


def _mounts(container: Tree) -> Sequence[Tree]:
    found = []
    for mount in container.get("volumeMounts") or ():
        entry = {"name": mount["name"], "mountPath": mount["mountPath"]}
        if mount.get("readOnly"):
            entry |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
        found.append(entry)
    return found


def _states(
    pod: Tree, container: Tree, seen: PodSeen, now: datetime, back_off: BackOff, *, is_init: bool
) -> tuple[Tree, Run | None]:
    """The current state, and the run that `lastState` tells of."""
    state = seen.of(container["name"])
    run = state.run
    if run is None:
        return {"waiting": _waiting(pod, state, is_init)}, None
    if run.is_running:
        started = format_time(run.started_at or now)
        return {"running": {"startedAt": started}}, state.previous
    is_over = phase_of(pod, seen) in ("Succeeded", "Failed") or _is_leaving(pod, seen)
    again = restarts_after(pod, container, run.exit_code or 0, is_init=is_init)
    if is_over or not again:
        return {"terminated": _terminated(run)}, state.previous
    pause = back_off.before(run)
    if state.waiting:
        return {"waiting": _waiting_tree(state.waiting.reason, state.waiting.message)}, run
    if pause and now < (run.ended_at or now) + timedelta(seconds=pause):
        meta = pod["metadata"]
        text = (
            f"back-off {_duration(pause)} restarting failed container={container['name']} "
            f"pod={meta['name']}_{meta['namespace']}({meta['uid']})"
        )
        return {"waiting": _waiting_tree(CRASH_LOOP, text)}, run
    return {"terminated": _terminated(run)}, state.previous


def _waiting(pod: Tree, state: ContainerSeen, is_init: bool) -> Tree:
    if state.waiting:
        return _waiting_tree(state.waiting.reason, state.waiting.message)
    return _waiting_tree("PodInitializing" if init_containers(pod) else "ContainerCreating", state.progress)


def _waiting_tree(reason: str, message: str) -> Tree:
    return {"reason": reason, "message": message} if message else {"reason": reason}


def _terminated(run: Run) -> Tree:
    tree: Tree = {
        "exitCode": run.exit_code,
        "reason": run.reason,
        "startedAt": format_time(run.started_at or _EPOCH),
        "finishedAt": format_time(run.ended_at or _EPOCH),
        "containerID": f"{SCHEME}://{run.id}",
    }
    if run.message:
        tree["message"] = run.message
    return tree


def _duration(seconds: float) -> str:
    """`10s`, `1m20s`, as Go prints it."""
    minutes, rest = divmod(round(seconds), 60)
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
