"""Defaults of webhook configurations, admission policies and CustomResourceDefinitions.

Source: k8s.io/kubernetes (pkg/apis/admissionregistration/v1/defaults.go),
k8s.io/apiextensions-apiserver (pkg/apis/apiextensions/v1/defaults.go).
"""

from flowdeck.kube.objects import Tree


def default_mutating_webhooks(configuration: Tree) -> None:
    default_validating_webhooks(configuration)
    for webhook in configuration.get("webhooks") or ():
        webhook.setdefault("reinvocationPolicy", "Never")


def default_validating_webhooks(configuration: Tree) -> None:
    for webhook in configuration.get("webhooks") or ():
        webhook.setdefault("failurePolicy", "Fail")
        webhook.setdefault("matchPolicy", "Equivalent")
        webhook.setdefault("namespaceSelector", {})
        webhook.setdefault("objectSelector", {})
        webhook.setdefault("timeoutSeconds", 10)
        _default_service(webhook.get("clientConfig"))
        _default_rules(webhook.get("rules"))


def default_policy(policy: Tree) -> None:
    spec = policy.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    _default_match(spec.get("matchConstraints"))


def default_policy_binding(binding: Tree) -> None:
    _default_match(binding.setdefault("spec", {}).get("matchResources"))


def default_definition(definition: Tree) -> None:
    """A CustomResourceDefinition: names that follow from the kind, no conversion."""
    spec = definition.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if kind := names.get("kind"):
        names["singular"] = names.get("singular") or kind.lower()
        names["listKind"] = names.get("listKind") or f"{kind}List"
    conversion = spec.setdefault("conversion", {})
    conversion.setdefault("strategy", "None")
    _default_service((conversion.get("webhook") or {}).get("clientConfig"))


def _default_match(match: Tree | None) -> None:
    if match is not None:
        match.setdefault("matchPolicy", "Equivalent")
        match.setdefault("namespaceSelector", {})
        match.setdefault("objectSelector", {})
        _default_rules(match.get("resourceRules"))
        _default_rules(match.get("excludeResourceRules"))


def _default_rules(rules: list[Tree] | None) -> None:
    for rule in rules or ():
        rule.setdefault("scope", "*")


def _default_service(client_config: Tree | None) -> None:
    if client_config and "service" in client_config:
        client_config["service"].setdefault("port", 443)
