"""How namespaces, nodes, events, configuration, roles and the like are shown.

Source: k8s.io/kubernetes (pkg/printers/internalversion/printers.go).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flowdeck.embedded.apiserver.builtin.printers.cells import (
    NONE,
    UNKNOWN,
    UNSET,
    age_of,
    human_duration,
    name_of,
    since,
)
from flowdeck.embedded.apiserver.builtin.printers.printer import AGE, NAME, Column, Printer, wide
from flowdeck.kube.objects import Tree, get_in, labels_of


def _namespace(obj: Tree, now: datetime) -> Sequence[Any]:
    return name_of(obj), get_in(obj, "status", "phase", default=""), age_of(obj, now)


def _config_map(obj: Tree, now: datetime) -> Sequence[Any]:
    return name_of(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age_of(obj, now)


def _secret(obj: Tree, now: datetime) -> Sequence[Any]:
    return name_of(obj), obj.get("type", ""), len(obj.get("data") or ()), age_of(obj, now)


def _service_account(obj: Tree, now: datetime) -> Sequence[Any]:
    return name_of(obj), age_of(obj, now)


# -- nodes


def _kernel(info: Tree) -> str:
    version, machine = info.get("kernelVersion") or UNKNOWN, info.get("architecture")
    return f"{version} ({machine})" if machine else version


def _node(obj: Tree, now: datetime) -> Sequence[Any]:
    info = get_in(obj, "status", "nodeInfo", default={})
    return (
        name_of(obj),
        _node_word(obj),
        ",".join(_roles(obj)) or NONE,
        age_of(obj, now),
        info.get("kubeletVersion", ""),
        _address(obj, "InternalIP"),
        _address(obj, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        _kernel(info),
        info.get("containerRuntimeVersion") or UNKNOWN,
    )


def _node_word(node: Tree) -> str:
    ready = next((c for c in get_in(node, "status", "conditions", default=()) if c.get("type") == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if get_in(node, "spec", "unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: Tree) -> list[str]:
    prefix = "node-role.kubernetes.io/"
    found = set()
    for key, value in labels_of(node).items():
        if key.startswith(prefix) and len(key) > len(prefix):
            found.add(key.removeprefix(prefix))
        elif key == "kubernetes.io/role" and value:
            found.add(value)
    return sorted(found)


def _address(node: Tree, type_: str) -> str:
    for address in get_in(node, "status", "addresses", default=()):
        if address.get("type") == type_:
            return str(address["address"])
    return NONE


# -- events


def _event(obj: Tree, now: datetime) -> Sequence[Any]:
    """Of either API group."""
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    count, first_shown, last_shown = _event_times(obj, now)
    subobject = about.get("fieldPath", "")
    return (
        last_shown,
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about['name']}" if about.get("name") else about.get("kind", "").lower(),
        subobject,
        _event_source(obj),
        (obj.get("message") or obj.get("note") or "").strip(),
        first_shown,
        count,
        name_of(obj),
    )


def _event_times(event: Tree, now: datetime) -> tuple[int, str, str]:
    """How often, when first, when last; old style (count, timestamps) and new style (series, eventTime)."""
    first = event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime")
    last = event.get("lastTimestamp") or event.get("deprecatedLastTimestamp")
    count = event.get("count") or event.get("deprecatedCount") or 1
    if series := event.get("series"):
        count = series.get("count") or count
        last = series.get("lastObservedTime") or last
    return count, since(first, now), since(last or first, now)


def _event_source(event: Tree) -> str:
    source = event.get("source") or event.get("deprecatedSource") or {}
    component = source.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    host = source.get("host") or event.get("reportingInstance") or ""
    return f"{component}, {host}" if component and host else component or host


# -- roles


def _created_at(obj: Tree, now: datetime) -> Sequence[Any]:
    return name_of(obj), obj["metadata"].get("creationTimestamp", "")


def _binding(obj: Tree, now: datetime) -> Sequence[Any]:
    role = obj.get("roleRef") or {}
    subjects = obj.get("subjects") or ()

    def names(kind: str) -> str:
        return ", ".join(
            f"{s['namespace']}/{s['name']}" if kind == "ServiceAccount" and s.get("namespace") else s.get("name", "")
            for s in subjects
            if s.get("kind") == kind
        )

    return (
        name_of(obj),
        f"{role.get('kind', '')}/{role.get('name', '')}",
        age_of(obj, now),
        names("User"),
        names("Group"),
        names("ServiceAccount"),
    )


# -- the rest


def _quota(obj: Tree, now: datetime) -> Sequence[Any]:
    hard, used = get_in(obj, "status", "hard", default={}), get_in(obj, "status", "used", default={})
    requests: list[str] = []
    limits: list[str] = []
    for name in sorted(hard):
        text = f"{name}: {used.get(name, '0')}/{hard[name]}"
        (limits if name.startswith("limits.") else requests).append(text)
    return name_of(obj), ", ".join(requests), ", ".join(limits), age_of(obj, now)


def _lease(obj: Tree, now: datetime) -> Sequence[Any]:
    return name_of(obj), get_in(obj, "spec", "holderIdentity", default=""), age_of(obj, now)


def _priority_class(obj: Tree, now: datetime) -> Sequence[Any]:
    return (
        name_of(obj),
        obj.get("value", 0),
        bool(obj.get("globalDefault")),
        age_of(obj, now),
        obj.get("preemptionPolicy", ""),
    )


def _runtime_class(obj: Tree, now: datetime) -> Sequence[Any]:
    return name_of(obj), obj.get("handler", ""), age_of(obj, now)


def _webhooks(obj: Tree, now: datetime) -> Sequence[Any]:
    return name_of(obj), len(obj.get("webhooks") or ()), age_of(obj, now)


def _policy(obj: Tree, now: datetime) -> Sequence[Any]:
    parameters = get_in(obj, "spec", "paramKind")
    return (
        name_of(obj),
        len(get_in(obj, "spec", "validations", default=())),
        f"{parameters.get('apiVersion', '')}/{parameters.get('kind', '')}" if parameters else UNSET,
        age_of(obj, now),
    )


def _policy_binding(obj: Tree, now: datetime) -> Sequence[Any]:
    reference = get_in(obj, "spec", "paramRef")
    shown = UNSET
    if reference:
        space, name = reference.get("namespace"), reference.get("name")
        shown = (f"{space}/{name}" if space else name) if name else "*"
    return name_of(obj), get_in(obj, "spec", "policyName", default=""), shown, age_of(obj, now)


def _signing_request(obj: Tree, now: datetime) -> Sequence[Any]:
    spec = obj.get("spec") or {}
    seconds = spec.get("expirationSeconds")
    return (
        name_of(obj),
        age_of(obj, now),
        spec.get("signerName") or NONE,
        spec.get("username", ""),
        human_duration(seconds) if seconds else NONE,
        _signing_word(obj),
    )


def _signing_word(request: Tree) -> str:
    conditions = {c.get("type") for c in get_in(request, "status", "conditions", default=())}
    words = [word for word in ("Approved", "Denied", "Failed") if word in conditions] or ["Pending"]
    if get_in(request, "status", "certificate"):
        words.append("Issued")
    return ",".join(words)


def _scale(obj: Tree, now: datetime) -> Sequence[Any]:
    return (
        name_of(obj),
        get_in(obj, "spec", "replicas", default=0),
        get_in(obj, "status", "replicas", default=0),
        age_of(obj, now),
    )


def _component_status(obj: Tree, now: datetime) -> Sequence[Any]:
    return name_of(obj), "Unknown", "", ""


_CREATED = Printer((NAME, Column("Created At", "date")), _created_at)
_BINDINGS = Printer((NAME, Column("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts")), _binding)
_EVENTS = Printer(
    (
        Column("Last Seen"),
        Column("Type"),
        Column("Reason"),
        Column("Object"),
        wide("Subobject"),
        wide("Source"),
        Column("Message"),
        wide("First Seen"),
        wide("Count"),
        Column("Name", priority=1, format="name"),
    ),
    _event,
)
_WEBHOOKS = Printer((NAME, Column("Webhooks", "integer"), AGE), _webhooks)

PRINTERS: dict[str, Printer] = {
    "namespaces": Printer((NAME, Column("Status"), AGE), _namespace),
    "nodes": Printer(
        (
            NAME,
            Column("Status"),
            Column("Roles"),
            AGE,
            Column("Version"),
            wide("Internal-IP"),
            wide("External-IP"),
            wide("OS-Image"),
            wide("Kernel-Version"),
            wide("Container-Runtime"),
        ),
        _node,
    ),
    "events": _EVENTS,
    "events.events.k8s.io": _EVENTS,
    "configmaps": Printer((NAME, Column("Data"), AGE), _config_map),
    "secrets": Printer((NAME, Column("Type"), Column("Data"), AGE), _secret),
    "serviceaccounts": Printer((NAME, AGE), _service_account),
    "resourcequotas": Printer((NAME, Column("Request"), Column("Limit"), AGE), _quota),
    "componentstatuses": Printer((NAME, Column("Status"), Column("Message"), Column("Error")), _component_status),
    "roles.rbac.authorization.k8s.io": _CREATED,
    "clusterroles.rbac.authorization.k8s.io": _CREATED,
    "rolebindings.rbac.authorization.k8s.io": _BINDINGS,
    "clusterrolebindings.rbac.authorization.k8s.io": _BINDINGS,
    "leases.coordination.k8s.io": Printer((NAME, Column("Holder"), AGE), _lease),
    "priorityclasses.scheduling.k8s.io": Printer(
        (NAME, Column("Value", "integer"), Column("Global-Default", "boolean"), AGE, Column("PreemptionPolicy")),
        _priority_class,
    ),
    "runtimeclasses.node.k8s.io": Printer((NAME, Column("Handler"), AGE), _runtime_class),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _WEBHOOKS,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _WEBHOOKS,
    "validatingadmissionpolicies.admissionregistration.k8s.io": Printer(
        (NAME, Column("Validations", "integer"), Column("ParamKind"), AGE), _policy
    ),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": Printer(
        (NAME, Column("PolicyName"), Column("ParamRef"), AGE), _policy_binding
    ),
    "certificatesigningrequests.certificates.k8s.io": Printer(
        (NAME, AGE, Column("SignerName"), Column("Requestor"), Column("RequestedDuration"), Column("Condition")),
        _signing_request,
    ),
}

SCALE = Printer((NAME, Column("Desired", "integer"), Column("Available", "integer"), AGE), _scale)
CREATED = _CREATED
"""For kinds without a printer of their own."""
