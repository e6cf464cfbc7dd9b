"""Rules for pods and pod templates, new and changed.

`validate_pod_template` may be called for a template on its own: controllers that will make pods of it try it first.

Source: k8s.io/kubernetes (pkg/apis/core/validation/validation.go).
"""

from collections.abc import Iterator

from flowdeck.embedded.apiserver.builtin.validation.containers import validate_containers
from flowdeck.embedded.apiserver.builtin.validation.metadata import validate_annotations, validate_labels
from flowdeck.embedded.apiserver.builtin.validation.single_values import (
    MAX_INT32,
    Errors,
    between,
    label_selector,
    non_negative,
    one_of,
)
from flowdeck.embedded.apiserver.builtin.validation.volumes import validate_volumes
from flowdeck.kube.errors import duplicate, forbidden, invalid, not_supported, required
from flowdeck.kube.names import dns_label, dns_subdomain, qualified_name
from flowdeck.kube.objects import Tree, annotations_of

_DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_UPDATABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
    "previously negative)"
)


def validate_pod(pod: Tree) -> Errors:
    return validate_pod_spec(pod.get("spec") or {}, "spec")


def validate_new_pod(pod: Tree) -> Errors:
    if pod["spec"].get("ephemeralContainers"):
        return [forbidden("spec.ephemeralContainers", "cannot be set on create")]
    return []


def validate_pod_template(template: Tree, path: str) -> Errors:
    """A PodTemplateSpec that stands at `path`."""
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    errors = validate_labels(metadata.get("labels"), f"{path}.labels")
    errors += validate_annotations(metadata.get("annotations"), f"{path}.annotations")
    errors += validate_pod_spec(spec, f"{path}.spec")
    if spec.get("ephemeralContainers"):
        errors.append(forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template"))
    return errors


def validate_pod_spec(spec: Tree, path: str) -> Errors:
    volumes, errors = validate_volumes(spec.get("volumes"), f"{path}.volumes")
    errors += validate_containers(spec, volumes, path)
    if spec.get("restartPolicy") not in _RESTART_POLICIES:
        errors += one_of(spec.get("restartPolicy"), f"{path}.restartPolicy", _RESTART_POLICIES)
    if spec.get("dnsPolicy") not in _DNS_POLICIES:
        errors += one_of(spec.get("dnsPolicy"), f"{path}.dnsPolicy", _DNS_POLICIES)
    if selector := spec.get("nodeSelector"):
        errors += validate_labels(selector, f"{path}.nodeSelector")
    for name in ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"):
        if value := spec.get(name):
            errors += [invalid(f"{path}.{name}", value, text) for text in dns_subdomain(value)]
    for name in ("hostname", "subdomain"):
        if value := spec.get(name):
            errors += [invalid(f"{path}.{name}", value, text) for text in dns_label(value)]
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= MAX_INT32:
        errors.append(invalid(f"{path}.activeDeadlineSeconds", deadline, between(1, MAX_INT32)))
    errors += non_negative(spec.get("terminationGracePeriodSeconds"), f"{path}.terminationGracePeriodSeconds")
    if tolerations := spec.get("tolerations"):
        errors += _tolerations(tolerations, f"{path}.tolerations")
    if affinity := spec.get("affinity"):
        errors += _affinity(affinity, f"{path}.affinity")
    if constraints := spec.get("topologySpreadConstraints"):
        errors += _spread(constraints, f"{path}.topologySpreadConstraints")
    return errors + _lists(spec, path) + _host_network(spec, path)


def _lists(spec: Tree, path: str) -> Errors:
    errors: Errors = []
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            errors.append(required(f"{path}.imagePullSecrets[{index}].name"))
    seen: set[str] = set()
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        at, name = f"{path}.schedulingGates[{index}]", gate.get("name") or ""
        errors += [invalid(at, name, text) for text in qualified_name(name)]
        if name in seen:
            errors.append(duplicate(at, name))
        seen.add(name)
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        name = gate.get("conditionType") or ""
        at = f"{path}.readinessGates[{index}].conditionType"
        errors += [invalid(at, name, text) for text in qualified_name(name)]
    if spec.get("dnsPolicy") == "None" and not (spec.get("dnsConfig") or {}).get("nameservers"):
        text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        errors.append(required(f"{path}.dnsConfig.nameservers" if spec.get("dnsConfig") else f"{path}.dnsConfig", text))
    return errors


def _host_network(spec: Tree, path: str) -> Errors:
    if not spec.get("hostNetwork"):
        return []
    text = "must match `hostPort` when `hostNetwork` is true"
    return [
        invalid(f"{path}.containers[{i}].ports[{j}].containerPort", port.get("containerPort", 0), text)
        for i, container in enumerate(spec.get("containers") or ())
        for j, port in enumerate(container.get("ports") or ())
        if port.get("hostPort") != port.get("containerPort")
    ]


def _tolerations(tolerations: list[Tree], path: str) -> Errors:
    errors: Errors = []
    for index, toleration in enumerate(tolerations):
        at, operator, effect = f"{path}[{index}]", toleration.get("operator") or "", toleration.get("effect") or ""
        if key := toleration.get("key"):
            errors += [invalid(f"{at}.key", key, text) for text in qualified_name(key)]
        elif operator != "Exists":
            text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            errors.append(invalid(f"{at}.operator", operator, text))
        if "tolerationSeconds" in toleration and effect != "NoExecute":
            errors.append(invalid(f"{at}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
        if operator == "Exists" and toleration.get("value"):
            text = "value must be empty when `operator` is 'Exists'"
            errors.append(invalid(f"{at}.operator", toleration, text))
        elif operator not in ("", "Equal", "Exists"):
            errors.append(not_supported(f"{at}.operator", operator, ("Equal", "Exists")))
        if effect and effect not in _EFFECTS:
            errors.append(not_supported(f"{at}.effect", effect, _EFFECTS))
    return errors


_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


def _affinity(affinity: Tree, path: str) -> Errors:
    errors: Errors = []
    node = affinity.get("nodeAffinity") or {}
    if (wanted := node.get("requiredDuringSchedulingIgnoredDuringExecution")) is not None:
        at = f"{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        if not wanted.get("nodeSelectorTerms"):
            errors.append(required(at, "must have at least one node selector term"))
        for index, term in enumerate(wanted.get("nodeSelectorTerms") or ()):
            for number, expression in enumerate(term.get("matchExpressions") or ()):
                errors += _node_expression(expression, f"{at}[{index}].matchExpressions[{number}]")
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = (affinity.get(kind) or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for index, term in enumerate(terms):
            at = f"{path}.{kind}.requiredDuringSchedulingIgnoredDuringExecution[{index}]"
            if not term.get("topologyKey"):
                errors.append(required(f"{at}.topologyKey", "can not be empty"))
            errors += label_selector(term.get("labelSelector"), f"{at}.labelSelector")
    return errors


def _node_expression(expression: Tree, path: str) -> Errors:
    operator, values = expression.get("operator"), expression.get("values") or []
    errors: Errors = []
    match operator:
        case "In" | "NotIn" if not values:
            errors.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        case "Exists" | "DoesNotExist" if values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(forbidden(f"{path}.values", text))
        case "Gt" | "Lt" if len(values) != 1:
            errors.append(required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"))
    if operator not in _NODE_OPERATORS:
        errors.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
    key = expression.get("key") or ""
    return errors + [invalid(f"{path}.key", key, text) for text in qualified_name(key)]


def _spread(constraints: list[Tree], path: str) -> Errors:
    errors: Errors = []
    for index, constraint in enumerate(constraints):
        at = f"{path}[{index}]"
        if constraint.get("maxSkew", 0) <= 0:
            errors.append(invalid(f"{at}.maxSkew", constraint.get("maxSkew", 0), "must be greater than zero"))
        if not constraint.get("topologyKey"):
            errors.append(required(f"{at}.topologyKey", "can not be empty"))
        errors += one_of(
            constraint.get("whenUnsatisfiable"), f"{at}.whenUnsatisfiable", ("DoNotSchedule", "ScheduleAnyway")
        )
        errors += label_selector(constraint.get("labelSelector"), f"{at}.labelSelector")
    return errors


# -- changes


def validate_pod_update(pod: Tree, old: Tree) -> Errors:
    """Hardly anything of a pod's spec may change."""
    spec, was = pod.get("spec") or {}, old.get("spec") or {}
    for field in ("containers", "initContainers"):
        if len(spec.get(field) or ()) != len(was.get(field) or ()):
            return [forbidden(f"spec.{field}", "pod updates may not add or remove containers")]
    errors = _deadline_change(spec, was)
    if errors and spec.get("activeDeadlineSeconds") is not None:
        return errors
    errors += _additions_only(spec, was) + _gates_change(spec, was)
    if _fixed(spec, was) != _fixed(was, was):
        errors.append(forbidden("spec", f"pod updates may not change fields other than {_UPDATABLE}\n"))
    return errors


def _fixed(spec: Tree, was: Tree) -> Tree:
    """The spec without what may change."""
    left = {
        name: value
        for name, value in spec.items()
        if name not in ("activeDeadlineSeconds", "tolerations", "schedulingGates")
    }
    for field in ("containers", "initContainers"):
        if field in left:
            left[field] = [{**container, "image": ""} for container in left[field] or ()]
    if was.get("terminationGracePeriodSeconds", 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        left["terminationGracePeriodSeconds"] = was["terminationGracePeriodSeconds"]
    if was.get("schedulingGates"):
        left.pop("nodeSelector", None)
        left.pop("affinity", None)
    return left


def _deadline_change(spec: Tree, was: Tree) -> Errors:
    path, new, old = "spec.activeDeadlineSeconds", spec.get("activeDeadlineSeconds"), was.get("activeDeadlineSeconds")
    if new is None:
        return [invalid(path, None, "must not update from a positive integer to nil value")] if old is not None else []
    if not 0 <= new <= MAX_INT32:
        return [invalid(path, new, between(0, MAX_INT32))]
    if old is not None and new > old:
        return [invalid(path, new, "must be less than or equal to previous value")]
    return []


def _additions_only(spec: Tree, was: Tree) -> Errors:
    kept = spec.get("tolerations") or []
    if all(toleration in kept for toleration in was.get("tolerations") or ()):
        return []
    return [forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")]


def _gates_change(spec: Tree, was: Tree) -> Errors:
    before = {gate.get("name") for gate in was.get("schedulingGates") or ()}
    return [
        forbidden(
            f"spec.schedulingGates[{index}].name",
            f"only deletion is allowed, but found new scheduling gate '{gate.get('name', '')}'",
        )
        for index, gate in enumerate(spec.get("schedulingGates") or ())
        if gate.get("name") not in before
    ]


# -- warnings

_OLD_LABELS = {
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}


def pod_warnings(pod: Tree, old: Tree | None) -> list[str]:
    if old is not None:
        return []  # people change workloads, not pods
    return spec_warnings(pod.get("spec") or {}, "spec", pod)


def spec_warnings(spec: Tree, path: str, holder: Tree) -> list[str]:
    """What is deprecated or surely a mistake in a pod spec."""
    told = [
        f'{path}.nodeSelector[{label}]: deprecated since v1.14; use "{_OLD_LABELS[label]}" instead'
        for label in spec.get("nodeSelector") or ()
        if label in _OLD_LABELS
    ]
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            told += _duplicate_env(container, f"{path}.{field}[{index}]")
    told += _equal_ports(spec, path)
    for volume_index, volume in enumerate(spec.get("volumes") or ()):
        if "gitRepo" in volume:
            told.append(
                f"{path}.volumes[{volume_index}].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"
            )
    if "seccomp.security.alpha.kubernetes.io/pod" in annotations_of(holder):
        told.append(
            "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the "
            '"seccompProfile" field instead'
        )
    return told


def _equal_ports(spec: Tree, path: str) -> list[str]:
    """Ports that several containers name, or one names twice."""
    told: list[str] = []
    seen: dict[tuple[object, object], list[tuple[str, Tree]]] = {}
    for at, port in _ports(spec, path):
        others = seen.setdefault((port.get("containerPort"), port.get("protocol")), [])
        told += [f"{at}: {why} port definition with {other}" for other, its in others if (why := _overlap(port, its))]
        others.append((at, port))
    named: dict[str, str] = {}
    for at, port in _ports(spec, path):
        name = port.get("name")
        if name and (first := named.setdefault(name, at)) != at:
            told.append(
                f'{at}: duplicate port name "{name}" with {first}, services and probes that select ports by name will '
                f"use {first}"
            )
    return told


def _ports(spec: Tree, path: str) -> Iterator[tuple[str, Tree]]:
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            for number, port in enumerate(container.get("ports") or ()):
                yield f"{path}.{field}[{index}].ports[{number}]", port


def _overlap(port: Tree, other: Tree) -> str:
    """How two equal ports of containers stand to each other on the host; `""`: apart."""
    host, host_port, its_host, its_port = (each.get(name) for each in (port, other) for name in ("hostIP", "hostPort"))
    if (host or "", host_port or 0) == (its_host or "", its_port or 0):
        return "duplicate"
    if not host_port or not its_port:
        return "overlapping"
    return "dangerously ambiguous" if host_port == its_port and bool(host) != bool(its_host) else ""


def _duplicate_env(container: Tree, path: str) -> list[str]:
    env = container.get("env") or ()
    if len(env) < 2:
        return []
    told: list[str] = []
    seen: dict[str, int] = {}
    for index, variable in enumerate(env):
        name = variable.get("name", "")
        if name in seen:
            told.append(f'{path}.env[{index}]: hides previous definition of "{name}", which may be unexpected')
        seen[name] = index
    return told
