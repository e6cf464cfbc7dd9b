"""Rules for the volumes of a pod and where they are mounted.

Source: k8s.io/kubernetes (pkg/apis/core/validation/validation.go).
"""

from flowdeck.embedded.apiserver.builtin.validation.single_values import Errors, config_key
from flowdeck.kube.errors import FieldError, duplicate, forbidden, invalid, not_supported, required
from flowdeck.kube.names import dns_label
from flowdeck.kube.objects import Tree
from flowdeck.kube.quantity import parse_quantity

_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_HOST_PATHS = (
    "", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice",
)  # fmt: skip
_FILES = {"secret": "secretName", "configMap": "name"}


def validate_volumes(volumes: list[Tree] | None, path: str) -> tuple[dict[str, Tree], Errors]:
    """The good volumes by name, and what is wrong with the others."""
    found: dict[str, Tree] = {}
    errors: Errors = []
    for index, volume in enumerate(volumes or ()):
        at = f"{path}[{index}]"
        name = volume.get("name") or ""
        wrong = _source(volume, at)
        if not name:
            wrong.append(required(f"{at}.name"))
        else:
            wrong += [invalid(f"{at}.name", name, text) for text in dns_label(name)]
        if name in found:
            wrong.append(duplicate(f"{at}.name", name))
        if wrong:
            errors += wrong
        else:
            found[name] = volume
    return found, errors


def _source(volume: Tree, path: str) -> Errors:
    kinds = [name for name in volume if name != "name"]
    if not kinds:
        return [required(path, "must specify a volume type")]
    errors: Errors = [forbidden(f"{path}.{kind}", "may not specify more than 1 volume type") for kind in kinds[1:]]
    kind = kinds[0]
    return errors + _one_source(kind, volume[kind], f"{path}.{kind}")


def _one_source(kind: str, source: Tree, path: str) -> Errors:
    match kind:
        case "secret" | "configMap":
            return _files(source, _FILES[kind], path)
        case "hostPath":
            return _host_path(source, path)
        case "persistentVolumeClaim":
            return [] if source.get("claimName") else [required(f"{path}.claimName")]
        case "emptyDir":
            limit = source.get("sizeLimit")
            if limit is not None and parse_quantity(limit).value < 0:
                return [forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
        case "nfs":
            return _nfs(source, path)
        case "projected":
            return _projected(source, path)
        case "downwardAPI":
            return _mode(source.get("defaultMode"), f"{path}.defaultMode") + _downward_items(source, path)
        case "ephemeral":
            return [] if source.get("volumeClaimTemplate") else [required(f"{path}.volumeClaimTemplate")]
        case "csi":
            return [] if source.get("driver") else [required(f"{path}.driver")]
    return []


def _mode(mode: int | None, path: str) -> Errors:
    return [invalid(path, mode, _MODE)] if mode is not None and not 0 <= mode <= 0o777 else []


def _files(source: Tree, name_field: str, path: str) -> Errors:
    errors: Errors = [] if source.get(name_field) else [required(f"{path}.{name_field}")]
    errors += _mode(source.get("defaultMode"), f"{path}.defaultMode")
    return errors + _items(source, path)


def _items(source: Tree, path: str) -> Errors:
    errors: Errors = []
    for index, item in enumerate(source.get("items") or ()):
        at = f"{path}.items[{index}]"
        if not item.get("key"):
            errors.append(required(f"{at}.key"))
        else:
            errors += [invalid(f"{at}.key", item["key"], text) for text in config_key(item["key"])]
        errors += _inner_path(item.get("path"), f"{at}.path")
        errors += _mode(item.get("mode"), f"{at}.mode")
    return errors


def _inner_path(value: str | None, path: str) -> Errors:
    if not value:
        return [required(path)]
    errors = descending_path(value, path)
    if value.startswith("..") and not value.startswith("../"):
        errors.append(invalid(path, value, "must not start with '..'"))
    return errors


def descending_path(value: str, path: str) -> Errors:
    errors: Errors = []
    if value.startswith("/"):
        errors.append(invalid(path, value, "must be a relative path"))
    if ".." in value.split("/"):
        errors.append(invalid(path, value, "must not contain '..'"))
    return errors


def _host_path(source: Tree, path: str) -> Errors:
    value = source.get("path")
    errors: Errors = []
    if not value:
        errors.append(required(f"{path}.path"))
    elif ".." in value.split("/"):
        errors.append(invalid(f"{path}.path", value, "must not contain '..'"))
    if source.get("type") not in (None, *_HOST_PATHS):
        errors.append(not_supported(f"{path}.type", source["type"], sorted(_HOST_PATHS)))
    return errors


def _nfs(source: Tree, path: str) -> Errors:
    errors: Errors = [required(f"{path}.{name}") for name in ("server", "path") if not source.get(name)]
    if source.get("path") and not source["path"].startswith("/"):
        errors.append(invalid(f"{path}.path", source["path"], "must be an absolute path"))
    return errors


def _projected(source: Tree, path: str) -> Errors:
    errors = _mode(source.get("defaultMode"), f"{path}.defaultMode")
    taken: set[str] = set()
    for index, part in enumerate(source.get("sources") or ()):
        at = f"{path}.sources[{index}]"
        kinds = list(part)
        errors += [
            forbidden(f"{at}.{kind}", "may not specify more than 1 volume type per source") for kind in kinds[1:]
        ]
        if not kinds:
            errors.append(required(at, "must specify a volume source"))
            continue
        errors += _projection(kinds[0], part[kinds[0]], f"{at}.{kinds[0]}")
        for name in _paths_of(kinds[0], part[kinds[0]]):
            if name in taken:
                errors.append(invalid(path, name, "conflicting duplicate paths"))
            taken.add(name)
    return errors


def _projection(kind: str, source: Tree, path: str) -> Errors:
    match kind:
        case "secret" | "configMap":
            errors: Errors = [] if source.get("name") else [required(f"{path}.name")]
            return errors + _items(source, path)
        case "downwardAPI":
            return _downward_items(source, path)
        case "serviceAccountToken":
            errors = [] if source.get("path") else [required(f"{path}.path")]
            seconds = source.get("expirationSeconds", 3600)
            if seconds < 600:
                errors.append(
                    invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
                )
            elif seconds > 1 << 32:
                errors.append(
                    invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
                )
            return errors
    return []


def _paths_of(kind: str, source: Tree) -> list[str]:
    if kind == "serviceAccountToken":
        return [source.get("path") or ""]
    return [item.get("path") or "" for item in source.get("items") or ()]


def _downward_items(source: Tree, path: str) -> Errors:
    errors: Errors = []
    for index, item in enumerate(source.get("items") or ()):
        at = f"{path}.items[{index}]"
        errors += _inner_path(item.get("path"), f"{at}.path")
        if bool(item.get("fieldRef")) == bool(item.get("resourceFieldRef")):
            text = "fieldRef and resourceFieldRef can not be specified simultaneously"
            errors.append(
                FieldError("FieldValueInvalid", at, f'Invalid value: "": {text}')
                if item.get("fieldRef")
                else required(at, "one of fieldRef and resourceFieldRef is required")
            )
        errors += _mode(item.get("mode"), f"{at}.mode")
    return errors


def validate_mounts(container: Tree, volumes: dict[str, Tree], path: str) -> Errors:
    """A container's volumeMounts and volumeDevices."""
    errors: Errors = []
    points: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        at = f"{path}.volumeMounts[{index}]"
        name, point = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            errors.append(required(f"{at}.name"))
        if name not in volumes:
            errors.append(FieldError("FieldValueNotFound", f"{at}.name", f'Not found: "{name}"'))
        if not point:
            errors.append(required(f"{at}.mountPath"))
        if point in points:
            errors.append(invalid(f"{at}.mountPath", point, "must be unique"))
        points.add(point)
        for field in ("subPath", "subPathExpr"):
            if mount.get(field):
                errors += descending_path(mount[field], f"{path}.volumeMounts.{field}")
        if mount.get("subPath") and mount.get("subPathExpr"):
            text = "subPathExpr and subPath are mutually exclusive"
            errors.append(invalid(f"{at}.subPathExpr", mount["subPathExpr"], text))
    for index, device in enumerate(container.get("volumeDevices") or ()):
        at = f"{path}.volumeDevices[{index}]"
        errors += [required(f"{at}.{field}") for field in ("name", "devicePath") if not device.get(field)]
        if device.get("name") and device["name"] not in volumes:
            errors.append(FieldError("FieldValueNotFound", f"{at}.name", f'Not found: "{device["name"]}"'))
    return errors
