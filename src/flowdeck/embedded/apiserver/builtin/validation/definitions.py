"""Rules for CustomResourceDefinitions: names, versions, columns, subresources.

Source: k8s.io/apiextensions-apiserver (pkg/apis/apiextensions/validation, pkg/apiserver/schema).
"""

from collections.abc import Iterator
from typing import Any

from flowdeck.embedded.apiserver.builtin.validation.definition_schemas import validate_schemas
from flowdeck.kube.errors import FieldError, forbidden, invalid, not_supported, required
from flowdeck.kube.json_path import compile_path
from flowdeck.kube.names import dns_1035_label, dns_subdomain
from flowdeck.kube.objects import Tree, annotations_of, get_in

Errors = list[FieldError]

_APPROVAL = "api-approved.kubernetes.io"
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_SELECTABLE = ("boolean", "integer", "string")


def validate_definition(definition: Tree) -> Errors:
    spec = definition["spec"]
    return [*_names(definition, spec), *_versions(spec), *validate_schemas(spec), *_conversion(spec)]


def validate_definition_update(definition: Tree, old: Tree) -> Errors:
    spec, was = definition["spec"], old["spec"]
    errors = [
        invalid(f"spec.{path}", get_in(spec, *path.split(".")), "field is immutable")
        for path in ("group", "scope", "names.kind", "names.plural")
        if get_in(spec, *path.split(".")) != get_in(was, *path.split("."))
    ]
    names = {version.get("name") for version in spec.get("versions") or ()}
    for index, stored in enumerate(get_in(definition, "status", "storedVersions", default=())):
        if stored not in names:
            errors.append(
                invalid(
                    f"status.storedVersions[{index}]",
                    stored,
                    "missing from spec.versions; "
                    f"{stored} was previously a storage version, and must remain in spec.versions until "
                    "a storage migration ensures no data remains persisted in "
                    f"{stored} and removes {stored} from status.storedVersions",
                )
            )
    return errors


def definition_warnings(definition: Tree, old: Tree | None) -> list[str]:
    spec = definition["spec"]
    if get_in(spec, "conversion", "strategy") == "Webhook" and len(spec.get("versions") or ()) > 1:
        return ["spec.conversion: conversion webhooks are not called: objects keep their fields in every version"]
    return []


# -- names


def _names(definition: Tree, spec: Tree) -> Iterator[FieldError]:
    group, names = spec.get("group") or "", spec.get("names") or {}
    plural = names.get("plural") or ""
    name = definition["metadata"].get("name")
    if name != f"{plural}.{group}":
        yield invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    if not group:
        yield required("spec.group")
    elif problems := dns_subdomain(group):
        yield invalid("spec.group", group, ",".join(problems))
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")
    if group.endswith((".k8s.io", ".kubernetes.io")) and not annotations_of(definition).get(_APPROVAL):
        yield required(
            f"metadata.annotations[{_APPROVAL}]",
            f'protected groups must have approval annotation "{_APPROVAL}", see '
            "https://github.com/kubernetes/enhancements/pull/1111",
        )
    scope = spec.get("scope")
    if not scope:
        yield required("spec.scope")
    elif scope not in ("Cluster", "Namespaced"):
        yield not_supported("spec.scope", scope, ("Cluster", "Namespaced"))
    for field in ("plural", "singular"):
        value = names.get(field) or ""
        if not value:
            yield required(f"spec.names.{field}")
        else:
            yield from (invalid(f"spec.names.{field}", value, text) for text in dns_1035_label(value))
    yield from _kind_names(names)
    for field in ("shortNames", "categories"):
        for index, value in enumerate(names.get(field) or ()):
            yield from (invalid(f"spec.names.{field}[{index}]", value, text) for text in dns_1035_label(value))


def _kind_names(names: Tree) -> Iterator[FieldError]:
    for field in ("kind", "listKind"):
        value = names.get(field) or ""
        if not value:
            yield required(f"spec.names.{field}")
        for text in dns_1035_label(value.lower()) if value else ():
            yield invalid(f"spec.names.{field}", value, f"may have mixed case, but should otherwise match: {text}")
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        yield invalid("spec.names.listKind", names["listKind"], "kind and listKind may not be the same")


# -- versions


def _versions(spec: Tree) -> Iterator[FieldError]:
    versions = spec.get("versions") or []
    seen: set[str] = set()
    for index, version in enumerate(versions):
        name, path = version.get("name") or "", f"spec.versions[{index}]"
        yield from (invalid(f"{path}.name", name, text) for text in dns_1035_label(name))
        if name in seen:
            yield invalid("spec.versions", [v.get("name") for v in versions], "must contain unique version names")
        seen.add(name)
        if not get_in(version, "schema", "openAPIV3Schema"):
            yield required(f"{path}.schema.openAPIV3Schema")
        yield from _columns(version, path)
        yield from _subresources(version, path)
        yield from _selectable(version, path)
        if version.get("deprecationWarning") and not version.get("deprecated"):
            yield invalid(
                f"{path}.deprecationWarning",
                version["deprecationWarning"],
                "can only be set for deprecated versions",
            )
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield invalid(
            "spec.versions",
            [v.get("name") for v in versions],
            "must have exactly one version marked as storage version",
        )


def _is_path(text: str) -> bool:
    try:
        compile_path(text)
    except ValueError:
        return False
    return True


def _columns(version: Tree, path: str) -> Iterator[FieldError]:
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        at = f"{path}.additionalPrinterColumns[{index}]"
        if not column.get("name"):
            yield required(f"{at}.name")
        if not column.get("type"):
            yield required(f"{at}.type", f"must be one of {','.join(_COLUMN_TYPES)}")
        elif column["type"] not in _COLUMN_TYPES:
            yield invalid(f"{at}.type", column["type"], f"must be one of {','.join(_COLUMN_TYPES)}")
        if not column.get("jsonPath"):
            yield required(f"{at}.JSONPath")
        elif not column["jsonPath"].startswith("."):
            yield invalid(f"{at}.JSONPath", column["jsonPath"], "must be a simple json path starting with .")
        elif not _is_path(column["jsonPath"]):
            yield invalid(f"{at}.JSONPath", column["jsonPath"], "is an invalid json path")


def _subresources(version: Tree, path: str) -> Iterator[FieldError]:
    scale = (version.get("subresources") or {}).get("scale")
    if scale is None:
        return
    at = f"{path}.subresources.scale"
    for field, roots in (
        ("specReplicasPath", (".spec",)),
        ("statusReplicasPath", (".status",)),
        ("labelSelectorPath", (".spec", ".status")),
    ):
        value = scale.get(field) or ""
        if not value:
            if field != "labelSelectorPath":
                yield required(f"{at}.{field}")
        elif not value.startswith(tuple(f"{root}." for root in roots)):
            wanted = " or ".join(roots)
            yield invalid(f"{at}.{field}", value, f"should be a json path under {wanted}")


def _selectable(version: Tree, path: str) -> Iterator[FieldError]:
    schema = get_in(version, "schema", "openAPIV3Schema", default={})
    for index, field in enumerate(version.get("selectableFields") or ()):
        at, json_path = f"{path}.selectableFields[{index}].jsonPath", field.get("jsonPath") or ""
        if not json_path:
            yield required(at)
            continue
        found: Any = schema
        for name in json_path.strip(".").split("."):
            found = get_in(found, "properties", name)
        if found is None:
            yield invalid(at, json_path, "does not refer to a valid field")
        elif found.get("type") not in _SELECTABLE:
            yield invalid(at, json_path, "must refer to a field of type string, boolean or integer")


def _conversion(spec: Tree) -> Iterator[FieldError]:
    conversion = spec.get("conversion") or {}
    strategy = conversion.get("strategy")
    if strategy not in ("None", "Webhook"):
        yield not_supported("spec.conversion.strategy", strategy, ("None", "Webhook"))
    if strategy == "Webhook" and not get_in(conversion, "webhook", "clientConfig"):
        yield required("spec.conversion.webhookClientConfig", "required when strategy is set to Webhook")
    if strategy == "None" and conversion.get("webhook"):
        yield forbidden("spec.conversion.webhookClientConfig", "should not be set when strategy is not set to Webhook")
