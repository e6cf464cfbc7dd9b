"""Checks of single values that many kinds share, in upstream's words.

Source: k8s.io/apimachinery (pkg/util/validation/validation.go, pkg/api/validation/generic.go).
"""

import re
from collections.abc import Iterable
from typing import Any

from flowdeck.embedded.apiserver.builtin.validation.metadata import validate_labels
from flowdeck.kube.errors import FieldError, forbidden, invalid, not_supported, required
from flowdeck.kube.names import label_value, qualified_name
from flowdeck.kube.objects import Tree
from flowdeck.kube.quantity import parse_quantity

Errors = list[FieldError]

MAX_INT32 = 2**31 - 1
NEGATIVE = "must be greater than or equal to 0"
IMMUTABLE = "field is immutable"

_ENV_NAME = re.compile(r"[ -<>-~]+\Z")
_PORT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+\Z")
_PERCENT = re.compile(r"[0-9]+%\Z")


def between(low: int, high: int) -> str:
    return f"must be between {low} and {high}, inclusive"


def non_negative(value: int | None, path: str) -> Errors:
    return [invalid(path, value, NEGATIVE)] if value is not None and value < 0 else []


def immutable(new: Any, old: Any, path: str) -> Errors:
    return [] if new == old else [invalid(path, new, IMMUTABLE)]


def immutable_fields(new: Tree, old: Tree, path: str, names: Iterable[str]) -> Errors:
    return [error for name in names for error in immutable(new.get(name), old.get(name), f"{path}.{name}")]


def one_of(value: Any, path: str, supported: Iterable[str]) -> Errors:
    """A required word out of a closed set."""
    if not value:
        return [required(path)]
    supported = tuple(supported)
    return [] if value in supported else [not_supported(path, value, supported)]


def port_number(value: int, path: str) -> Errors:
    return [] if 1 <= value <= 65535 else [invalid(path, value, between(1, 65535))]


def port_name(value: str) -> list[str]:
    told = []
    if len(value) > 15:
        told.append("must be no more than 15 characters")
    if not _PORT_NAME.match(value):
        told.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", value):
        told.append("must contain at least one letter (a-z)")
    if "--" in value:
        told.append("must not contain consecutive hyphens")
    if value and (value[0] == "-" or value[-1] == "-"):
        told.append("must not begin or end with a hyphen")
    return told


def port_reference(value: Any, path: str) -> Errors:
    """A port by number or name."""
    if isinstance(value, int):
        return port_number(value, path)
    return [invalid(path, value, text) for text in port_name(str(value))]


def env_name(value: str) -> list[str]:
    if _ENV_NAME.match(value):
        return []
    return [
        "a valid environment variable name must consist only of printable ASCII characters other than '=' "
        "(e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '^[ -<>-~]+$')"
    ]


def config_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret, and a file name made of it."""
    told = []
    if len(value) > 253:
        told.append("must be no more than 253 bytes")
    if not _CONFIG_KEY.match(value):
        told.append(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
            "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
        )
    elif value == ".":
        told.append("must not be '.'")
    elif value == "..":
        told.append("must not be '..'")
    elif value.startswith(".."):
        told.append("must not start with '..'")
    return told


def count_or_percent(value: Any, path: str) -> Errors:
    """A number or a share, of a rollout or a budget."""
    if isinstance(value, int):
        return non_negative(value, path)
    if not _PERCENT.match(str(value)):
        text = "a valid percent string must be a numeric string followed by an ending '%'"
        return [invalid(path, value, f"{text} (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')")]
    return [] if int(value[:-1]) <= 100 else [invalid(path, value, "must not be greater than 100%")]


def is_zero(value: Any) -> bool:
    """`0` or `0%`."""
    return value == 0 or (isinstance(value, str) and value.endswith("%") and value[:-1].lstrip("0") == "")


def non_negative_quantity(value: str, path: str) -> Errors:
    return [invalid(path, value, NEGATIVE)] if parse_quantity(value).value < 0 else []


_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def label_selector(selector: Tree | None, path: str) -> Errors:
    """`{matchLabels, matchExpressions}`."""
    if not selector:
        return []
    errors = validate_labels(selector.get("matchLabels"), f"{path}.matchLabels")
    for index, expression in enumerate(selector.get("matchExpressions") or ()):
        errors += _expression(expression, f"{path}.matchExpressions[{index}]")
    return errors


def _expression(expression: Tree, path: str) -> Errors:
    operator, values = expression.get("operator"), expression.get("values") or []
    errors = [
        invalid(f"{path}.key", expression.get("key"), text) for text in qualified_name(expression.get("key") or "")
    ]
    if operator in ("In", "NotIn") and not values:
        errors.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    if operator in ("Exists", "DoesNotExist") and values:
        errors.append(forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    if operator not in _OPERATORS:
        errors.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
    for index, value in enumerate(values):
        errors += [invalid(f"{path}.values[{index}]", value, text) for text in label_value(value)]
    return errors
