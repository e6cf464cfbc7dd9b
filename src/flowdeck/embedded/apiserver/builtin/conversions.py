"""Built-in kinds whose versions differ in more than their name: `autoscaling/v1` beside `autoscaling/v2`. Pure.

What v1 has no field for is carried in annotations, so what is read and written back as v1 loses nothing.
Source: kubernetes (pkg/apis/autoscaling/v1/conversion.go); the annotations hold v2's JSON, upstream's an older form.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from flowdeck.embedded.apiserver.contract import Conversion
from flowdeck.kube.objects import Tree, get_in

_PREFIX = "autoscaling.alpha.kubernetes.io/"
_METRICS = f"{_PREFIX}metrics"
_BEHAVIOR = f"{_PREFIX}behavior"
_CURRENT = f"{_PREFIX}current-metrics"
_CONDITIONS = f"{_PREFIX}conditions"


def autoscaler_from_v1(obj: Tree) -> Tree:
    """The `autoscaling/v2` form of a v1 autoscaler."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    annotations = dict(obj["metadata"].get("annotations") or {})
    target, metrics = spec.pop("targetCPUUtilizationPercentage", None), _loaded(annotations, _METRICS) or []
    if target is not None:
        metrics = [_cpu(target={"type": "Utilization", "averageUtilization": target}), *metrics]
    if metrics:
        spec["metrics"] = metrics
    if behavior := _loaded(annotations, _BEHAVIOR):
        spec["behavior"] = behavior
    status.pop("currentCPUUtilizationPercentage", None)
    for name, annotation in (("currentMetrics", _CURRENT), ("conditions", _CONDITIONS)):
        if value := _loaded(annotations, annotation):
            status[name] = value
    return _with(obj, "autoscaling/v2", spec, status, annotations)


def autoscaler_to_v1(obj: Tree) -> Tree:
    """The v1 form of a stored autoscaler."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    annotations = dict(obj["metadata"].get("annotations") or {})
    metrics = list(spec.pop("metrics", None) or ())
    cpu = next((metric for metric in metrics if _cpu_utilization(metric, "target") is not None), None)
    if cpu is not None:
        spec["targetCPUUtilizationPercentage"] = _cpu_utilization(cpu, "target")
        metrics.remove(cpu)
    current = list(status.pop("currentMetrics", None) or ())
    used = next((value for metric in current if (value := _cpu_utilization(metric, "current")) is not None), None)
    if used is not None:
        status["currentCPUUtilizationPercentage"] = used
    status.setdefault("currentReplicas", 0)
    carried = {
        _METRICS: metrics,
        _BEHAVIOR: spec.pop("behavior", None),
        _CURRENT: current,
        _CONDITIONS: status.pop("conditions", None),
    }
    annotations |= {name: orjson.dumps(value).decode() for name, value in carried.items() if value}
    return _with(obj, "autoscaling/v1", spec, status, annotations)


def _cpu(**target: Any) -> Tree:
    return {"type": "Resource", "resource": {"name": "cpu", **target}}


def _cpu_utilization(metric: Mapping[str, Any], side: str) -> int | None:
    if metric.get("type") != "Resource" or get_in(metric, "resource", "name") != "cpu":
        return None
    value: int | None = get_in(metric, "resource", side, "averageUtilization")
    return value


def _loaded(annotations: dict[str, str], name: str) -> Any:
    """Takes a value out of its annotation; one that is no JSON was not written by us and counts for nothing."""
    try:
        return orjson.loads(annotations.pop(name, "null"))
    except orjson.JSONDecodeError:
        return None


def _with(obj: Tree, api_version: str, spec: Tree, status: Tree, annotations: dict[str, str]) -> Tree:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    converted = {**obj, "apiVersion": api_version, "metadata": metadata, "spec": spec}
    return converted | ({"status": status} if "status" in obj else {})


CONVERSIONS = {"horizontalpodautoscalers.autoscaling/v1": Conversion(autoscaler_from_v1, autoscaler_to_v1)}
"""By resource and version."""
