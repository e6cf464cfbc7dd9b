"""Rules for what extends admission: webhooks, ValidatingAdmissionPolicy and its bindings.

Source: k8s.io/kubernetes (pkg/apis/admissionregistration/validation/validation.go), k8s.io/apiserver
(pkg/util/webhook/validation.go).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flowdeck.embedded.apiserver.builtin.validation.single_values import Errors, label_selector, one_of
from flowdeck.kube.cel import escaped
from flowdeck.kube.errors import duplicate, forbidden, invalid, not_supported, required
from flowdeck.kube.names import dns_1035_label, dns_subdomain, qualified_name
from flowdeck.kube.objects import Tree, get_in

if TYPE_CHECKING:
    from flowdeck.kube.cel_checking.admission_problems import Scope

_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")


def validate_webhooks(configuration: Tree) -> Errors:
    errors: Errors = []
    names: set[str] = set()
    for index, webhook in enumerate(configuration.get("webhooks") or ()):
        path, name = f"webhooks[{index}]", webhook.get("name") or ""
        errors += _webhook(webhook, path)
        if name in names:
            errors.append(duplicate(f"{path}.name", name))
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
    else:
        errors += [invalid(f"{path}.name", name, text) for text in dns_subdomain(name)]
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
    errors += _review_versions(versions, f"{path}.admissionReviewVersions")
    errors += one_of(webhook.get("failurePolicy"), f"{path}.failurePolicy", ("Fail", "Ignore"))
    errors += one_of(webhook.get("matchPolicy"), f"{path}.matchPolicy", ("Equivalent", "Exact"))
    if "reinvocationPolicy" in webhook:  # of mutating webhooks alone
        errors += one_of(webhook["reinvocationPolicy"], f"{path}.reinvocationPolicy", ("IfNeeded", "Never"))
    seconds = webhook.get("timeoutSeconds", 10)
    if not 1 <= seconds <= 30:
        errors.append(invalid(f"{path}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds"))
    errors += label_selector(webhook.get("namespaceSelector"), f"{path}.namespaceSelector")
    errors += label_selector(webhook.get("objectSelector"), f"{path}.objectSelector")
    errors += _client(webhook.get("clientConfig") or {}, f"{path}.clientConfig") + _webhook_rules(webhook, path)
    return errors + _conditions(webhook.get("matchConditions") or (), f"{path}.matchConditions")


def _review_versions(versions: Sequence[str], path: str) -> Errors:
    errors: Errors = []
    for index, version in enumerate(versions):
        errors += [invalid(f"{path}[{index}]", version, text) for text in dns_1035_label(version)]
        if version in versions[:index]:
            errors.append(invalid(f"{path}[{index}]", version, "duplicate version"))
    return errors


def _conditions(conditions: Sequence[Tree], path: str, *, has_params: bool = False) -> Errors:
    if not conditions:
        return []
    from flowdeck.kube.cel_checking.admission_problems import Scope  # with CEL's library

    scope = Scope(has_params=has_params)
    errors: Errors = []
    names: set[str] = set()
    for index, condition in enumerate(conditions):
        at, name, expression = f"{path}[{index}]", condition.get("name") or "", condition.get("expression") or ""
        if not expression.strip():
            errors.append(required(f"{at}.expression"))
        elif problem := scope.problem(expression.strip(), ("bool",)):
            errors.append(invalid(f"{at}.expression", expression.strip(), problem))
        if not name:
            errors.append(required(f"{at}.name"))
        else:
            errors += [invalid(f"{at}.name", name, text) for text in qualified_name(name)]
        if name in names:
            errors.append(duplicate(f"{at}.name", name))
        names.add(name)
    return errors


def _client(client: Tree, path: str) -> Errors:
    url, service = client.get("url"), client.get("service")
    if bool(url) == bool(service):
        return [required(path, "exactly one of url or service is required")]
    return _url(url, f"{path}.url") if url else _service(service or {}, f"{path}.service")


def _url(url: str, path: str) -> Errors:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return [required(path, f"url must be a valid URL: {error}; desired format: https://host[/path]")]
    errors: Errors = []
    if parts.scheme != "https":
        told = "'https' is the only allowed URL scheme; desired format: https://host[/path]"
        errors.append(invalid(path, parts.scheme, told))
    if not parts.netloc:
        errors.append(invalid(path, "", "host must be specified; desired format: https://host[/path]"))
    if parts.username is not None:
        errors.append(invalid(path, parts.netloc.rpartition("@")[0], "user information is not permitted in the URL"))
    if parts.fragment:
        errors.append(invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        errors.append(invalid(path, parts.query, "query parameters are not permitted in the URL"))
    return errors


def _service(service: Tree, path: str) -> Errors:
    errors: Errors = [required(f"{path}.{name}") for name in ("name", "namespace") if not service.get(name)]
    port, where = service.get("port", 443), service.get("path")
    if not 1 <= port <= 65535:
        errors.append(invalid(f"{path}.port", port, "port is not valid: must be between 1 and 65535, inclusive"))
    if not where or where == "/":
        return errors
    if not where.startswith("/"):
        errors.append(invalid(f"{path}.path", where, "must start with a '/'"))
    segments = where[1:].removesuffix("/").split("/")
    return errors + [
        invalid(f"{path}.path", where, f"segment[{index}] may not be empty")
        for index, segment in enumerate(segments)
        if not segment
    ]


_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")


def _webhook_rules(webhook: Tree, path: str, field: str = "rules") -> Errors:
    errors: Errors = []
    for index, rule in enumerate(webhook.get("rules") or ()):
        at = f"{path}.{field}[{index}]"
        errors += [
            required(f"{at}.{name}")
            for name in ("operations", "apiGroups", "apiVersions", "resources")
            if not rule.get(name)
        ]
        for number, operation in enumerate(rule.get("operations") or ()):
            if operation not in _OPERATIONS:
                errors.append(not_supported(f"{at}.operations[{number}]", operation, _OPERATIONS))
        errors += _stars(rule, at) + one_of(rule.get("scope"), f"{at}.scope", ("*", "Cluster", "Namespaced"))
    return errors


def _stars(rule: Tree, path: str) -> Errors:
    """Beside `*` nothing else may stand."""
    errors: Errors = []
    for field, word in (("operations", "operations"), ("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(field) or []
        if "*" in values and len(values) > 1:
            errors.append(invalid(f"{path}.{field}", values, f"if '*' is present, must not specify other {word}"))
    resources = rule.get("resources") or []
    if "*/*" in resources and len(resources) > 1:
        told = "if '*/*' is present, must not specify other resources"
        errors.append(invalid(f"{path}.resources", resources, told))
    elif "*" in resources and any("/" not in each for each in resources if each != "*"):
        told = "if '*' is present, must not specify other resources without subresources"
        errors.append(invalid(f"{path}.resources", resources, told))
    return errors


def validate_policy(policy: Tree) -> Errors:
    from flowdeck.kube.cel_checking.admission_problems import Scope  # with CEL's library

    spec = policy.get("spec") or {}
    scope = Scope(has_params="paramKind" in spec, has_variables=bool(spec.get("variables")))
    errors = one_of(spec.get("failurePolicy"), "spec.failurePolicy", ("Fail", "Ignore"))
    if scope.has_params:
        errors += _param_kind(spec["paramKind"] or {}, "spec.paramKind")
    if spec.get("matchConstraints") is None:
        errors.append(required("spec.matchConstraints"))
    else:
        errors += _constraints(spec["matchConstraints"], "spec.matchConstraints")
        if not spec["matchConstraints"].get("resourceRules"):
            errors.append(required("spec.matchConstraints.resourceRules"))
    errors += _conditions(spec.get("matchConditions") or (), "spec.matchConditions", has_params=scope.has_params)
    for index, variable in enumerate(spec.get("variables") or ()):
        errors += _variable(scope, variable, f"spec.variables[{index}]")
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        text = "validations or auditAnnotations must contain at least one item"
        return [*errors, required("spec.validations", text), required("spec.auditAnnotations", text)]
    for index, validation in enumerate(spec.get("validations") or ()):
        errors += _validation(scope, validation, f"spec.validations[{index}]")
    return errors + _annotations(scope, policy)


def _param_kind(kind: Tree, path: str) -> Errors:
    version, name = kind.get("apiVersion") or "", kind.get("kind") or ""
    errors: Errors = []
    if not version:
        errors.append(required(f"{path}.apiVersion"))
    elif version.count("/") > 1:
        errors.append(invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}"))
    else:
        group, _, version_name = version.rpartition("/")
        for part, texts in (
            (group, dns_subdomain(group) if group else ()),
            (version_name, dns_1035_label(version_name)),
        ):
            errors += [invalid(f"{path}.apiVersion", part, ",".join(texts))] if texts else []
    if not name:
        errors.append(required(f"{path}.kind"))
    elif texts := dns_1035_label(name.lower()):
        told = "may have mixed case, but should otherwise match: " + ",".join(texts)
        errors.append(invalid(f"{path}.kind", name, told))
    return errors


def _constraints(constraints: Tree, path: str) -> Errors:
    errors = one_of(constraints.get("matchPolicy"), f"{path}.matchPolicy", ("Equivalent", "Exact"))
    for name in ("namespaceSelector", "objectSelector"):
        errors += label_selector(constraints.get(name), f"{path}.{name}")
    for field in ("resourceRules", "excludeResourceRules"):
        errors += _webhook_rules({"rules": constraints.get(field)}, path, field)
    return errors


def _variable(scope: "Scope", variable: Tree, path: str) -> Errors:
    name, expression = variable.get("name") or "", variable.get("expression") or ""
    errors: Errors = []
    if not name.strip():
        errors.append(required(f"{path}.name", "name is not specified"))
    elif not name.isidentifier() or escaped(name).startswith("__"):
        errors.append(invalid(f"{path}.name", name, "must be a valid CEL identifier"))
    if not expression.strip():
        errors.append(required(f"{path}.expression", "expression is not specified"))
    elif problem := scope.declare(name, expression):
        errors.append(invalid(f"{path}.expression", expression, problem))
    return errors


def _validation(scope: "Scope", validation: Tree, path: str) -> Errors:
    expression, reason = validation.get("expression") or "", validation.get("reason")
    message, told = validation.get("message") or "", validation.get("messageExpression") or ""
    errors: Errors = []
    if not expression.strip():
        errors.append(required(f"{path}.expression", "expression is not specified"))
    elif problem := scope.problem(expression, ("bool",)):
        errors.append(invalid(f"{path}.expression", expression, problem))
    if told and not told.strip():
        errors.append(invalid(f"{path}.messageExpression", told, "must be non-empty if specified"))
    elif told and (problem := scope.problem(told, ("string",), has_authorizer=False)):
        errors.append(invalid(f"{path}.messageExpression", told, problem))
    if message and not message.strip():
        errors.append(invalid(f"{path}.message", message, "must be non-empty if specified"))
    elif "\n" in message.strip():
        errors.append(invalid(f"{path}.message", message, "must not contain line breaks"))
    if reason is not None and reason not in _REASONS:
        errors.append(not_supported(f"{path}.reason", reason, _REASONS))
    return errors


def _annotations(scope: "Scope", policy: Tree) -> Errors:
    errors: Errors = []
    keys: set[str] = set()
    name = get_in(policy, "metadata", "name", default="")
    for index, annotation in enumerate(get_in(policy, "spec", "auditAnnotations", default=())):
        path, key = f"spec.auditAnnotations[{index}]", annotation.get("key") or ""
        expression = annotation.get("valueExpression") or ""
        errors += [invalid(f"{path}.key", f"{name}/{key}", text) for text in qualified_name(f"{name}/{key}")]
        if not expression.strip():
            errors.append(required(f"{path}.valueExpression", "valueExpression is not specified"))
        elif problem := scope.problem(expression.strip(), ("string", "null_type")):
            errors.append(invalid(f"{path}.valueExpression", expression, problem))
        if key in keys:
            errors.append(duplicate(f"{path}.key", key))
        keys.add(key)
    return errors


def validate_policy_binding(binding: Tree) -> Errors:
    spec = binding.get("spec") or {}
    name = spec.get("policyName") or ""
    errors: Errors = [] if name else [required("spec.policyName")]
    errors += [invalid("spec.policyName", name, text) for text in (dns_subdomain(name) if name else ())]
    if spec.get("paramRef") is not None:
        errors += _param_ref(spec["paramRef"])
    errors += label_selector(
        get_in(spec, "matchResources", "namespaceSelector"), "spec.matchResources.namespaceSelector"
    )
    actions = spec.get("validationActions") or []
    if not actions:
        errors.append(required("spec.validationActions", "at least one validation action is required"))
    for index, action in enumerate(actions):
        if action not in ("Audit", "Deny", "Warn"):
            errors.append(not_supported(f"spec.validationActions[{index}]", action, ("Audit", "Deny", "Warn")))
        if action in actions[:index]:
            errors.append(duplicate(f"spec.validationActions[{index}]", action))
    if "Deny" in actions and "Warn" in actions:
        text = "must not contain both Deny and Warn (repeating the same validation failure information in the API "
        errors.append(invalid("spec.validationActions", actions, text + "response and headers serves no purpose)"))
    return errors


def _param_ref(reference: Tree) -> Errors:
    path, errors = "spec.paramRef", []
    name, selector = reference.get("name"), reference.get("selector")
    if name and selector is not None:
        told = "name and selector are mutually exclusive"
        errors += [forbidden(f"{path}.{word}", told) for word in ("name", "selector")]
    elif not name and selector is None:
        errors.append(required(path, "one of name or selector must be specified"))
    action = reference.get("parameterNotFoundAction")
    if not action:
        errors.append(required(f"{path}.parameterNotFoundAction"))
    elif action not in ("Deny", "Allow"):
        errors.append(not_supported(f"{path}.parameterNotFoundAction", action, ("Deny", "Allow")))
    return errors
