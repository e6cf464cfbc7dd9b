"""What Go says when JSON does not fit its types: the errors of decoding a built-in kind.

Source: Go's encoding/json, k8s.io/apimachinery (quantity, intstr, time).
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flowdeck.kube import quantity
from flowdeck.kube.formats import is_base64, is_date_time
from flowdeck.kube.times import format_micro_time, format_time, parse_time

if TYPE_CHECKING:
    from flowdeck.kube.schema import Schema

_GO_SCALARS = {"string": "string", "boolean": "bool", "number": "float64"}
_INT_LIMIT = {"int32": 2**31, "int64": 2**63}
_MICRO_TIME = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"


def canonical_form(name: str) -> Callable[[Any], Any] | None:
    """How a definition's values are rewritten when Go reads and writes them: quantities, times; None for others."""
    return _FORMS.get(name)


def _canonical_quantity(value: Any) -> Any:
    return quantity.canonical(value) if quantity.is_quantity(value) else value


def _canonical_time(value: Any) -> Any:
    if not isinstance(value, str) or (len(value) == 20 and value[-1] == "Z") or not is_date_time(value):
        return value
    return format_time(parse_time(value))


def _canonical_micro_time(value: Any) -> Any:
    if not isinstance(value, str) or (len(value) == 27 and value[-1] == "Z") or not is_date_time(value):
        return value
    return format_micro_time(parse_time(value))


_FORMS: Mapping[str, Callable[[Any], Any]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": _canonical_quantity,
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": _canonical_time,
    _MICRO_TIME: _canonical_micro_time,
}


def type_errors(schema: "Schema", value: Any, struct: str = "", path: str = "") -> list[str]:
    """The texts, in the order of the object's fields; `struct` is the Go type that holds the field at `path`."""
    errors: list[str] = []
    _walk(schema, value, struct, path, errors)
    return errors


def _walk(schema: "Schema", value: Any, struct: str, path: str, errors: list[str]) -> None:
    kind = type(value)
    if value is None or (schema.keeps_unknown and not schema.type):
        return
    if kind is dict and schema.type == "object":
        _walk_object(schema, value, struct, path, errors)
    elif schema.is_quantity:
        if not quantity.is_quantity(value):
            errors.append(quantity.ERROR)
    elif schema.is_int_or_string:
        if kind is not int and kind is not str:
            errors.append(_text(value, struct, path, "int32" if kind is not bool else "string"))
    elif schema.type == "array":
        if kind is not list:
            errors.append(_text(value, struct, path, go_type(schema)))
        elif (items := schema.items) is not None:
            plain = items.plain_type
            for item in value:
                if type(item) is not plain:
                    _walk(items, item, struct, path, errors)
    elif (error := _scalar_error(schema, value, struct, path)) is not None:
        errors.append(error)


def _walk_object(schema: "Schema", obj: dict[str, Any], struct: str, path: str, errors: list[str]) -> None:
    plain, of_values = schema.plain_fields
    for name, value in obj.items():
        kind = type(value)
        if kind is plain.get(name, of_values):
            continue
        child = schema.property(name)
        if child is not None:
            where = path if path and not schema.declares(name) else f"{path}.{name}" if path else name
            _walk(child, value, schema.name.rpartition(".")[2] or struct, where, errors)


def _scalar_error(schema: "Schema", value: Any, struct: str, path: str) -> str | None:
    kind = type(value)
    match schema.type:
        case "string" if kind is str:
            return _format_error(schema, value)
        case "boolean" if kind is bool:
            return None
        case "number" if kind is int or kind is float:
            return None
        case "integer" if kind is int:
            limit = _INT_LIMIT.get(schema.format, 2**63)
            if -limit <= value < limit:
                return None
            return _text(value, struct, path, go_type(schema), shown=f"number {value}")
        case "integer" if kind is float:
            return _text(value, struct, path, go_type(schema), shown=f"number {value!r}")
        case "":
            return None
    return _text(value, struct, path, go_type(schema))


def _format_error(schema: "Schema", text: str) -> str | None:
    if schema.format == "date-time" and not is_date_time(text):
        layout = "2006-01-02T15:04:05.000000Z07:00" if schema.name == _MICRO_TIME else "2006-01-02T15:04:05Z07:00"
        return f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"'
    if schema.format == "byte" and not is_base64(text):
        bad = next(
            (i for i, c in enumerate(text) if not (c.isascii() and (c.isalnum() or c in "+/"))), len(text) // 4 * 4
        )
        return f"illegal base64 data at input byte {bad}"
    return None


def _text(value: Any, struct: str, path: str, wanted: str, shown: str = "") -> str:
    told = shown or {dict: "object", list: "array", str: "string", bool: "bool"}.get(type(value), "number")
    where = f"Go struct field {struct}.{path}" if struct and path else "Go value"
    return f"json: cannot unmarshal {told} into {where} of type {wanted}"


def go_type(schema: "Schema") -> str:
    """Go's name for the type of a field: `int32`, `[]v1.Container`, `map[string]string`."""
    if schema.name:
        if schema.format == "date-time":
            return "string"  # which it reads as
        return ".".join(schema.name.split(".")[-2:])
    if schema.type == "array":
        return "[]" + (go_type(schema.items) if schema.items else "interface {}")
    if schema.type == "object":
        return "map[string]" + (go_type(schema.values) if schema.values else "interface {}")
    if schema.type == "integer":
        return schema.format or "int64"
    if schema.format == "byte":
        return "[]uint8"
    return _GO_SCALARS.get(schema.type, "interface {}")
