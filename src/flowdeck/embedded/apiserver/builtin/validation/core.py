"""Rules for the core group's smaller kinds: configuration, quotas, limits, events, namespaces, nodes.

Source: k8s.io/kubernetes (pkg/apis/core/validation/validation.go, events.go).
"""

import base64
import binascii
from collections.abc import Mapping

import orjson

from flowdeck.embedded.apiserver.builtin.validation.resources import validate_amounts
from flowdeck.embedded.apiserver.builtin.validation.single_values import Errors, config_key, immutable, one_of
from flowdeck.kube.errors import FieldError, forbidden, invalid, not_supported, required, too_long
from flowdeck.kube.names import qualified_name
from flowdeck.kube.objects import Tree, annotations_of
from flowdeck.kube.quantity import parse_quantity

_MAX_BYTES = 1024 * 1024
"""Of a ConfigMap's and of a Secret's data."""
_COUNTED = frozenset(
    {
        "configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets",
        "services", "services.loadbalancers", "services.nodeports",
    }
)  # fmt: skip
_MEASURED = frozenset(
    {
        "cpu", "memory", "storage", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage",
        "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
    }
)  # fmt: skip
"""What quotas know by a short name."""
_CONFLICTING = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
_FIXED = "field is immutable when `immutable` is set"


def _keys(data: Mapping[str, str] | None, path: str) -> Errors:
    return [invalid(f"{path}[{key}]", key, text) for key in data or () for text in config_key(key)]


def _size(base64_text: str) -> int:
    return len(base64_text) * 3 // 4 - base64_text[-2:].count("=")


def validate_config_map(config_map: Tree) -> Errors:
    data, binary = config_map.get("data") or {}, config_map.get("binaryData") or {}
    errors = _keys(data, "data") + _keys(binary, "binaryData")
    for key in data.keys() & binary.keys():
        errors.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    size = sum(map(len, data.values()))
    if size > _MAX_BYTES // 4:
        size = sum(len(value.encode()) for value in data.values())
    size += sum(_size(value) for value in binary.values())
    if size > _MAX_BYTES:
        errors.append(too_long("[]", _MAX_BYTES))
    return errors


def validate_namespace_status(namespace: Tree, old: Tree) -> Errors:
    phase = (namespace.get("status") or {}).get("phase")
    if not namespace["metadata"].get("deletionTimestamp") and phase not in (None, "Active"):
        return [invalid("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty")]
    if namespace["metadata"].get("deletionTimestamp") and phase != "Terminating":
        return [invalid("status.Phase", phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")]
    return []


def validate_config_map_update(new: Tree, old: Tree) -> Errors:
    return _kept(new, old, "data", "binaryData")


def _kept(new: Tree, old: Tree, *fields: str) -> Errors:
    if not old.get("immutable"):
        return []
    errors: Errors = [] if new.get("immutable") else [forbidden("immutable", _FIXED)]
    return errors + [forbidden(name, _FIXED) for name in fields if new.get(name) != old.get(name)]


_NEEDED = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_ACCOUNT = "kubernetes.io/service-account.name"


def validate_secret(secret: Tree) -> Errors:
    data, kind = secret.get("data") or {}, secret.get("type", "Opaque")
    errors = _keys(data, "data")
    if sum(_size(value) for value in data.values()) > _MAX_BYTES:
        errors.append(too_long("data", _MAX_BYTES))
    missing = [key for key in _NEEDED.get(kind, ()) if key not in data]
    errors += [required(f"data[{key}]") for key in missing]
    if kind in ("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson") and not missing:
        errors += _json_object(_NEEDED[kind][0], data)
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & data.keys():
        errors += [required("data[username]"), required("data[password]")]
    if kind == "kubernetes.io/service-account-token" and not annotations_of(secret).get(_ACCOUNT):
        errors.append(required(f"metadata.annotations[{_ACCOUNT}]"))
    return errors


def _json_object(key: str, data: Mapping[str, str]) -> Errors:
    try:
        found = orjson.loads(base64.b64decode(data[key]))
    except (binascii.Error, orjson.JSONDecodeError) as error:
        return [invalid(f"data[{key}]", "<secret contents redacted>", str(error))]
    return [] if isinstance(found, dict) else [invalid(f"data[{key}]", "<secret contents redacted>", "no JSON object")]


def validate_secret_update(new: Tree, old: Tree) -> Errors:
    return immutable(new.get("type"), old.get("type"), "type") + _kept(new, old, "data")


_SCOPES = (
    "BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating",
    "VolumeAttributesClass",
)  # fmt: skip


def validate_quota(quota: Tree) -> Errors:
    spec = quota.get("spec") or {}
    errors = validate_amounts(spec.get("hard"), "spec.hard") + _counted(spec.get("hard"), "spec.hard")
    scopes = spec.get("scopes") or ()
    if any(pair <= set(scopes) for pair in _CONFLICTING):
        errors.append(invalid("spec.scopes", list(scopes), "conflicting scopes"))
    for scope in spec.get("scopes") or ():
        if scope not in _SCOPES:
            errors.append(invalid("spec.scopes", spec["scopes"], "unsupported scope"))
    for expression in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        path = "spec.scopeSelector.matchExpressions"
        if expression.get("scopeName") not in _SCOPES:
            errors.append(invalid(f"{path}.scopeName", expression.get("scopeName"), "unsupported scope"))
        values = expression.get("values") or ()
        if expression.get("operator") in ("In", "NotIn") and not values:
            text = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            errors.append(required(f"{path}.values", text))
    return errors


def validate_quota_status(new: Tree, old: Tree) -> Errors:
    errors: Errors = []
    for name in ("hard", "used"):
        amounts = (new.get("status") or {}).get(name)
        errors += validate_amounts(amounts, f"status.{name}") + _counted(amounts, f"status.{name}")
    return errors


def _counted(amounts: Mapping[str, str] | None, path: str) -> Errors:
    """Names that a quota knows, and whole numbers of what can only be counted."""
    errors: Errors = []
    for name, amount in (amounts or {}).items():
        if "/" not in name and name not in _COUNTED and name not in _MEASURED and not name.startswith("hugepages-"):
            for text in (
                "must be a standard resource type or fully qualified",
                "must be a standard resource for quota",
            ):
                errors.append(invalid(f"{path}[{name}]", name, text))
        if name in _COUNTED and parse_quantity(amount).value % 1:
            errors.append(invalid(f"{path}[{name}]", amount, "must be an integer"))
    return errors


def validate_quota_update(new: Tree, old: Tree) -> Errors:
    """Scopes say which objects count; they are not changed under a running count."""
    errors: Errors = []
    before, now = (set((obj.get("spec") or {}).get("scopes") or ()) for obj in (old, new))
    if before != now:
        errors.append(invalid("spec.scopes", sorted(now), "field is immutable"))
    return errors


def validate_limit_range(limit_range: Tree) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for index, item in enumerate((limit_range.get("spec") or {}).get("limits") or ()):
        path, kind = f"spec.limits[{index}]", item.get("type") or ""
        errors += [invalid(f"{path}.type", kind, text) for text in qualified_name(kind)]
        if kind and "/" not in kind and kind not in _LIMIT_TYPES:
            errors.append(invalid(f"{path}.type", kind, "must be a standard limit type or fully qualified"))
        if kind in seen:
            errors.append(FieldError("FieldValueDuplicate", f"{path}.type", f'Duplicate value: "{kind}"'))
        seen.add(kind)
        if kind == "Pod":
            errors += [
                forbidden(f"{path}.{name}", "may not be specified when `type` is 'Pod'")
                for name in ("default", "defaultRequest")
                if item.get(name)
            ]
        if kind == "PersistentVolumeClaim" and not any("storage" in (item.get(name) or {}) for name in ("min", "max")):
            told = "either minimum or maximum storage value is required, but neither was provided"
            errors.append(required(f"{path}.limits", told))
        for name in dict.fromkeys(name for word in _LIMIT_WORDS for name in item.get(word) or ()):
            errors += _limit_order(item, name, path)
    return errors


_LIMIT_TYPES = ("Container", "PersistentVolumeClaim", "Pod")
_LIMIT_WORDS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_ORDER = (
    ("min", "max", "min", "min", "max"),
    ("min", "defaultRequest", "defaultRequest", "min", "default request"),
    ("defaultRequest", "max", "defaultRequest", "default request", "max"),
    ("defaultRequest", "default", "defaultRequest", "default request", "default limit"),
    ("min", "default", "min", "min", "default"),
    ("default", "max", "max", "default", "max"),
)
"""What may not be more than what; whose amount the error shows; what the two are called in it."""


def _limit_order(item: Tree, name: str, path: str) -> Errors:
    errors: Errors = []
    amounts = {word: (item.get(word) or {}).get(name) for word in _LIMIT_WORDS}
    for low, high, shown, low_word, high_word in _ORDER:
        less, more = amounts[low], amounts[high]
        if less is not None and more is not None and parse_quantity(less).value > parse_quantity(more).value:
            at = high if low == "min" and high != "max" else low
            text = f"{low_word} value {less} is greater than {high_word} value {more}"
            errors.append(invalid(f"{path}.{at}[{name}]", amounts[shown], text))
    if (ratio := amounts["maxLimitRequestRatio"]) is not None:
        errors += _ratio_error(ratio, amounts["min"], amounts["max"], f"{path}.maxLimitRequestRatio[{name}]")
    return errors


def _ratio_error(ratio: str, low: str | None, high: str | None, path: str) -> Errors:
    value = parse_quantity(ratio).value
    if value < 1:
        return [invalid(path, ratio, f"ratio {ratio} is less than 1")]
    if low is None or high is None or not (divisor := parse_quantity(low).value):
        return []
    most = parse_quantity(high).value / divisor
    return [invalid(path, ratio, f"ratio {ratio} is greater than max/min = {float(most):f}")] if value > most else []


def validate_event(event: Tree) -> Errors:
    """Old style: the namespace is that of the object it is about."""
    about, space = event.get("involvedObject") or {}, event["metadata"].get("namespace") or ""
    theirs = about.get("namespace") or ""
    if theirs and theirs != space:
        return [invalid("involvedObject.namespace", theirs, "does not match event.namespace")]
    if not theirs and space != "default":
        return [invalid("involvedObject.namespace", theirs, "does not match event.namespace")]
    return []


def validate_event_v1(event: Tree) -> Errors:
    if event.get("deprecatedFirstTimestamp"):  # made in the old API
        return []
    errors: Errors = [
        required(name) for name in ("eventTime", "reportingController", "reportingInstance", "action", "reason")
        if not event.get(name)
    ]  # fmt: skip
    if event.get("type") not in ("Normal", "Warning"):
        errors.append(invalid("type", event.get("type", ""), "has invalid value: " + str(event.get("type", ""))))
    return errors


_EFFECTS = ("NoExecute", "NoSchedule", "PreferNoSchedule")


def validate_node(node: Tree) -> Errors:
    errors: Errors = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate((node.get("spec") or {}).get("taints") or ()):
        path, key, effect = f"spec.taints[{index}]", taint.get("key") or "", taint.get("effect") or ""
        errors += [invalid(f"{path}.key", key, text) for text in qualified_name(key)]
        errors += one_of(effect, f"{path}.effect", _EFFECTS)
        if (key, effect) in seen:
            errors.append(
                FieldError("FieldValueDuplicate", path, "Duplicate value: taints must be unique by key and effect pair")
            )
        seen.add((key, effect))
    return errors


def validate_node_update(new: Tree, old: Tree) -> Errors:
    now, was = new.get("spec") or {}, old.get("spec") or {}
    errors: Errors = []
    if was.get("providerID") and now.get("providerID") != was["providerID"]:
        errors.append(forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid'))
    if was.get("podCIDRs") and now.get("podCIDRs") != was["podCIDRs"]:
        errors.append(forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'))
    return errors


def validate_lease(lease: Tree) -> Errors:
    spec = lease.get("spec") or {}
    errors: Errors = []
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        errors.append(invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        errors.append(invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    return errors


_MAX_USER_PRIORITY = 1_000_000_000


def validate_priority_class(priority_class: Tree) -> Errors:
    name, value = priority_class["metadata"].get("name") or "", priority_class.get("value") or 0
    errors: Errors = []
    is_system = name in ("system-cluster-critical", "system-node-critical")
    if name.startswith("system-") and not is_system:
        text = "priority class names with 'system-' prefix are reserved for system use only. error: "
        errors.append(forbidden("metadata.name", text + f"{name} is not a known system priority class"))
    if value > _MAX_USER_PRIORITY and not is_system:
        text = f"maximum allowed value of a user defined priority is {_MAX_USER_PRIORITY}"
        errors.append(forbidden("value", text))
    policy = priority_class.get("preemptionPolicy")
    if policy not in ("Never", "PreemptLowerPriority"):
        errors.append(not_supported("preemptionPolicy", policy, ("PreemptLowerPriority", "Never")))
    return errors


def validate_priority_class_update(new: Tree, old: Tree) -> Errors:
    errors: Errors = []
    if new.get("value") != old.get("value"):
        errors.append(forbidden("value", "may not be changed in an update."))
    return errors + immutable(new.get("preemptionPolicy"), old.get("preemptionPolicy"), "preemptionPolicy")


def validate_runtime_class_update(new: Tree, old: Tree) -> Errors:
    return immutable(new.get("handler"), old.get("handler"), "handler")
