"""The functions that Kubernetes adds to CEL: lists, regex, sets, url, ip, cidr, quantity, semver, format.

CEL knows no types of ours, so a quantity, a version, an address travels as a map with one tag:
`{"k8s.Quantity": "1500m"}`. Equal things have equal maps. Source: k8s.io/apiserver (pkg/cel/library).
"""

import ipaddress
import itertools
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flowdeck.kube import names
from flowdeck.kube.cel_strings import STRINGS
from flowdeck.kube.cel_types import Function
from flowdeck.kube.formats import FORMATS, parses
from flowdeck.kube.quantity import is_quantity, parse_quantity
from flowdeck.kube.regex import compile_go

Tagged = dict[str, Any]
_QUANTITY, _SEMVER, _URL, _IP, _CIDR = (
    "k8s.Quantity", "k8s.Semver", "k8s.URL", "k8s.IP", "k8s.CIDR",
)  # fmt: skip


def _untagged(value: Tagged, tag: str) -> Any:
    if tag not in value:
        raise ValueError("no such overload")
    return value[tag]


# -- lists and sets


def _least(values: Sequence[Any], pick: Callable[..., Any], name: str) -> Any:
    if not values:
        raise ValueError(f"{name} called on empty list")
    return pick(values)


def _index(values: Sequence[Any], wanted: Any) -> int:
    return next((at for at, value in enumerate(values) if value == wanted), -1)


def _last_index(values: Sequence[Any], wanted: Any) -> int:
    return next((at for at in range(len(values) - 1, -1, -1) if values[at] == wanted), -1)


def _contains(values: Sequence[Any], wanted: Sequence[Any]) -> bool:
    return all(value in values for value in wanted)


def _slice(values: Sequence[Any], start: int, end: int) -> Sequence[Any]:
    if not 0 <= start <= end <= len(values):
        raise ValueError(f"cannot slice({start}, {end}), list is length {len(values)}")
    return values[start:end]


def _distinct(values: Sequence[Any]) -> list[Any]:
    return [value for at, value in enumerate(values) if value not in values[:at]]


def _flattened(values: Sequence[Any]) -> list[Any]:
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


_LISTS = [
    Function("isSorted", ("list",), "bool", lambda v: all(a <= b for a, b in itertools.pairwise(v))),
    Function("sum", ("list",), "dyn", lambda values: sum(values)),
    Function("min", ("list",), "dyn", lambda values: _least(values, min, "min")),
    Function("max", ("list",), "dyn", lambda values: _least(values, max, "max")),
    Function("slice", ("list", "int", "int"), "list", _slice),
    Function("distinct", ("list",), "list", _distinct),
    Function("flatten", ("list",), "list", _flattened),
    Function("reverse", ("list",), "list", lambda values: values[::-1]),
    Function("sort", ("list",), "list", lambda values: sorted(values)),
    Function("lists.range", ("int",), "list", lambda count: list(range(count)), is_member=False),
    *(
        Function(name, ("list", kind), "int", run)
        for name, run in (("indexOf", _index), ("lastIndexOf", _last_index))
        for kind in ("bool", "int", "double", "string", "map", "list")
    ),
    Function("sets.contains", ("list", "list"), "bool", _contains, is_member=False),
    Function(
        "sets.equivalent", ("list", "list"), "bool", lambda a, b: _contains(a, b) and _contains(b, a), is_member=False
    ),
    Function("sets.intersects", ("list", "list"), "bool", lambda a, b: any(v in b for v in a), is_member=False),
]

# -- regex, url


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match.group() for match in compile_go(pattern).finditer(text)]
    return found if limit < 0 else found[:limit]


def _find(text: str, pattern: str) -> str:
    match = compile_go(pattern).search(text)
    return match.group() if match else ""


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return bool((parts.scheme and (parts.netloc or parts.path)) or text.startswith("/")) and " " not in text


def _url(text: str) -> Tagged:
    if not _is_url(text):
        raise ValueError(f'parse "{text}": invalid URI for request')
    return {_URL: text}


def _part(read: Callable[[Any], Any]) -> Callable[[Tagged], Any]:
    return lambda value: read(urlsplit(_untagged(value, _URL)))


def _query(parts: Any) -> dict[str, list[str]]:

    return parse_qs(parts.query, keep_blank_values=True)


_TEXTS = [
    Function("find", ("string", "string"), "string", _find),
    Function("findAll", ("string", "string"), "strings", _find_all),
    Function("findAll", ("string", "string", "int"), "strings", _find_all),
    Function("isURL", ("string",), "bool", _is_url, is_member=False),
    Function("url", ("string",), "map", _url, is_member=False),
    Function("getScheme", ("map",), "string", _part(lambda parts: parts.scheme)),
    Function("getHost", ("map",), "string", _part(lambda parts: parts.netloc.rpartition("@")[2])),
    Function("getHostname", ("map",), "string", _part(lambda parts: parts.hostname or "")),
    Function("getPort", ("map",), "string", _part(lambda parts: str(parts.port or ""))),
    Function("getEscapedPath", ("map",), "string", _part(lambda parts: parts.path)),
    Function("getQuery", ("map",), "map", _part(_query)),
]

# -- addresses


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if "%" in text:
        raise ValueError(f'IP address "{text}" with zone value is not allowed')
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        raise ValueError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return address


def _cidr(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    address, slash, bits = text.partition("/")
    if not slash or not bits.isdigit():
        raise ValueError(f"netip.ParsePrefix({text!r}): no '/'")
    _address(address)
    return ipaddress.ip_interface(text)


def _of_ip(read: Callable[[Any], Any]) -> Callable[[Tagged], Any]:
    return lambda value: read(_address(_untagged(value, _IP)))


def _is_global(address: Any) -> bool:
    return not (
        address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
        or str(address) == "255.255.255.255"
    )  # fmt: skip


def _network(value: Tagged) -> Any:
    return _cidr(_untagged(value, _CIDR)).network


def _has_ip(value: Tagged, ip: Any) -> bool:
    address = _address(ip if isinstance(ip, str) else _untagged(ip, _IP))
    network = _network(value)
    return bool(address.version == network.version and address in network)


def _has_cidr(value: Tagged, other: Any) -> bool:
    inner = _cidr(other if isinstance(other, str) else _untagged(other, _CIDR)).network
    network = _network(value)
    return bool(inner.version == network.version and inner.subnet_of(network))


_ADDRESSES = [
    Function("isIP", ("string",), "bool", parses(_address), is_member=False),
    Function("ip", ("string",), "map", lambda text: {_IP: str(_address(text))}, is_member=False),
    Function("ip.isCanonical", ("string",), "bool", lambda text: str(_address(text)) == text, is_member=False),
    Function("family", ("map",), "int", _of_ip(lambda ip: ip.version)),
    Function("isUnspecified", ("map",), "bool", _of_ip(lambda ip: ip.is_unspecified)),
    Function("isLoopback", ("map",), "bool", _of_ip(lambda ip: ip.is_loopback)),
    Function("isLinkLocalUnicast", ("map",), "bool", _of_ip(lambda ip: ip.is_link_local)),
    Function(
        "isLinkLocalMulticast",
        ("map",),
        "bool",
        _of_ip(lambda ip: str(ip).startswith("224.0.0.") if ip.version == 4 else str(ip).startswith("ff02:")),
    ),
    Function("isGlobalUnicast", ("map",), "bool", _of_ip(_is_global)),
    Function("isCIDR", ("string",), "bool", parses(_cidr), is_member=False),
    Function("cidr", ("string",), "map", lambda text: {_CIDR: str(_cidr(text))}, is_member=False),
    Function("containsIP", ("map", "string"), "bool", _has_ip),
    Function("containsIP", ("map", "map"), "bool", _has_ip),
    Function("containsCIDR", ("map", "string"), "bool", _has_cidr),
    Function("containsCIDR", ("map", "map"), "bool", _has_cidr),
    Function("ip", ("map",), "map", lambda value: {_IP: str(_cidr(_untagged(value, _CIDR)).ip)}),
    Function("masked", ("map",), "map", lambda value: {_CIDR: str(_network(value))}),
    Function("prefixLength", ("map",), "int", lambda value: _network(value).prefixlen),
]

# -- quantities and versions

_SEMVER_PATTERN = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII
)


def _quantity(value: Decimal) -> Tagged:
    return {_QUANTITY: str(value.normalize()) if value else "0"}


def _amount(value: Tagged) -> Decimal:
    return Decimal(_untagged(value, _QUANTITY))


def _version(text: str) -> tuple[Any, ...]:
    match = _SEMVER_PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"No Major.Minor.Patch elements found in {text!r}")
    *numbers, pre = match.groups()
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in (pre or "").split(".") if part]
    return (*map(int, numbers), (0, parts) if parts else (1, []))


def _normalized(text: str) -> str:
    core, sign, rest = re.sub(r"^v", "", text).partition("-")
    numbers = [str(int(part)) if part.isdigit() else part for part in core.split(".")]
    return ".".join(numbers + ["0"] * (3 - len(numbers))) + sign + rest


def _order(value: Tagged) -> Any:
    """What quantities and versions compare by."""
    return _amount(value) if _QUANTITY in value else _version(_untagged(value, _SEMVER))


def _compare(one: Tagged, other: Tagged) -> int:
    a, b = _order(one), _order(other)
    return int(a > b) - int(a < b)


def _semver(text: str, normalize: bool = False) -> Tagged:
    text = _normalized(text) if normalize else text
    _version(text)
    return {_SEMVER: text}


def _whole(value: Tagged) -> int:
    amount = _amount(value)
    if amount != amount.to_integral_value():
        raise ValueError("cannot convert value to integer")
    return int(amount)


def _sum(one: Tagged, other: Any, sign: int) -> Tagged:
    return _quantity(_amount(one) + sign * (_amount(other) if isinstance(other, dict) else Decimal(other)))


_AMOUNTS = [
    Function("isQuantity", ("string",), "bool", is_quantity, is_member=False),
    Function("quantity", ("string",), "map", lambda text: _quantity(parse_quantity(text).value), is_member=False),
    Function("isInteger", ("map",), "bool", lambda value: _amount(value) == _amount(value).to_integral_value()),
    Function("asInteger", ("map",), "int", _whole),
    Function("asApproximateFloat", ("map",), "double", lambda value: float(_amount(value))),
    Function("sign", ("map",), "int", lambda value: int(_amount(value) > 0) - int(_amount(value) < 0)),
    *(
        Function(name, ("map", kind), "map", lambda one, other, sign=sign: _sum(one, other, sign))
        for name, sign in (("add", 1), ("sub", -1))
        for kind in ("map", "int")
    ),
    Function("isGreaterThan", ("map", "map"), "bool", lambda one, other: _compare(one, other) > 0),
    Function("isLessThan", ("map", "map"), "bool", lambda one, other: _compare(one, other) < 0),
    Function("compareTo", ("map", "map"), "int", _compare),
    Function("isSemver", ("string",), "bool", parses(_version), is_member=False),
    Function(
        "isSemver", ("string", "bool"), "bool", lambda text, norm: parses(lambda t: _semver(t, norm))(text),
        is_member=False,
    ),
    Function("semver", ("string",), "map", _semver, is_member=False),
    Function("semver", ("string", "bool"), "map", _semver, is_member=False),
    Function("major", ("map",), "int", lambda value: _version(_untagged(value, _SEMVER))[0]),
    Function("minor", ("map",), "int", lambda value: _version(_untagged(value, _SEMVER))[1]),
    Function("patch", ("map",), "int", lambda value: _version(_untagged(value, _SEMVER))[2]),
]  # fmt: skip

# -- formats


def _no(fits: Callable[[str], bool], told: str) -> Callable[[str], Sequence[str]]:
    return lambda text: [] if fits(text) else [told]


_FORMATS: dict[str, Callable[[str], Sequence[str]]] = {
    "dns1123Label": names.dns_label,
    "dns1123Subdomain": names.dns_subdomain,
    "dns1035Label": names.dns_1035_label,
    "dns1123LabelPrefix": lambda text: names.dns_label(text, True),
    "dns1123SubdomainPrefix": lambda text: names.dns_subdomain(text, True),
    "dns1035LabelPrefix": lambda text: names.dns_1035_label(text, True),
    "qualifiedName": names.qualified_name,
    "labelValue": names.label_value,
    "uri": _no(_is_url, "invalid URI"),
    "uuid": _no(FORMATS["uuid"], "does not match the UUID format"),
    "byte": _no(FORMATS["byte"], "invalid base64"),
    "date": _no(FORMATS["date"], "invalid date"),
    "datetime": _no(FORMATS["datetime"], "invalid datetime"),
}


def _format_errors(name: str, text: str) -> list[str]:
    """What `format.<name>().validate(text)` has inside; empty stands for no value."""
    if name not in _FORMATS:
        raise ValueError(f"no such overload: format.{name}()")
    return list(_FORMATS[name](text))


_NAMED = [Function("k8sFormatErrors", ("string", "string"), "strings", _format_errors, is_member=False)]

FUNCTIONS: Sequence[Function] = [*STRINGS, *_LISTS, *_TEXTS, *_ADDRESSES, *_AMOUNTS, *_NAMED]
