"""A container's environment variables, from its spec and what that refers to. Pure.

Source: kubernetes/kubernetes (pkg/kubelet/kubelet_pods.go makeEnvironmentVariables,
third_party/forked/golang/expansion).
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING

from flowdeck.kube.objects import Tree, annotations_of, get_in, labels_of
from flowdeck.kube.quantity import Quantity, parse_quantity

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]$")


class ConfigError(Exception):
    """The container cannot be made as it is specified, or not yet."""

    def __init__(self, message: str, reason: str = "CreateContainerConfigError") -> None:
        super().__init__(message)
        self.reason = reason
        """The container's waiting reason."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What references may lead to."""

    pod: Tree
    config_maps: Mapping[str, Tree | None] = field(default_factory=dict)
    secrets: Mapping[str, Tree | None] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)
    """The variables of Services."""
    pod_ip: str = ""
    host_ip: str = ""
    allocatable: Mapping[str, str] = field(default_factory=dict)
    """The node's: what stands for a missing limit."""


def environment(container: Tree, facts: Facts) -> dict[str, str]:
    """All variables of a container, references resolved. Raises `ConfigError`."""
    found: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        found |= _all_keys(source, facts)
    for entry in container.get("env") or ():
        value = _value(entry, container, facts, {**facts.services, **found})
        if value is not None:
            found[entry["name"]] = value
    return {**facts.services, **found}


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replaces `$(NAME)`; an unknown one stays, `$$` is a `$` that starts nothing."""

    def put_in(found: re.Match[str]) -> str:
        if found.group() == "$$":
            return "$"
        return env.get(found.group(1), found.group())

    return _REFERENCE.sub(put_in, text)


def field_text(path: str, facts: Facts) -> str:
    """The value of a `fieldRef`; raises `ConfigError` for a path that no field has."""
    pod = facts.pod
    if subscript := _SUBSCRIPT.match(path):
        values = labels_of(pod) if subscript.group(1) == "labels" else annotations_of(pod)
        return values.get(subscript.group(2), "")
    simple = {
        "metadata.name": get_in(pod, "metadata", "name"),
        "metadata.namespace": get_in(pod, "metadata", "namespace"),
        "metadata.uid": get_in(pod, "metadata", "uid"),
        "metadata.labels": _lines(labels_of(pod)),
        "metadata.annotations": _lines(annotations_of(pod)),
        "spec.nodeName": get_in(pod, "spec", "nodeName"),
        "spec.serviceAccountName": get_in(pod, "spec", "serviceAccountName"),
        "status.podIP": facts.pod_ip,
        "status.podIPs": facts.pod_ip,
        "status.hostIP": facts.host_ip,
        "status.hostIPs": facts.host_ip,
    }
    if path not in simple:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(simple[path] or "")


def resource_text(ref: Tree, container: Tree, facts: Facts) -> str:
    """The value of a `resourceFieldRef`, in units of its divisor, rounded up."""
    owner = container
    if name := ref.get("containerName"):
        everything = [*(facts.pod["spec"].get("initContainers") or ()), *facts.pod["spec"]["containers"]]
        owner = next((c for c in everything if c["name"] == name), container)
    which, _, resource = ref["resource"].partition(".")
    amount = _amount(owner, which, resource, facts)
    divisor = parse_quantity(ref.get("divisor") or "1")
    if not divisor.value:
        divisor = parse_quantity("1")
    return str(int((amount.value / divisor.value).to_integral_value(ROUND_CEILING)))


def _amount(container: Tree, which: str, resource: str, facts: Facts) -> Quantity:
    value = get_in(container, "resources", which, resource)
    if value is None and which == "limits":
        value = facts.allocatable.get(resource)
    return parse_quantity(value or "0")


def _lines(values: Mapping[str, str]) -> str:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    return "\n".join(f"{name}={quoted(value)}" for name, value in sorted(values.items()))


def _all_keys(source: Tree, facts: Facts) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    if ref := source.get("configMapRef"):
        found = facts.config_maps.get(ref["name"])
        if found is None and not ref.get("optional"):
            raise ConfigError(f'configmap "{ref["name"]}" not found')
        return {prefix + name: value for name, value in (get_in(found, "data") or {}).items()}
    ref = source.get("secretRef") or {}
    found = facts.secrets.get(ref["name"])
    if found is None and not ref.get("optional"):
        raise ConfigError(f'secret "{ref["name"]}" not found')
    return {prefix + name: _decoded(value) for name, value in (get_in(found, "data") or {}).items()}


def _value(entry: Tree, container: Tree, facts: Facts, known: Mapping[str, str]) -> str | None:
    """The variable's text; None where an optional source has none."""
    source = entry.get("valueFrom")
    if not source:
        return expand(entry.get("value") or "", known)
    if ref := source.get("fieldRef"):
        return field_text(ref["fieldPath"], facts)
    if ref := source.get("resourceFieldRef"):
        return resource_text(ref, container, facts)
    if ref := source.get("configMapKeyRef"):
        return _key(ref, facts.config_maps.get(ref["name"]), "configmap", "ConfigMap", facts)
    if ref := source.get("secretKeyRef"):
        text = _key(ref, facts.secrets.get(ref["name"]), "secret", "Secret", facts)
        return None if text is None else _decoded(text)
    raise ConfigError(f"environment variable {entry['name']!r} has a source that is not supported here")


def _key(ref: Tree, found: Tree | None, word: str, kind: str, facts: Facts) -> str | None:
    if found is None:
        if ref.get("optional"):
            return None
        raise ConfigError(f'{word} "{ref["name"]}" not found')
    data = found.get("data") or {}
    if ref["key"] in data:
        return str(data[ref["key"]])
    if ref.get("optional"):
        return None
    namespace = facts.pod["metadata"]["namespace"]
    raise ConfigError(f"couldn't find key {ref['key']} in {kind} {namespace}/{ref['name']}")


def _decoded(value: str) -> str:
    return base64.b64decode(value).decode("utf-8", errors="surrogateescape")


def names_referred_to(container: Tree) -> tuple[set[str], set[str]]:
    """The ConfigMaps and the Secrets that a container's variables come from."""
    config_maps, secrets = set(), set()
    for source in container.get("envFrom") or ():
        if ref := source.get("configMapRef"):
            config_maps.add(ref["name"])
        if ref := source.get("secretRef"):
            secrets.add(ref["name"])
    for entry in container.get("env") or ():
        if ref := get_in(entry, "valueFrom", "configMapKeyRef"):
            config_maps.add(ref["name"])
        if ref := get_in(entry, "valueFrom", "secretKeyRef"):
            secrets.add(ref["name"])
    return config_maps, secrets
