"""What to do next for one pod. Pure: `(pod, seen, now) -> Step`.

    refused?                    nothing runs; the status says why
    deleted, gone, or ended?    stop the containers, sidecars last; then tear down; then let the object go
    not set up?                 set up volumes, network, sandbox
    ephemeral containers        whenever there are any, once
    init containers             in order, each once to success; sidecars stay
    main containers             all at once; again and again as restartPolicy says
Source: kubernetes/kubernetes (pkg/kubelet/kuberuntime/kuberuntime_manager.go computePodActions), KEP-753 (sidecars).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flowdeck.embedded.node.pods.seen import BackOff, Busy, ContainerSeen, PodSeen
from flowdeck.embedded.node.pods.spec import (
    all_containers,
    ephemeral_containers,
    grace_s,
    init_containers,
    is_sidecar,
    main_containers,
    restarts_after,
)
from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.times import parse_time

SHORTEST_GRACE_S = 2.0
"""What a sidecar gets to stop when the pod's time is used up."""

DEADLINE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
SETTLED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class SetUp:
    """Make volumes, network and sandbox."""


@dataclass(frozen=True)
class Start:
    """Start the next attempt of a container."""

    container: str
    attempt: int
    back_off_s: float


@dataclass(frozen=True)
class Stop:
    """Run the preStop hook, send SIGTERM, wait, send SIGKILL."""

    container: str
    grace_s: float
    message: str
    """Of the `Killing` event."""


@dataclass(frozen=True)
class TearDown:
    """Take network, sandbox and volumes away; logs stay."""


@dataclass(frozen=True)
class Forget:
    """Write the last status, delete the API object, remove everything of the pod."""


Action = SetUp | Start | Stop | TearDown | Forget


@dataclass(frozen=True)
class Step:
    """What to do now, and when to look again if nothing happens."""

    actions: Sequence[Action] = ()
    look_again_at: datetime | None = None
    ended: tuple[str, str] | None = None
    """The pod ends for this reason and message."""


NOTHING = Step()


def decide(pod: Tree, seen: PodSeen, now: datetime, back_off: BackOff) -> Step:
    """The first rung that holds, wins."""
    if seen.is_gone or get_in(pod, "metadata", "deletionTimestamp"):
        return _leave(pod, seen, now)
    if seen.refusal:
        return NOTHING
    if seen.ended or is_finished(pod, seen):
        return _end(pod, seen, now)
    if (deadline := _deadline(pod, seen)) and now >= deadline:
        return replace(_end(pod, seen, now), ended=DEADLINE)
    step = _set_up(seen, now) if not seen.is_set_up else _run(pod, seen, now, back_off)
    return replace(step, look_again_at=earliest(step.look_again_at, deadline))


def earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _deadline(pod: Tree, seen: PodSeen) -> datetime | None:
    limit = pod["spec"].get("activeDeadlineSeconds")
    return seen.started_at + timedelta(seconds=limit) if limit and seen.started_at else None


def is_finished(pod: Tree, seen: PodSeen) -> bool:
    """True once nothing will be started any more because of how the containers ended."""
    if get_in(pod, "status", "phase") in SETTLED:
        return True
    return init_has_failed(pod, seen) or main_is_over(pod, seen)


def init_has_failed(pod: Tree, seen: PodSeen) -> bool:
    for container in init_containers(pod):
        run = seen.of(container["name"]).run
        if run and run.has_failed and not restarts_after(pod, container, run.exit_code or 0, is_init=True):
            return True
    return False


def main_is_over(pod: Tree, seen: PodSeen) -> bool:
    for container in main_containers(pod):
        run = seen.of(container["name"]).run
        if run is None or run.exit_code is None or restarts_after(pod, container, run.exit_code, is_init=False):
            return False
    return True


# ---- the end -----------------------------------------------------------------------------------------------------


def _leave(pod: Tree, seen: PodSeen, now: datetime) -> Step:
    step = _end(pod, seen, now)
    if step.actions or step.look_again_at or _anything_runs(pod, seen) or not seen.is_torn_down:
        return step
    return Step([Forget()])


def _anything_runs(pod: Tree, seen: PodSeen) -> bool:
    return any(seen.of(c["name"]).is_running or seen.of(c["name"]).busy for c in all_containers(pod))


def _end(pod: Tree, seen: PodSeen, now: datetime) -> Step:
    """Stops what runs: main and init containers first, then sidecars, the last one first.

    As with a kubelet the grace begins when the node sees the deletion: after a time without a node, too, containers get
    their SIGTERM and the time to follow it. Sidecars get what is left of it.
    """
    sidecars = [c["name"] for c in init_containers(pod) if is_sidecar(c)]
    others = [c["name"] for c in all_containers(pod) if c["name"] not in sidecars]
    stops = _stops(others, seen, float(grace_s(pod)))
    if stops or any(_is_active(seen.of(name)) for name in others):
        return Step(stops)
    for name in reversed(sidecars):
        if _is_active(seen.of(name)):
            return Step(_stops([name], seen, max(_time_left(pod, now), SHORTEST_GRACE_S)))
    if seen.is_torn_down or seen.is_being_torn_down or seen.is_being_set_up:
        return NOTHING
    return Step([TearDown()])


def _is_active(container: ContainerSeen) -> bool:
    return container.is_running or container.busy is not None


def _stops(names: Sequence[str], seen: PodSeen, grace: float) -> list[Action]:
    return [Stop(name, grace, f"Stopping container {name}") for name in names if seen.of(name).is_running]


def _time_left(pod: Tree, now: datetime) -> float:
    """Seconds until SIGKILL: a delete request fixes the moment, otherwise the spec's time starts now."""
    allowed = float(grace_s(pod))
    deleted_at = get_in(pod, "metadata", "deletionTimestamp")
    if deleted_at is None:
        return allowed
    return min(allowed, max(0.0, (parse_time(deleted_at) - now).total_seconds() + 1.0)) if allowed else 0.0


# ---- the way up --------------------------------------------------------------------------------------------------


def _set_up(seen: PodSeen, now: datetime) -> Step:
    if seen.is_being_set_up:
        return NOTHING
    if seen.retry_set_up_at and now < seen.retry_set_up_at:
        return Step(look_again_at=seen.retry_set_up_at)
    return Step([SetUp()])


def _run(pod: Tree, seen: PodSeen, now: datetime, back_off: BackOff) -> Step:
    actions: list[Action] = []
    later: datetime | None = None
    main_has_begun = any(seen.of(c["name"]).run for c in main_containers(pod))
    for container in ephemeral_containers(pod):
        if seen.of(container["name"]).run is None:
            step = _keep(pod, container, seen.of(container["name"]), now, back_off, is_init=False)
            actions += step.actions
            later = earliest(later, step.look_again_at)
    for container in init_containers(pod):
        state = seen.of(container["name"])
        if main_has_begun and not is_sidecar(container):
            continue
        step = _keep(pod, container, state, now, back_off, is_init=True)
        actions += step.actions
        later = earliest(later, step.look_again_at)
        if not main_has_begun and not _lets_the_next_begin(container, state):
            return Step(actions, later)
    for container in main_containers(pod):
        step = _keep(pod, container, seen.of(container["name"]), now, back_off, is_init=False)
        actions += step.actions
        later = earliest(later, step.look_again_at)
    return Step(actions, later)


def _lets_the_next_begin(container: Tree, state: ContainerSeen) -> bool:
    if is_sidecar(container):
        return state.is_running and state.is_started
    return state.run is not None and state.run.exit_code == 0


def _keep(pod: Tree, container: Tree, state: ContainerSeen, now: datetime, back_off: BackOff, *, is_init: bool) -> Step:
    """Keeps one container running, or lets it rest once it ran as often as it should."""
    name = container["name"]
    if state.busy is Busy.STARTING or (state.busy is Busy.STOPPING and state.is_running):
        return NOTHING
    if state.is_running:
        return Step([Stop(name, _probe_grace_s(pod, container), state.unhealthy)]) if state.unhealthy else NOTHING
    if state.waiting and state.waiting.until and now < state.waiting.until:
        return Step(look_again_at=state.waiting.until)
    run = state.run
    if run is None:
        return Step([Start(name, 0, 0.0)])
    if not restarts_after(pod, container, run.exit_code or 0, is_init=is_init):
        return NOTHING
    pause = back_off.before(run)
    ended = run.ended_at or now
    again = ended + timedelta(seconds=pause)
    if pause and ended <= now < again:  # before it ended: the wall clock was set back, nobody waits for that
        return Step(look_again_at=again)
    return Step([Start(name, run.attempt + 1, pause)])


def _probe_grace_s(pod: Tree, container: Tree) -> float:
    for probe in ("livenessProbe", "startupProbe"):
        wanted = get_in(container, probe, "terminationGracePeriodSeconds")
        if wanted is not None:
            return float(wanted)
    return float(grace_s(pod))
