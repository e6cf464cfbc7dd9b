"""Rules for containers: names, images, ports, environment, probes, hooks.

Source: k8s.io/kubernetes (pkg/apis/core/validation/validation.go).
"""

from collections.abc import Iterator

from flowdeck.embedded.apiserver.builtin.validation.ephemeral import ephemeral_errors
from flowdeck.embedded.apiserver.builtin.validation.resources import validate_requirements
from flowdeck.embedded.apiserver.builtin.validation.single_values import (
    Errors,
    env_name,
    non_negative,
    one_of,
    port_name,
    port_number,
    port_reference,
)
from flowdeck.embedded.apiserver.builtin.validation.volumes import validate_mounts
from flowdeck.kube.errors import FieldError, duplicate, forbidden, invalid, not_supported, required
from flowdeck.kube.names import dns_label, dns_subdomain
from flowdeck.kube.objects import Tree

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_TERMINATION_POLICIES = ("FallbackToLogsOnError", "File")
_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_RESOURCES = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
    "requests.memory",
)  # fmt: skip
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def validate_containers(spec: Tree, volumes: dict[str, Tree], path: str) -> Errors:
    """All containers of a pod spec."""
    containers = spec.get("containers")
    if not containers:
        return [required(f"{path}.containers")]
    errors: Errors = []
    seen: set[str] = set()
    for index, container in enumerate(containers):
        at = f"{path}.containers[{index}]"
        errors += _container(container, volumes, at, seen)
        errors += _actions(container, at)
    errors += _host_port_conflicts(containers, f"{path}.containers")
    for index, container in enumerate(spec.get("initContainers") or ()):
        at = f"{path}.initContainers[{index}]"
        errors += _container(container, volumes, at, seen)
        errors += _init(container, at)
    targets = set(seen)
    for index, container in enumerate(spec.get("ephemeralContainers") or ()):
        at = f"{path}.ephemeralContainers[{index}]"
        errors += _container(container, volumes, at, seen)
        errors += ephemeral_errors(container, targets, at)
    return errors


def _container(container: Tree, volumes: dict[str, Tree], path: str, seen: set[str]) -> Errors:
    name = container.get("name")
    errors: Errors = []
    if not name:
        errors.append(required(f"{path}.name"))
    else:
        errors += [invalid(f"{path}.name", name, text) for text in dns_label(name)]
    image = container.get("image")
    if not image:
        errors.append(required(f"{path}.image"))
    elif image != image.strip():
        errors.append(invalid(f"{path}.image", image, "must not have leading or trailing whitespace"))
    policy = container.get("terminationMessagePolicy")
    if policy not in _TERMINATION_POLICIES:
        errors += one_of(policy, f"{path}.terminationMessagePolicy", _TERMINATION_POLICIES)
    if ports := container.get("ports"):
        errors += _ports(ports, f"{path}.ports")
    if env := container.get("env"):
        errors += _env(env, f"{path}.env")
    if sources := container.get("envFrom"):
        errors += _env_from(sources, f"{path}.envFrom")
    if container.get("volumeMounts") or container.get("volumeDevices"):
        errors += validate_mounts(container, volumes, path)
    if container.get("imagePullPolicy") not in _PULL_POLICIES:
        errors += one_of(container.get("imagePullPolicy"), f"{path}.imagePullPolicy", _PULL_POLICIES)
    errors += validate_requirements(container.get("resources"), f"{path}.resources")
    if security := container.get("securityContext"):
        errors += _security(security, f"{path}.securityContext")
    if name and name in seen:
        errors.append(duplicate(f"{path}.name", name))
    seen.add(name or "")
    return errors


def _actions(container: Tree, path: str) -> Errors:
    errors: Errors = []
    for name in _PROBES:
        if name in container:
            errors += _probe(container[name], f"{path}.{name}", name)
    for name in ("postStart", "preStop"):
        if handler := (container.get("lifecycle") or {}).get(name):
            errors += _handler(handler, f"{path}.lifecycle.{name}")
    if container.get("restartPolicy") not in (None, "Always", "OnFailure", "Never"):
        errors.append(
            not_supported(f"{path}.restartPolicy", container["restartPolicy"], ("Always", "Never", "OnFailure"))
        )
    return errors


def _init(container: Tree, path: str) -> Errors:
    """Only sidecars (`restartPolicy: Always`) among the init containers may have probes and hooks."""
    policy = container.get("restartPolicy")
    if policy == "Always":
        return _actions(container, path)
    errors: Errors = []
    if policy not in (None, "OnFailure", "Never"):
        errors.append(not_supported(f"{path}.restartPolicy", policy, ("Always", "Never", "OnFailure")))
    for name in ("lifecycle", *_PROBES):
        if name in container:
            errors.append(
                forbidden(f"{path}.{name}", "may not be set for init containers without restartPolicy=Always")
            )
    return errors


def _ports(ports: list[Tree], path: str) -> Errors:
    errors: Errors = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        at = f"{path}[{index}]"
        if name := port.get("name"):
            wrong = port_name(name)
            errors += [invalid(f"{at}.name", name, text) for text in wrong]
            if not wrong and name in names:
                errors.append(duplicate(f"{at}.name", name))
            names.add(name)
        if not port.get("containerPort"):
            errors.append(required(f"{at}.containerPort"))
        else:
            errors += port_number(port["containerPort"], f"{at}.containerPort")
        if port.get("hostPort"):
            errors += port_number(port["hostPort"], f"{at}.hostPort")
        if port.get("protocol") not in _PROTOCOLS:
            errors += one_of(port.get("protocol"), f"{at}.protocol", _PROTOCOLS)
    return errors


def _host_port_conflicts(containers: list[Tree], path: str) -> Iterator[FieldError]:
    taken: set[str] = set()
    for index, container in enumerate(containers):
        for at, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            text = f"{port.get('protocol')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if text in taken:
                yield duplicate(f"{path}[{index}].ports[{at}].hostPort", text)
            taken.add(text)


def _env(env: list[Tree], path: str) -> Errors:
    errors: Errors = []
    for index, variable in enumerate(env):
        name = variable.get("name")
        if not name:
            errors.append(required(f"{path}[{index}].name"))
        elif not name.isidentifier():
            errors += [invalid(f"{path}[{index}].name", name, text) for text in env_name(name)]
        if "valueFrom" in variable:
            errors += _value_from(variable, f"{path}[{index}].valueFrom")
    return errors


def _value_from(variable: Tree, path: str) -> Errors:
    source = variable["valueFrom"]
    kinds = [name for name in source if source[name] is not None]
    errors: Errors = []
    if not kinds:
        names = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        errors.append(invalid(path, "", f"must specify one of: {names}"))
    elif variable.get("value"):
        errors.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif len(kinds) > 1:
        errors.append(invalid(path, "", "may not have more than one field specified at a time"))
    for kind in kinds:
        errors += _env_source(kind, source[kind], f"{path}.{kind}")
    return errors


def _env_source(kind: str, source: Tree, path: str) -> Errors:
    match kind:
        case "fieldRef":
            field = source.get("fieldPath") or ""
            if not field:
                return [required(f"{path}.fieldPath")]
            if field in _FIELDS or field.startswith(("metadata.labels['", "metadata.annotations['")):
                return []
            if field.startswith(("metadata.", "spec.", "status.")):
                return [not_supported(f"{path}.fieldPath", field, _FIELDS)]
            return [
                invalid(f"{path}.fieldPath", field, "error converting fieldPath: field label not supported: " + field)
            ]
        case "resourceFieldRef":
            name = source.get("resource") or ""
            if not name:
                return [required(f"{path}.resource")]
            is_known = name in _RESOURCES or name.startswith(("limits.hugepages-", "requests.hugepages-"))
            return [] if is_known else [not_supported(f"{path}.resource", name, _RESOURCES)]
        case "configMapKeyRef" | "secretKeyRef":
            errors: Errors = [required(f"{path}.{field}") for field in ("name", "key") if not source.get(field)]
            return errors
    return []


def _env_from(sources: list[Tree], path: str) -> Errors:
    errors: Errors = []
    for index, source in enumerate(sources):
        at = f"{path}[{index}]"
        if prefix := source.get("prefix"):
            errors += [invalid(f"{at}.prefix", prefix, text) for text in env_name(prefix)]
        kinds = [name for name in ("configMapRef", "secretRef") if name in source]
        for kind in kinds:
            if not source[kind].get("name"):
                errors.append(required(f"{at}.{kind}.name"))
            else:
                errors += [
                    invalid(f"{at}.{kind}.name", source[kind]["name"], text)
                    for text in dns_subdomain(source[kind]["name"])
                ]
        if not kinds:
            errors.append(invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(kinds) > 1:
            errors.append(invalid(at, "", "may not have more than one field specified at a time"))
    return errors


_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def _probe(probe: Tree, path: str, name: str) -> Errors:
    errors = _handler(probe, path)
    for field in _NUMBERS:
        errors += non_negative(probe.get(field), f"{path}.{field}")
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None:
        if name == "readinessProbe":
            text = "must not be set for readinessProbes"
            errors.append(invalid(f"{path}.terminationGracePeriodSeconds", grace, text))
        elif grace <= 0:
            errors.append(invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        errors.append(invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    return errors


_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")


def _handler(handler: Tree, path: str) -> Errors:
    kinds = [name for name in _HANDLERS if handler.get(name) is not None]
    if not kinds:
        return [required(path, "must specify a handler type")]
    errors: Errors = [forbidden(f"{path}.{kind}", "may not specify more than 1 handler type") for kind in kinds[1:]]
    kind, action = kinds[0], handler[kinds[0]]
    at = f"{path}.{kind}"
    match kind:
        case "exec" if not action.get("command"):
            errors.append(required(f"{at}.command"))
        case "httpGet":
            if not action.get("path"):
                errors.append(required(f"{at}.path"))
            errors += _port_of(action, at)
            errors += one_of(action.get("scheme"), f"{at}.scheme", ("HTTP", "HTTPS"))
        case "tcpSocket":
            errors += _port_of(action, at)
        case "grpc":
            errors += port_number(action.get("port") or 0, f"{at}.port")
        case "sleep" if action.get("seconds", 0) < 0:
            errors.append(invalid(at, action["seconds"], "must be non-negative"))
    return errors


def _port_of(action: Tree, path: str) -> Errors:
    return port_reference(action.get("port", 0), f"{path}.port")


def _security(security: Tree, path: str) -> Errors:
    errors: Errors = []
    for name in ("runAsUser", "runAsGroup"):
        value = security.get(name)
        if value is not None and not 0 <= value <= 2**31 - 1:
            errors.append(invalid(f"{path}.{name}", value, "must be between 0 and 2147483647, inclusive"))
    if security.get("allowPrivilegeEscalation") is False and security.get("privileged"):
        text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        errors.append(invalid(path, security, text))
    return errors
