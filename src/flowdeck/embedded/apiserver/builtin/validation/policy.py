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
from flowdeck.kube.objects import Tree, get_in

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
        errors += _subject(subject, f"subjects[{index}]")
    return errors


def _subject(subject: Tree, path: str) -> Errors:
    errors: Errors = [] if subject.get("name") else [required(f"{path}.name")]
    kind, group = subject.get("kind") or "", subject.get("apiGroup") or ""
    match kind:
        case "ServiceAccount":
            if subject.get("name"):
                errors += [invalid(f"{path}.name", subject["name"], text) for text in dns_subdomain(subject["name"])]
            if group:
                errors.append(not_supported(f"{path}.apiGroup", group, ("",)))
            if not subject.get("namespace"):
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


# -- webhooks and policies


def validate_webhooks(configuration: Tree) -> Errors:
    errors: Errors = []
    names: set[str] = set()
    for index, webhook in enumerate(configuration.get("webhooks") or ()):
        path, name = f"webhooks[{index}]", webhook.get("name") or ""
        errors += _webhook(webhook, path)
        if name in names:
            errors.append(invalid(f"{path}.name", name, "must be unique"))
        names.add(name)
    return errors


def _webhook(webhook: Tree, path: str) -> Errors:
    name = webhook.get("name") or ""
    errors: Errors = []
    if not name:
        errors.append(required(f"{path}.name"))
    elif len(name.split(".")) < 3:
        errors.append(
            invalid(f"{path}.name", name, "should be a domain with at least three segments separated by dots")
        )
    if not webhook.get("sideEffects"):
        errors.append(required(f"{path}.sideEffects", "must specify one of None, NoneOnDryRun"))
    elif webhook["sideEffects"] not in ("None", "NoneOnDryRun"):
        errors.append(not_supported(f"{path}.sideEffects", webhook["sideEffects"], ("None", "NoneOnDryRun")))
    versions = webhook.get("admissionReviewVersions") or []
    if not versions:
        errors.append(required(f"{path}.admissionReviewVersions", "must specify one of v1, v1beta1"))
    elif not {"v1", "v1beta1"} & set(versions):
        text = "must include at least one of v1, v1beta1"
        errors.append(invalid(f"{path}.admissionReviewVersions", versions, text))
    errors += one_of(webhook.get("failurePolicy"), f"{path}.failurePolicy", ("Fail", "Ignore"))
    seconds = webhook.get("timeoutSeconds", 10)
    if not 1 <= seconds <= 30:
        errors.append(invalid(f"{path}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds"))
    errors += label_selector(webhook.get("namespaceSelector"), f"{path}.namespaceSelector")
    errors += label_selector(webhook.get("objectSelector"), f"{path}.objectSelector")
    return errors + _client(webhook.get("clientConfig") or {}, f"{path}.clientConfig") + _webhook_rules(webhook, path)


def _client(client: Tree, path: str) -> Errors:
    url, service = client.get("url"), client.get("service")
    if bool(url) == bool(service):
        return [required(path, "exactly one of url or service is required")]
    if url and not url.startswith("https://"):
        return [
            invalid(f"{path}.url", url, "'https' is the only allowed URL scheme; desired format: https://host[/path]")
        ]
    errors: Errors = [
        required(f"{path}.service.{name}") for name in ("name", "namespace") if service and not service.get(name)
    ]
    return errors


_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")


def _webhook_rules(webhook: Tree, path: str) -> Errors:
    errors: Errors = []
    for index, rule in enumerate(webhook.get("rules") or ()):
        at = f"{path}.rules[{index}]"
        errors += [
            required(f"{at}.{name}")
            for name in ("operations", "apiGroups", "apiVersions", "resources")
            if not rule.get(name)
        ]
        for number, operation in enumerate(rule.get("operations") or ()):
            if operation not in _OPERATIONS:
                errors.append(not_supported(f"{at}.operations[{number}]", operation, _OPERATIONS))
    return errors


def validate_policy(policy: Tree) -> Errors:
    spec = policy.get("spec") or {}
    errors: Errors = []
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        text = "validations or auditAnnotations must be non-empty; at least one required"
        errors += [required("spec.validations", text), required("spec.auditAnnotations", text)]
    if spec.get("matchConstraints") is None:
        errors.append(required("spec.matchConstraints"))
    elif not get_in(spec, "matchConstraints", "resourceRules"):
        errors.append(required("spec.matchConstraints.resourceRules"))
    for index, validation in enumerate(spec.get("validations") or ()):
        if not (validation.get("expression") or "").strip():
            errors.append(required(f"spec.validations[{index}].expression", "expression is not specified"))
    return errors


def validate_policy_binding(binding: Tree) -> Errors:
    spec = binding.get("spec") or {}
    errors: Errors = [] if spec.get("policyName") else [required("spec.policyName")]
    actions = spec.get("validationActions") or []
    if not actions:
        errors.append(required("spec.validationActions", "at least one validation action is required"))
    for index, action in enumerate(actions):
        if action not in ("Audit", "Deny", "Warn"):
            errors.append(not_supported(f"spec.validationActions[{index}]", action, ("Audit", "Deny", "Warn")))
    if "Deny" in actions and "Warn" in actions:
        text = "must not contain both Deny and Warn (repeating the same validation failure information in the API "
        errors.append(invalid("spec.validationActions", actions, text + "response and headers serves no purpose)"))
    return errors


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
