"""How pods are shown: readiness, the word that says how they are, restarts.

Source: k8s.io/kubernetes (pkg/printers/internalversion/printers.go, printPod).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flowdeck.embedded.apiserver.builtin.printers.cells import (
    NONE,
    age_of,
    containers_and_images,
    labels_text,
    name_of,
    since,
)
from flowdeck.embedded.apiserver.builtin.printers.printer import AGE, NAME, Column, Printer, wide
from flowdeck.kube.objects import Tree

_NODE_LOST = "NodeLost"


def _pod_cells(pod: Tree, now: datetime) -> Sequence[Any]:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    word, restarts, last_restart, ready = _summary(pod, spec, status)
    total = len(spec.get("containers") or ()) + sum(1 for c in spec.get("initContainers") or () if _is_sidecar(c))
    shown = f"{restarts} ({since(last_restart, now)} ago)" if restarts and last_restart else str(restarts)
    ips = status.get("podIPs") or ()
    return (
        name_of(pod),
        f"{ready}/{total}",
        word,
        shown,
        age_of(pod, now),
        ips[0]["ip"] if ips else status.get("podIP") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _readiness_gates(spec, status),
    )


def _is_sidecar(container: Tree) -> bool:
    return container.get("restartPolicy") == "Always"


def _readiness_gates(spec: Tree, status: Tree) -> str:
    gates = spec.get("readinessGates")
    if not gates:
        return NONE
    conditions = {c.get("type"): c.get("status") for c in status.get("conditions") or ()}
    true = sum(conditions.get(gate.get("conditionType")) == "True" for gate in gates)
    return f"{true}/{len(gates)}"


def _summary(pod: Tree, spec: Tree, status: Tree) -> tuple[str, int, str, int]:
    """The status word, restarts, when the last one was, and how many containers are ready."""
    word = status.get("reason") or status.get("phase") or "Unknown"
    conditions = status.get("conditions") or ()
    if any(c.get("type") == "PodScheduled" and c.get("reason") == "SchedulingGated" for c in conditions):
        word = "SchedulingGated"
    init_word, restarts, last_restart, ready = _initializing(spec, status)
    if init_word is None or _is_initialized(conditions):
        word, restarts, last_restart, ready = _running(word, status, conditions, restarts, last_restart, ready)
    else:
        word = init_word
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == _NODE_LOST:
            word = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            word = "Terminating"
    return word, restarts, last_restart, ready


def _is_initialized(conditions: Sequence[Tree]) -> bool:
    return any(c.get("type") == "Initialized" and c.get("status") == "True" for c in conditions)


def _initializing(spec: Tree, status: Tree) -> tuple[str | None, int, str, int]:
    """The word while init containers are at work, else None; with the counts so far."""
    declared = {c.get("name"): c for c in spec.get("initContainers") or ()}
    restarts = sidecar_restarts = ready = 0
    last, last_sidecar = "", ""
    word: str | None = None
    for index, container in enumerate(status.get("initContainerStatuses") or ()):
        restarts += container.get("restartCount") or 0
        last = max(last, _finished_at(container))
        is_sidecar = _is_sidecar(declared.get(container.get("name"), {}))
        if is_sidecar:
            sidecar_restarts += container.get("restartCount") or 0
            last_sidecar = max(last_sidecar, _finished_at(container))
        state = container.get("state") or {}
        terminated = state.get("terminated")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if is_sidecar and container.get("started"):
            ready += bool(container.get("ready"))
            continue
        word = _init_word(state, index, len(declared))
        break
    if word is None:
        restarts, last = sidecar_restarts, last_sidecar
    return word, restarts, last, ready


def _init_word(state: Tree, index: int, total: int) -> str:
    if (terminated := state.get("terminated")) is not None:
        return "Init:" + _terminated_word(terminated)
    waiting = state.get("waiting") or {}
    if waiting.get("reason") and waiting["reason"] != "PodInitializing":
        return f"Init:{waiting['reason']}"
    return f"Init:{index}/{total}"


def _terminated_word(terminated: Tree) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _running(
    word: str, status: Tree, conditions: Sequence[Tree], restarts: int, last: str, ready: int
) -> tuple[str, int, str, int]:
    has_running = False
    for container in reversed(status.get("containerStatuses") or []):
        restarts += container.get("restartCount") or 0
        last = max(last, _finished_at(container))
        state = container.get("state") or {}
        if reason := (state.get("waiting") or {}).get("reason"):
            word = reason
        elif "terminated" in state:
            word = _terminated_word(state["terminated"])
        elif container.get("ready") and "running" in state:
            has_running = True
            ready += 1
    if word == "Completed" and has_running:
        is_ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
        word = "Running" if is_ready else "NotReady"
    return word, restarts, last, ready


def _finished_at(container: Tree) -> str:
    last = (container.get("lastState") or {}).get("terminated") or {}
    return str(last.get("finishedAt") or "")


_ENDED = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}


def _conditions(pod: Tree) -> Sequence[Tree]:
    phase = (pod.get("status") or {}).get("phase", "")
    if phase not in _ENDED:
        return ()
    return ({"type": "Completed", "status": "True", "reason": phase, "message": _ENDED[phase]},)


def _template_cells(template: Tree, now: datetime) -> Sequence[Any]:
    inner = template.get("template") or {}
    names, images = containers_and_images(inner)
    return name_of(template), names, images, labels_text((inner.get("metadata") or {}).get("labels"))


PRINTERS: dict[str, Printer] = {
    "pods": Printer(
        (
            NAME,
            Column("Ready"),
            Column("Status"),
            Column("Restarts"),
            AGE,
            wide("IP"),
            wide("Node"),
            wide("Nominated Node"),
            wide("Readiness Gates"),
        ),
        _pod_cells,
        _conditions,
    ),
    "podtemplates": Printer((NAME, Column("Containers"), Column("Images"), Column("Pod Labels")), _template_cells),
}
