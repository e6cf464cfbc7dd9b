"""Defaults of HorizontalPodAutoscalers (both versions).

Source: k8s.io/kubernetes (pkg/apis/autoscaling/v1/defaults.go, pkg/apis/autoscaling/v2/defaults.go).
"""

from flowdeck.kube.objects import Tree

_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def default_autoscaler(autoscaler: Tree) -> None:
    """autoscaling/v2: without metrics, CPU at 80 %; a behaviour is completed only when it is given."""
    spec = autoscaler.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if status := autoscaler.get("status"):
        status.setdefault("currentMetrics", None)
    if behavior:
        _complete(behavior, "scaleUp", _UP)
        _complete(behavior, "scaleDown", _DOWN)


def _complete(behavior: Tree, direction: str, defaults: Tree) -> None:
    rules = behavior.setdefault(direction, {})
    for name, value in defaults.items():
        if rules.get(name) in (None, []):
            rules[name] = [dict(policy) for policy in value] if isinstance(value, list) else value


def default_autoscaler_v1(autoscaler: Tree) -> None:
    autoscaler.setdefault("spec", {}).setdefault("minReplicas", 1)
