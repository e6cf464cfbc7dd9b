"""Rules for access (RBAC), autoscalers, disruption budgets, webhooks and admission policies.

Source: k8s.io/kubernetes (pkg/apis/{rbac,autoscaling,policy,admissionregistration}/validation).
"""

from flowdeck.embedded.apiserver.builtin.validation.single_values import (
    Errors,
    count_or_percent,
    immutable,
    label_selector,
    one_of,
)
from flowdeck.kube.errors import invalid, not_supported, required
from flowdeck.kube.names import dns_subdomain, path_segment
from flowdeck.kube.objects import Tree

_RBAC = "rbac.authorization.k8s.io"


# -- roles


def validate_role(role: Tree) -> Errors:
    return _rules(role, is_namespaced=True)


def validate_cluster_role(role: Tree) -> Errors:
    errors = _rules(role, is_namespaced=False)
    aggregation = role.get("aggregationRule")
    if aggregation is not None:
        selectors = aggregation.get("clusterRoleSelectors") or []
        if not selectors:
            text = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            errors.append(required("aggregationRule.clusterRoleSelectors", text))
        for index, selector in enumerate(selectors):
            errors += label_selector(selector, f"aggregationRule.clusterRoleSelectors[{index}]")
    return errors


def _rules(role: Tree, *, is_namespaced: bool) -> Errors:
    errors: Errors = []
    for index, rule in enumerate(role.get("rules") or ()):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            errors.append(required(f"{path}.verbs", "verbs must contain at least one value"))
        urls = rule.get("nonResourceURLs")
        if urls:
            if is_namespaced:
                text = "namespaced rules cannot apply to non-resource URLs"
                errors.append(invalid(f"{path}.nonResourceURLs", urls, text))
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                text = "rules cannot apply to both regular resources and non-resource URLs"
                errors.append(invalid(f"{path}.nonResourceURLs", urls, text))
            continue
        if not rule.get("apiGroups"):
            errors.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            errors.append(required(f"{path}.resources", "resource rules must supply at least one resource"))
    return errors


def validate_role_binding(binding: Tree) -> Errors:
    return _binding(binding, ("Role", "ClusterRole"))


def validate_cluster_role_binding(binding: Tree) -> Errors:
    return _binding(binding, ("ClusterRole",))


def _binding(binding: Tree, kinds: tuple[str, ...]) -> Errors:
    role = binding.get("roleRef") or {}
    errors: Errors = []
    if role.get("apiGroup") != _RBAC:
        errors.append(not_supported("roleRef.apiGroup", role.get("apiGroup", ""), (_RBAC,)))
    if role.get("kind") not in kinds:
        errors.append(not_supported("roleRef.kind", role.get("kind", ""), kinds))
    if not role.get("name"):
        errors.append(required("roleRef.name"))
    else:
        errors += [invalid("roleRef.name", role["name"], text) for text in path_segment(role["name"])]
    for index, subject in enumerate(binding.get("subjects") or ()):
        errors += _subject(subject, f"subjects[{index}]", is_namespaced="Role" in kinds)
    return errors


def _subject(subject: Tree, path: str, *, is_namespaced: bool) -> Errors:
    errors: Errors = [] if subject.get("name") else [required(f"{path}.name")]
    kind, group = subject.get("kind") or "", subject.get("apiGroup") or ""
    match kind:
        case "ServiceAccount":
            if subject.get("name"):
                errors += [invalid(f"{path}.name", subject["name"], text) for text in dns_subdomain(subject["name"])]
            if group:
                errors.append(not_supported(f"{path}.apiGroup", group, ("",)))
            if not subject.get("namespace") and not is_namespaced:
                errors.append(required(f"{path}.namespace"))
        case "User" | "Group":
            if group != _RBAC:
                errors.append(not_supported(f"{path}.apiGroup", group, (_RBAC,)))
        case _:
            errors.append(not_supported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group")))
    return errors


def validate_binding_update(new: Tree, old: Tree) -> Errors:
    """Which role a binding gives never changes."""
    if new.get("roleRef") == old.get("roleRef"):
        return []
    return [invalid("roleRef", new.get("roleRef"), "cannot change roleRef")]


# -- autoscalers and budgets

_SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}


def validate_autoscaler(autoscaler: Tree) -> Errors:
    spec = autoscaler.get("spec") or {}
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    errors: Errors = []
    if least is not None and least < 1:
        errors.append(invalid("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most < 1:
        errors.append(invalid("spec.maxReplicas", most, "must be greater than 0"))
    if least is not None and most < least:
        errors.append(invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef") or {}
    errors += [required(f"spec.scaleTargetRef.{name}") for name in ("kind", "name") if not target.get(name)]
    for index, metric in enumerate(spec.get("metrics") or ()):
        errors += _metric(metric, f"spec.metrics[{index}]")
    return errors


def _metric(metric: Tree, path: str) -> Errors:
    kind = metric.get("type") or ""
    if kind not in _SOURCES:
        return (
            [required(f"{path}.type", "must specify a metric source type")]
            if not kind
            else [not_supported(f"{path}.type", kind, sorted(_SOURCES))]
        )
    field = _SOURCES[kind]
    source = metric.get(field)
    if source is None:
        text = "must populate information for the given metric source"
        return [required(f"{path}.{field}", text)]
    errors: Errors = []
    if kind in ("Resource", "ContainerResource") and not source.get("name"):
        errors.append(required(f"{path}.{field}.name", "must specify a resource name"))
    target = source.get("target") or {}
    at = f"{path}.{field}.target"
    errors += one_of(target.get("type"), f"{at}.type", ("Utilization", "Value", "AverageValue"))
    share = target.get("averageUtilization")
    if share is not None and share < 1:
        errors.append(invalid(f"{at}.averageUtilization", share, "must be greater than 0"))
    if not any(target.get(name) is not None for name in ("averageUtilization", "averageValue", "value")):
        text = "must set either a target raw value or a target utilization"
        errors.append(required(f"{at}.averageUtilization", text))
    return errors


def validate_budget(budget: Tree) -> Errors:
    spec = budget.get("spec") or {}
    errors: Errors = []
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        text = "minAvailable and maxUnavailable cannot be both set"
        errors.append(invalid("spec", spec, text))
    for name in ("minAvailable", "maxUnavailable"):
        if spec.get(name) is not None:
            errors += count_or_percent(spec[name], f"spec.{name}")
    errors += label_selector(spec.get("selector"), "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy not in (None, "AlwaysAllow", "IfHealthyBudget"):
        path = "spec.unhealthyPodEvictionPolicy"
        errors.append(not_supported(path, policy, ("AlwaysAllow", "IfHealthyBudget")))
    return errors


# -- certificates


def validate_signing_request(request: Tree) -> Errors:
    spec = request.get("spec") or {}
    errors: Errors = [required(f"spec.{name}") for name in ("request", "usages", "signerName") if not spec.get(name)]
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < 600:
        errors.append(
            invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 600 seconds (10 minutes)")
        )
    return errors


def validate_signing_request_update(new: Tree, old: Tree) -> Errors:
    return immutable(new.get("spec"), old.get("spec"), "spec")
