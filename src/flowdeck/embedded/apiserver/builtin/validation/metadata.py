"""Rules for `metadata` of every kind: names, labels, annotations, finalizers, owners, and what may not change.

Source: k8s.io/apimachinery (pkg/api/validation/objectmeta.go, pkg/util/validation), wordings on the wire.
"""

from typing import Any

from flowdeck.kube.errors import FieldError, forbidden, invalid, required, too_long
from flowdeck.kube.names import NameRule, dns_label, label_value, qualified_name
from flowdeck.kube.objects import Tree

ANNOTATIONS_MAX_BYTES = 256 * 1024


def validate_labels(labels: Tree | None, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for key, value in (labels or {}).items():
        errors += [invalid(path, key, text) for text in qualified_name(key)]
        errors += [invalid(path, value, text) for text in label_value(value)]
    return errors


def validate_annotations(annotations: Tree | None, path: str) -> list[FieldError]:
    if not annotations:
        return []
    errors: list[FieldError] = []
    size = 0
    for key, value in annotations.items():
        errors += [invalid(path, key, text) for text in qualified_name(key.lower())]
        size += len(key) + len(value)
    if size > ANNOTATIONS_MAX_BYTES // 4:
        size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > ANNOTATIONS_MAX_BYTES:
        errors.append(too_long(path, ANNOTATIONS_MAX_BYTES))
    return errors


def validate_metadata(obj: Tree, namespaced: bool, rule: NameRule, path: str = "metadata") -> list[FieldError]:
    """All rules for a new object's metadata."""
    meta: dict[str, Any] = obj["metadata"]
    errors: list[FieldError] = []
    if prefix := meta.get("generateName"):
        errors += [invalid(f"{path}.generateName", prefix, text) for text in rule(prefix, True)]
    name = meta.get("name")
    if not name:
        errors.append(required(f"{path}.name", "name or generateName is required"))
    else:
        errors += [invalid(f"{path}.name", name, text) for text in rule(name, False)]
    space = meta.get("namespace")
    if namespaced:
        if not space:
            errors.append(required(f"{path}.namespace"))
        else:
            errors += [invalid(f"{path}.namespace", space, text) for text in dns_label(space)]
    elif space:
        errors.append(forbidden(f"{path}.namespace", "not allowed on this type"))
    return errors + _common(meta, path)


def _common(meta: dict[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if labels := meta.get("labels"):
        errors += validate_labels(labels, f"{path}.labels")
    if annotations := meta.get("annotations"):
        errors += validate_annotations(annotations, f"{path}.annotations")
    if owners := meta.get("ownerReferences"):
        errors += _owners(owners, f"{path}.ownerReferences")
    for index, finalizer in enumerate(meta.get("finalizers") or ()):
        errors += _finalizer(finalizer, f"{path}.finalizers", index)
    return errors


_STANDARD_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes", "customresourcecleanup.apiextensions.k8s.io")


def _finalizer(finalizer: str, path: str, index: int) -> list[FieldError]:
    errors = [invalid(path, finalizer, text) for text in qualified_name(finalizer)]
    if not errors and "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
        path = f"{path}[{index}]"
        errors.append(invalid(path, finalizer, "name is neither a standard finalizer name nor is it fully qualified"))
    return errors


def _owners(owners: list[Tree], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    controllers: list[str] = []
    for owner in owners:
        version = owner.get("apiVersion") or ""
        if not version:
            errors.append(invalid(f"{path}.apiVersion", version, "version must not be empty"))
        errors += [
            invalid(f"{path}.{name}", "", "must not be empty")
            for name in ("kind", "name", "uid")
            if not owner.get(name)
        ]
        if version == "v1" and owner.get("kind") == "Event":
            errors.append(invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner"))
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind')}/{owner.get('name')}")
    if len(controllers) > 1:
        errors.append(
            invalid(
                path,
                owners,
                'Only one reference can have Controller set to true. Found "true" in references for '
                f"{controllers[0]} and {controllers[1]}",
            )
        )
    return errors


def validate_metadata_update(obj: Tree, old: Tree, path: str = "metadata") -> list[FieldError]:
    """All rules for changed metadata: the common ones, and what may never change."""
    new_meta, old_meta = obj["metadata"], old["metadata"]
    errors = [
        invalid(f"{path}.{name}", new_meta.get(name) or "", "field is immutable")
        for name in ("name", "namespace", "uid", "creationTimestamp")
        if (new_meta.get(name) or "") != (old_meta.get(name) or "")
    ]
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        if new_meta.get(name) != old_meta.get(name):
            errors.append(invalid(f"{path}.{name}", new_meta.get(name), "field is immutable"))
    if old_meta.get("deletionTimestamp"):
        added = sorted(set(new_meta.get("finalizers") or ()) - set(old_meta.get("finalizers") or ()))
        if added:
            errors.append(
                forbidden(
                    f"{path}.finalizers",
                    "no new finalizers can be added if the object is being deleted, "
                    f"found new finalizers {_go_strings(added)}",
                )
            )
    if any(new_meta.get(name) != old_meta.get(name) for name in _CHECKED):
        errors += _common(new_meta, path)
    return errors


_CHECKED = ("labels", "annotations", "ownerReferences", "finalizers")


def _go_strings(items: list[str]) -> str:
    return "[]string{" + ", ".join(f'"{item}"' for item in items) + "}"
