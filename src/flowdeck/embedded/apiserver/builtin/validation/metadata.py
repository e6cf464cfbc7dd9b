"""Rules for `metadata` of every kind: names, labels, annotations, finalizers, owners, and what may not change.

Source: k8s.io/apimachinery (pkg/api/validation/objectmeta.go, pkg/util/validation), wordings on the wire.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flowdeck.kube.errors import FieldError, forbidden, invalid, required, too_long
from flowdeck.kube.objects import Tree

NameRule = Callable[[str, bool], list[str]]
"""What is wrong with a name; the flag says that it is a prefix (generateName), to be completed by five letters."""

ANNOTATIONS_MAX_BYTES = 256 * 1024

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\Z")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z")

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation "
    "is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
    "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def too_long_text(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def dns_label(name: str, prefix: bool = False) -> list[str]:
    return _dns(_masked(name, prefix), 63, _LABEL, _LABEL_TEXT)


def dns_subdomain(name: str, prefix: bool = False) -> list[str]:
    return _dns(_masked(name, prefix), 253, _SUBDOMAIN, _SUBDOMAIN_TEXT)


def dns_1035_label(name: str, prefix: bool = False) -> list[str]:
    return _dns(_masked(name, prefix), 63, _LABEL_1035, _LABEL_1035_TEXT)


def path_segment(name: str, prefix: bool = False) -> list[str]:
    """For names that need only be usable in a URL: roles and their bindings."""
    if not prefix and name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{illegal}'" for illegal in ("/", "%") if illegal in name]


def _masked(name: str, prefix: bool) -> str:
    """A prefix may end in a dash, since letters follow."""
    return name[:-1] + "a" if prefix and len(name) > 1 and name.endswith("-") else name


def _dns(name: str, limit: int, pattern: re.Pattern[str], text: str) -> list[str]:
    if len(name) <= limit and pattern.match(name):
        return []
    told = [too_long_text(limit)] if len(name) > limit else []
    return told if pattern.match(name) else [*told, text]


@lru_cache(4096)
def qualified_name(name: str) -> tuple[str, ...]:
    """What is wrong with a label key, annotation key, finalizer or resource name: `[prefix/]name`."""
    prefix, slash, last = name.rpartition("/")
    if slash and ("/" in prefix):
        optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return (f"a qualified name {_QUALIFIED_TEXT} {optional}",)
    told: list[str] = []
    if slash:
        if not prefix:
            told.append("prefix part must be non-empty")
        else:
            told += [f"prefix part {text}" for text in dns_subdomain(prefix)]
    if not last:
        told.append("name part must be non-empty")
    elif len(last) > 63:
        told.append(f"name part {too_long_text(63)}")
    if not _QUALIFIED.match(last):
        told.append(f"name part {_QUALIFIED_TEXT}")
    return tuple(told)


@lru_cache(4096)
def label_value(value: str) -> tuple[str, ...]:
    told = (too_long_text(63),) if len(value) > 63 else ()
    return told if _LABEL_VALUE.match(value) else (*told, _LABEL_VALUE_TEXT)


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
    for finalizer in meta.get("finalizers") or ():
        errors += _finalizer(finalizer, f"{path}.finalizers")
    return errors


_STANDARD_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes", "customresourcecleanup.apiextensions.k8s.io")


def _finalizer(finalizer: str, path: str) -> list[FieldError]:
    errors = [invalid(path, finalizer, text) for text in qualified_name(finalizer)]
    if not errors and "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
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
            invalid(f"{path}.{name}", "", f"{name} must not be empty")
            for name in ("kind", "name", "uid")
            if not owner.get(name)
        ]
        if version == "v1" and owner.get("kind") == "Event":
            errors.append(invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner"))
        if owner.get("controller"):
            controllers.append(str(owner.get("name")))
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
