"""Rules for Services, Endpoints, EndpointSlices, Ingresses and NetworkPolicies.

Source: k8s.io/kubernetes (pkg/apis/core/validation, pkg/apis/discovery/validation, pkg/apis/networking/validation).
"""

import ipaddress
from collections.abc import Sequence

from flowdeck.embedded.apiserver.builtin.validation.metadata import validate_labels
from flowdeck.embedded.apiserver.builtin.validation.single_values import (
    Errors,
    between,
    immutable,
    label_selector,
    one_of,
    port_number,
    port_reference,
)
from flowdeck.kube.errors import duplicate, forbidden, invalid, not_supported, required
from flowdeck.kube.names import dns_label, dns_subdomain
from flowdeck.kube.objects import Tree, get_in

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_NOT_AN_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"


def _ip(value: str, path: str) -> Errors:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return [invalid(path, value, _NOT_AN_IP)]
    return []


def service_warnings(service: Tree, old: Tree | None) -> list[str]:
    spec = service.get("spec") or {}
    if spec.get("clusterIP") == "None" and spec.get("sessionAffinity") == "ClientIP":
        return ["spec.SessionAffinity is ignored for headless services"]
    return []


def validate_service(service: Tree) -> Errors:
    spec = service["spec"]
    kind, is_headless = spec.get("type"), spec.get("clusterIP") == "None"
    errors = one_of(kind, "spec.type", _TYPES)
    if not spec.get("ports") and not is_headless and kind != "ExternalName":
        errors.append(required("spec.ports"))
    if kind == "ExternalName":
        name = (spec.get("externalName") or "").rstrip(".")
        errors += [] if name else [required("spec.externalName")]
        errors += [invalid("spec.externalName", name, text) for text in (dns_subdomain(name) if name else ())]
        if spec.get("clusterIP") not in (None, "", "None"):
            errors.append(forbidden("spec.clusterIPs[0]", "may not be set for ExternalName services"))
    if kind == "LoadBalancer" and is_headless:
        errors.append(invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for LoadBalancer services"))
    elif kind == "NodePort" and is_headless:
        errors.append(invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for NodePort services"))
    if not is_headless and spec.get("clusterIP"):
        errors += _ip(spec["clusterIP"], "spec.clusterIPs[0]")
    errors += _ports(spec, kind or "", is_headless)
    errors += validate_labels(spec.get("selector"), "spec.selector")
    errors += one_of(spec.get("sessionAffinity"), "spec.sessionAffinity", ("ClientIP", "None"))
    seconds = get_in(spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds")
    if seconds is not None and not 0 < seconds <= 86400:
        path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        errors.append(invalid(path, seconds, "must be greater than 0 and less than 86400"))
    for index, address in enumerate(spec.get("externalIPs") or ()):
        errors += _ip(address, f"spec.externalIPs[{index}]")
    errors += _equal_ports(spec.get("ports") or ())
    for name in ("externalTrafficPolicy", "internalTrafficPolicy"):
        if spec.get(name) not in (None, "Cluster", "Local"):
            errors.append(not_supported(f"spec.{name}", spec[name], ("Cluster", "Local")))
    if spec.get("externalTrafficPolicy") and kind == "ClusterIP" and not spec.get("externalIPs"):
        text = "may only be set for externally-accessible services"
        errors.append(invalid("spec.externalTrafficPolicy", spec["externalTrafficPolicy"], text))
    return errors


def _ports(spec: Tree, kind: str, is_headless: bool) -> Errors:
    errors: Errors = []
    names: set[str] = set()
    ports = spec.get("ports") or []
    for index, port in enumerate(ports):
        path, name, number, protocol = (
            f"spec.ports[{index}]",
            port.get("name"),
            port.get("port", 0),
            port.get("protocol"),
        )
        if len(ports) > 1 and not name:
            errors.append(required(f"{path}.name"))
        elif name:
            errors += [invalid(f"{path}.name", name, text) for text in dns_label(name)]
            if name in names:
                errors.append(duplicate(f"{path}.name", name))
            names.add(name)
        errors += port_number(number, f"{path}.port")
        errors += one_of(protocol, f"{path}.protocol", _PROTOCOLS)
        target = port.get("targetPort")
        if target is not None and kind != "ExternalName":
            errors += port_reference(target, f"{path}.targetPort")
    if kind not in ("NodePort", "LoadBalancer"):
        told = f"may not be used when `type` is '{kind}'"
        wrong = (index for index, port in enumerate(ports) if port.get("nodePort"))
        errors += [forbidden(f"spec.ports[{index}].nodePort", told) for index in wrong]
    return errors


def _equal_ports(ports: Sequence[Tree]) -> Errors:
    errors: Errors = []
    pairs: set[tuple[object, object]] = set()
    for index, port in enumerate(ports):
        protocol, number = port.get("protocol"), port.get("port", 0)
        if (protocol, number) in pairs:
            found = {"Name": "", "Protocol": protocol, "AppProtocol": None, "Port": number}
            errors.append(duplicate(f"spec.ports[{index}]", {**found, "TargetPort": 0, "NodePort": 0}))
        pairs.add((protocol, number))
    return errors


def validate_service_update(new: Tree, old: Tree) -> Errors:
    """A Service keeps its cluster IP for as long as it has one."""
    spec, was = new["spec"], old["spec"]
    if "ExternalName" in (spec.get("type"), was.get("type")) or not was.get("clusterIP"):
        return []
    if spec.get("clusterIP") == was.get("clusterIP"):
        return []
    text = "may not change once set"
    return [invalid("spec.clusterIPs[0]", [spec.get("clusterIP") or ""], text)]


def validate_endpoints(endpoints: Tree) -> Errors:
    errors: Errors = []
    for index, subset in enumerate(endpoints.get("subsets") or ()):
        path, ports = f"subsets[{index}]", subset.get("ports") or []
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            errors.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
        for field in ("addresses", "notReadyAddresses"):
            for number, address in enumerate(subset.get(field) or ()):
                errors += _ip(address.get("ip") or "", f"{path}.{field}[{number}].ip")
        for number, port in enumerate(ports):
            if len(ports) > 1 and not port.get("name"):
                errors.append(required(f"{path}.ports[{number}].name"))
            errors += port_number(port.get("port", 0), f"{path}.ports[{number}].port")
            errors += one_of(port.get("protocol"), f"{path}.ports[{number}].protocol", _PROTOCOLS)
    return errors


def validate_endpoint_slice(endpoint_slice: Tree) -> Errors:
    errors = one_of(endpoint_slice.get("addressType"), "addressType", ("FQDN", "IPv4", "IPv6"))
    for index, endpoint in enumerate(endpoint_slice.get("endpoints") or ()):
        path, addresses = f"endpoints[{index}].addresses", endpoint.get("addresses") or []
        if not addresses:
            errors.append(required(path, "must contain at least 1 address"))
        if endpoint_slice.get("addressType") != "FQDN":
            for number, address in enumerate(addresses):
                errors += _ip(address, f"{path}[{number}]")
    names: set[str] = set()
    for index, port in enumerate(endpoint_slice.get("ports") or ()):
        name = port.get("name") or ""
        if name in names:
            errors.append(duplicate(f"ports[{index}].name", name))
        names.add(name)
    return errors


def validate_endpoint_slice_update(new: Tree, old: Tree) -> Errors:
    return immutable(new.get("addressType"), old.get("addressType"), "addressType")


_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def validate_ingress(ingress: Tree) -> Errors:
    spec = ingress.get("spec") or {}
    errors: Errors = []
    if not spec.get("rules") and not spec.get("defaultBackend"):
        errors.append(invalid("spec", spec.get("rules"), "either `defaultBackend` or `rules` must be specified"))
    if backend := spec.get("defaultBackend"):
        errors += _backend(backend, "spec.defaultBackend")
    for index, rule in enumerate(spec.get("rules") or ()):
        host = rule.get("host") or ""
        for text in dns_subdomain(host.removeprefix("*.")) if host else ():
            errors.append(invalid(f"spec.rules[{index}].host", host, text))
        for number, path in enumerate(get_in(rule, "http", "paths", default=())):
            errors += _ingress_path(path, f"spec.rules[{index}].http.paths[{number}]")
    return errors


def _ingress_path(path: Tree, at: str) -> Errors:
    kind, value = path.get("pathType"), path.get("path") or ""
    errors: Errors = []
    if not kind:
        errors.append(required(f"{at}.pathType", "pathType must be specified"))
    elif kind not in _PATH_TYPES:
        errors.append(not_supported(f"{at}.pathType", kind, _PATH_TYPES))
    if kind in ("Exact", "Prefix") and not value.startswith("/"):
        errors.append(invalid(f"{at}.path", value, "must be an absolute path"))
    return errors + _backend(path.get("backend") or {}, f"{at}.backend")


def _backend(backend: Tree, path: str) -> Errors:
    service = backend.get("service")
    if service is None:
        return [] if backend.get("resource") else [required(path, "port name or number is required")]
    errors: Errors = []
    if not service.get("name"):
        errors.append(required(f"{path}.service.name"))
    port = service.get("port") or {}
    if bool(port.get("name")) == bool(port.get("number")):
        text = "cannot set both port name & port number" if port.get("name") else "port name or number is required"
        errors.append(required(path, text) if not port.get("name") else invalid(path, "", text))
    return errors


def validate_network_policy(policy: Tree) -> Errors:
    spec = policy.get("spec") or {}
    errors = label_selector(spec.get("podSelector"), "spec.podSelector")
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{index}]"
            for number, port in enumerate(rule.get("ports") or ()):
                errors += _policy_port(port, f"{path}.ports[{number}]")
            for number, peer in enumerate(rule.get(side) or ()):
                errors += _peer(peer, f"{path}.{side}[{number}]")
    for index, kind in enumerate(spec.get("policyTypes") or ()):
        if kind not in ("Ingress", "Egress"):
            errors.append(not_supported(f"spec.policyTypes[{index}]", kind, ("Egress", "Ingress")))
    return errors


def _policy_port(port: Tree, path: str) -> Errors:
    errors = one_of(port.get("protocol"), f"{path}.protocol", _PROTOCOLS)
    number, end = port.get("port"), port.get("endPort")
    if number is not None:
        errors += port_reference(number, f"{path}.port")
    if end is not None:
        if not isinstance(number, int):
            errors.append(required(f"{path}.port", "must be specified when `endPort` is defined"))
        elif end < number:
            errors.append(invalid(f"{path}.endPort", end, "must be greater than or equal to `port`"))
        elif end > 65535:
            errors.append(invalid(f"{path}.endPort", end, between(1, 65535)))
    return errors


def _peer(peer: Tree, path: str) -> Errors:
    errors: Errors = []
    if not peer:
        errors.append(required(path, "must specify a peer"))
    for name in ("podSelector", "namespaceSelector"):
        errors += label_selector(peer.get(name), f"{path}.{name}")
    if block := peer.get("ipBlock"):
        if len(peer) > 1:
            errors.append(forbidden(path, "may not specify both ipBlock and another peer"))
        try:
            ipaddress.ip_network(block.get("cidr") or "", strict=False)
        except ValueError:
            text = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            errors.append(invalid(f"{path}.ipBlock.cidr", block.get("cidr") or "", text))
    return errors
