"""How Deployments, Jobs and their kin are shown.

Source: k8s.io/kubernetes (pkg/printers/internalversion/printers.go).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flowdeck.embedded.apiserver.builtin.printers.cells import (
    NONE,
    UNKNOWN,
    UNSET,
    age_of,
    containers_and_images,
    human_duration,
    labels_text,
    name_of,
    selector_text,
    since,
)
from flowdeck.embedded.apiserver.builtin.printers.printer import AGE, NAME, Column, Printer, wide
from flowdeck.kube.conditions import is_true
from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.times import parse_time

_CONTAINERS = (wide("Containers"), wide("Images"))
_WIDE = (*_CONTAINERS, wide("Selector"))


def _count(name: str) -> Column:
    return Column(name, "integer")


def _number(obj: Tree, *path: str) -> int:
    return int(get_in(obj, *path, default=0))


def _template(obj: Tree) -> Tree:
    found: Tree = get_in(obj, "spec", "template", default={})
    return found


def _deployment(obj: Tree, now: datetime) -> Sequence[Any]:
    wanted = _number(obj, "spec", "replicas")
    return (
        name_of(obj),
        f"{_number(obj, 'status', 'readyReplicas')}/{wanted}",
        _number(obj, "status", "updatedReplicas"),
        _number(obj, "status", "availableReplicas"),
        age_of(obj, now),
        *containers_and_images(_template(obj)),
        selector_text(get_in(obj, "spec", "selector")),
    )


def _replica_set(obj: Tree, now: datetime) -> Sequence[Any]:
    return (
        name_of(obj),
        _number(obj, "spec", "replicas"),
        _number(obj, "status", "replicas"),
        _number(obj, "status", "readyReplicas"),
        age_of(obj, now),
        *containers_and_images(_template(obj)),
        selector_text(get_in(obj, "spec", "selector")),
    )


def _replication_controller(obj: Tree, now: datetime) -> Sequence[Any]:
    spec = obj.get("spec") or {}
    without = {**obj, "spec": {**spec, "selector": None}}
    return *_replica_set(without, now)[:-1], labels_text(spec.get("selector"))


def _stateful_set(obj: Tree, now: datetime) -> Sequence[Any]:
    ready = f"{_number(obj, 'status', 'readyReplicas')}/{_number(obj, 'spec', 'replicas')}"
    return name_of(obj), ready, age_of(obj, now), *containers_and_images(_template(obj))


def _daemon_set(obj: Tree, now: datetime) -> Sequence[Any]:
    return (
        name_of(obj),
        _number(obj, "status", "desiredNumberScheduled"),
        _number(obj, "status", "currentNumberScheduled"),
        _number(obj, "status", "numberReady"),
        _number(obj, "status", "updatedNumberScheduled"),
        _number(obj, "status", "numberAvailable"),
        labels_text(get_in(obj, "spec", "template", "spec", "nodeSelector")),
        age_of(obj, now),
        *containers_and_images(_template(obj)),
        selector_text(get_in(obj, "spec", "selector")),
    )


def _job(obj: Tree, now: datetime) -> Sequence[Any]:
    return (
        name_of(obj),
        _job_word(obj),
        _job_completions(obj),
        _job_duration(obj, now),
        age_of(obj, now),
        *containers_and_images(_template(obj)),
        selector_text(get_in(obj, "spec", "selector")),
    )


def _job_word(job: Tree) -> str:
    if is_true(job, "Complete"):
        return "Complete"
    if is_true(job, "Failed"):
        return "Failed"
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for condition in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if is_true(job, condition):
            return condition
    return "Running"


def _job_completions(job: Tree) -> str:
    succeeded = _number(job, "status", "succeeded")
    completions = get_in(job, "spec", "completions")
    if completions is not None:
        return f"{succeeded}/{completions}"
    parallelism = _number(job, "spec", "parallelism")
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _job_duration(job: Tree, now: datetime) -> str:
    status = job.get("status") or {}
    started, ended = status.get("startTime"), status.get("completionTime")
    if not started:
        return ""
    if not ended:
        failed = next((c for c in status.get("conditions") or () if c.get("type") == "Failed"), None)
        ended = failed and failed.get("status") == "True" and failed.get("lastTransitionTime")
    end = parse_time(ended) if ended else now
    return human_duration((end - parse_time(started)).total_seconds())


def _cron_job(obj: Tree, now: datetime) -> Sequence[Any]:
    spec = obj.get("spec") or {}
    last = get_in(obj, "status", "lastScheduleTime")
    return (
        name_of(obj),
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        "True" if spec.get("suspend") else "False",
        len(get_in(obj, "status", "active", default=())),
        since(last, now) if last else NONE,
        age_of(obj, now),
        *containers_and_images(get_in(obj, "spec", "jobTemplate", "spec", "template", default={})),
        selector_text(get_in(obj, "spec", "jobTemplate", "spec", "selector")),
    )


def _controller_revision(obj: Tree, now: datetime) -> Sequence[Any]:
    owner = next((r for r in obj["metadata"].get("ownerReferences") or () if r.get("controller")), None)
    shown = NONE
    if owner:
        group, slash, _ = owner.get("apiVersion", "").partition("/")
        kind, name = owner.get("kind", "").lower(), owner.get("name", "")
        shown = f"{kind}.{group}/{name}" if slash else f"{kind}/{name}"
    return name_of(obj), shown, obj.get("revision", 0), age_of(obj, now)


def _disruption_budget(obj: Tree, now: datetime) -> Sequence[Any]:
    spec = obj.get("spec") or {}
    return (
        name_of(obj),
        str(spec["minAvailable"]) if "minAvailable" in spec else "N/A",
        str(spec["maxUnavailable"]) if "maxUnavailable" in spec else "N/A",
        _number(obj, "status", "disruptionsAllowed"),
        age_of(obj, now),
    )


def _autoscaler(obj: Tree, now: datetime) -> Sequence[Any]:
    spec = obj.get("spec") or {}
    target = spec.get("scaleTargetRef") or {}
    return (
        name_of(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        _targets(spec.get("metrics") or [], get_in(obj, "status", "currentMetrics") or []),
        str(spec["minReplicas"]) if spec.get("minReplicas") is not None else UNSET,
        spec.get("maxReplicas", 0),
        _number(obj, "status", "currentReplicas"),
        age_of(obj, now),
    )


def _targets(wanted: list[Tree], current: list[Tree]) -> str:
    """`cpu: 12%/80%, memory: <unknown>/1Gi + 1 more...`."""
    if not wanted:
        return NONE
    shown = [_target(metric, current[i] if i < len(current) else {}) for i, metric in enumerate(wanted)]
    text = ", ".join(shown[:2])
    return f"{text} + {len(shown) - 2} more..." if len(shown) > 2 else text


_METRIC_FIELDS = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}


def _target(metric: Tree, current: Tree) -> str:
    field = _METRIC_FIELDS.get(metric.get("type", ""), "")
    source = metric.get(field) or {}
    target, now = source.get("target") or {}, (current.get(field) or {}).get("current") or {}
    if target.get("averageUtilization") is not None:
        seen = now.get("averageUtilization")
        shown = f"{UNKNOWN if seen is None else f'{seen}%'}/{target['averageUtilization']}%"
    elif target.get("averageValue") is not None:
        suffix = " (avg)" if field in ("object", "external") else ""
        shown = f"{now.get('averageValue') or UNKNOWN}/{target['averageValue']}{suffix}"
    else:
        shown = f"{now.get('value') or UNKNOWN}/{target.get('value', '')}"
    return f"{source['name']}: {shown}" if field in ("resource", "containerResource") else shown


def _autoscaler_v1(obj: Tree, now: datetime) -> Sequence[Any]:
    cells = list(_autoscaler(obj, now))
    wanted = get_in(obj, "spec", "targetCPUUtilizationPercentage")
    seen = get_in(obj, "status", "currentCPUUtilizationPercentage")
    if wanted is not None:
        cells[2] = f"cpu: {UNKNOWN if seen is None else f'{seen}%'}/{wanted}%"
    return cells


_REPLICAS = (NAME, _count("Desired"), _count("Current"), _count("Ready"), AGE, *_WIDE)
_AUTOSCALER = (
    NAME,
    Column("Reference"),
    Column("Targets"),
    Column("MinPods"),
    Column("MaxPods"),
    Column("Replicas"),
    AGE,
)

PRINTERS: dict[str, Printer] = {
    "deployments.apps": Printer(
        (NAME, Column("Ready"), Column("Up-to-date"), Column("Available"), AGE, *_WIDE), _deployment
    ),
    "replicasets.apps": Printer(_REPLICAS, _replica_set),
    "replicationcontrollers": Printer(_REPLICAS, _replication_controller),
    "statefulsets.apps": Printer((NAME, Column("Ready"), AGE, *_CONTAINERS), _stateful_set),
    "daemonsets.apps": Printer(
        (
            NAME,
            _count("Desired"),
            _count("Current"),
            _count("Ready"),
            _count("Up-to-date"),
            _count("Available"),
            Column("Node Selector"),
            AGE,
            *_WIDE,
        ),
        _daemon_set,
    ),
    "jobs.batch": Printer((NAME, Column("Status"), Column("Completions"), Column("Duration"), AGE, *_WIDE), _job),
    "cronjobs.batch": Printer(
        (
            NAME,
            Column("Schedule"),
            Column("Timezone"),
            Column("Suspend", "boolean"),
            _count("Active"),
            Column("Last Schedule"),
            AGE,
            *_WIDE,
        ),
        _cron_job,
    ),
    "controllerrevisions.apps": Printer((NAME, Column("Controller"), Column("Revision"), AGE), _controller_revision),
    "poddisruptionbudgets.policy": Printer(
        (NAME, Column("Min Available"), Column("Max Unavailable"), _count("Allowed Disruptions"), AGE),
        _disruption_budget,
    ),
    "horizontalpodautoscalers.autoscaling": Printer(_AUTOSCALER, _autoscaler),
    "horizontalpodautoscalers.autoscaling/v1": Printer(_AUTOSCALER, _autoscaler_v1),
}
