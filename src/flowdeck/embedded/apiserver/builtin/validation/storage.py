"""Rules for volumes, claims and storage classes.

Source: k8s.io/kubernetes (pkg/apis/core/validation/validation.go, pkg/apis/storage/validation).
"""

from flowdeck.embedded.apiserver.builtin.validation.single_values import (
    Errors,
    immutable,
    label_selector,
    non_negative_quantity,
    one_of,
)
from flowdeck.kube.errors import forbidden, invalid, not_supported, required
from flowdeck.kube.names import dns_subdomain, qualified_name
from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.quantity import parse_quantity

_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_VOLUME_MODES = ("Block", "Filesystem")
_NOT_SOURCES = frozenset(
    {
        "capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "mountOptions",
        "volumeMode", "nodeAffinity", "volumeAttributesClassName",
    }
)  # fmt: skip
_CLAIM_FIXED = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n"
)


def _access_modes(spec: Tree, path: str) -> Errors:
    modes = spec.get("accessModes") or []
    errors: Errors = [] if modes else [required(f"{path}.accessModes", "at least 1 access mode is required")]
    errors += [not_supported(f"{path}.accessModes", mode, _MODES) for mode in modes if mode not in _MODES]
    if "ReadWriteOncePod" in modes and len(set(modes) & set(_MODES)) > 1:
        errors.append(forbidden(f"{path}.accessModes", "may not use ReadWriteOncePod with other access modes"))
    return errors


def validate_claim(claim: Tree) -> Errors:
    return validate_claim_spec(claim.get("spec") or {}, "spec")


def validate_claim_spec(spec: Tree, path: str) -> Errors:
    """A PersistentVolumeClaimSpec wherever it stands."""
    errors = _access_modes(spec, path) + label_selector(spec.get("selector"), f"{path}.selector")
    size = get_in(spec, "resources", "requests", "storage")
    at = f"{path}.resources[storage]"
    if size is None:
        errors.append(required(at))
    elif parse_quantity(size).value <= 0:
        errors.append(invalid(at, size, "must be greater than zero"))
    for name in ("storageClassName", "volumeAttributesClassName"):
        if value := spec.get(name):
            errors += [invalid(f"{path}.{name}", value, text) for text in dns_subdomain(value)]
    if spec.get("volumeMode") not in (None, *_VOLUME_MODES):
        errors.append(not_supported(f"{path}.volumeMode", spec["volumeMode"], _VOLUME_MODES))
    for name in ("dataSource", "dataSourceRef"):
        if (source := spec.get(name)) is not None:
            errors += [required(f"{path}.{name}.{field}") for field in ("name", "kind") if not source.get(field)]
    return errors


def validate_claim_update(new: Tree, old: Tree) -> Errors:
    """After creation a claim can be bound, and when it is bound it can grow."""
    spec, was = dict(new.get("spec") or {}), dict(old.get("spec") or {})
    if not was.get("volumeName"):
        was["volumeName"] = spec.get("volumeName")
    if was.get("storageClassName") is None:  # a default that was found later
        was["storageClassName"] = spec.get("storageClassName")
    is_bound = get_in(new, "status", "phase") == "Bound"
    errors: Errors = []
    if _without_growth(spec, is_bound=is_bound) != _without_growth(was, is_bound=is_bound):
        errors.append(forbidden("spec", _CLAIM_FIXED))
    size, before = (get_in(s, "resources", "requests", "storage", default="0") for s in (spec, was))
    has = get_in(old, "status", "capacity", "storage", default="0")
    if (
        parse_quantity(size).value < parse_quantity(before).value
        and parse_quantity(size).value <= parse_quantity(has).value
    ):
        errors.append(forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"))
    return errors


def _without_growth(spec: Tree, *, is_bound: bool) -> Tree:
    left = {name: value for name, value in spec.items() if value is not None}
    if is_bound:
        left.pop("volumeAttributesClassName", None)
        left["resources"] = {**(left.get("resources") or {}), "requests": {}}
    return left


def validate_volume(volume: Tree) -> Errors:
    spec = volume.get("spec") or {}
    errors = _access_modes(spec, "spec")
    capacity = spec.get("capacity") or {}
    if not capacity:
        errors.append(required("spec.capacity"))
    elif set(capacity) != {"storage"}:
        errors.append(not_supported("spec.capacity", sorted(capacity), ("storage",)))
    for name, amount in capacity.items():
        errors += non_negative_quantity(amount, f"spec.capacity[{name}]")
    sources = [name for name in spec if name not in _NOT_SOURCES]
    if not sources:
        errors.append(required("spec", "must specify a volume type"))
    errors += [forbidden(f"spec.{name}", "may not specify more than 1 volume type") for name in sources[1:]]
    policy = spec.get("persistentVolumeReclaimPolicy")
    errors += one_of(policy, "spec.persistentVolumeReclaimPolicy", ("Delete", "Recycle", "Retain"))
    if "hostPath" in spec and not get_in(spec, "hostPath", "path"):
        errors.append(required("spec.hostPath.path"))
    if spec.get("local") and not spec.get("nodeAffinity"):
        errors.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    return errors


def validate_volume_update(new: Tree, old: Tree) -> Errors:
    """What a volume is made of stays; only its size, class, policies and claim may change."""
    spec, was = new.get("spec") or {}, old.get("spec") or {}

    def source(of: Tree) -> Tree:
        return {name: value for name, value in of.items() if name not in _NOT_SOURCES}

    errors: Errors = []
    if source(spec) != source(was):
        errors.append(
            forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation\n")
        )
    if was.get("volumeMode") and spec.get("volumeMode") != was["volumeMode"]:
        errors.append(invalid("spec.volumeMode", spec.get("volumeMode"), "field is immutable"))
    return errors


def validate_storage_class(storage_class: Tree) -> Errors:
    provisioner = storage_class.get("provisioner") or ""
    errors: Errors = [] if provisioner else [required("provisioner")]
    errors += [
        invalid("provisioner", provisioner, text)
        for text in (qualified_name(provisioner.lower()) if provisioner else ())
    ]
    errors += one_of(storage_class.get("reclaimPolicy"), "reclaimPolicy", ("Delete", "Retain"))
    return errors + one_of(
        storage_class.get("volumeBindingMode"), "volumeBindingMode", ("Immediate", "WaitForFirstConsumer")
    )


def validate_storage_class_update(new: Tree, old: Tree) -> Errors:
    errors: Errors = [
        forbidden(name, f"updates to {name} are forbidden.")
        for name in ("parameters", "provisioner", "reclaimPolicy")
        if new.get(name) != old.get(name)
    ]
    return errors + immutable(new.get("volumeBindingMode"), old.get("volumeBindingMode"), "volumeBindingMode")
