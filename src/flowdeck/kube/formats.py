"""String formats that a schema may ask for. Unknown formats accept everything, as upstream.

Source: kube-openapi (pkg/validation/strfmt), k8s.io/apiextensions-apiserver (pkg/apiserver/validation/formats.go).
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime
from urllib.parse import urlsplit

_UNIT = r"(?:ns|us|µs|μs|ms|h|m|s)"
_DURATION = re.compile(rf"[-+]?(?:(?:\d+\.?\d*|\.\d+){_UNIT})+|[-+]?0")
_DURATION_WORDS = re.compile(
    r"\d+\s*(?:ns|nanos?|nanoseconds?|us|µs|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?"
    r"|h|hrs?|hours?|d|days?|w|wks?|weeks?)"
)
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})")
_LETTER, _WORD = r"[^\W\d_]", r"[^\W_]"
_HOSTNAME = re.compile(
    rf"(?=.{{1,255}}\Z)(?:{_WORD}(?:-?{_WORD}){{0,62}}|(?:{_WORD}(?:[-\w]{{0,61}}{_WORD})?\.)+{_LETTER}{{2,63}})"
)
"""A single label, or labels with a top-level domain of letters, two or more."""
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")


def is_date_time(text: str) -> bool:
    """RFC 3339 with seconds and a zone."""
    if not _DATE_TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text[:19].upper())
    except ValueError:
        return False
    return True


def is_duration(text: str) -> bool:
    """A Go duration such as `1h30m`, or the worded form `2 days`."""
    return bool(_DURATION.fullmatch(text) or _DURATION_WORDS.fullmatch(text))


def is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def parses(read: Callable[[str], object]) -> Callable[[str], bool]:
    """Whether `read` takes a text, instead of raising `ValueError`."""

    def is_readable(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return is_readable


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def _is_uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme) or text.startswith("/")


def _cidr(text: str) -> object:
    address, slash, bits = text.partition("/")
    if not slash or not bits.isascii() or not bits.isdigit():
        raise ValueError(text)
    return ipaddress.ip_interface(f"{address}/{bits}")


def _iso_date(text: str) -> object:
    if len(text) != 10:
        raise ValueError(text)
    return date.fromisoformat(text)


_HEX = "[0-9a-fA-F]"

FORMATS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _matches(f"{_HEX}{{24}}"),
    "byte": is_base64,
    "cidr": parses(_cidr),
    "creditcard": _matches(r"[-\d ]{12,19}"),
    "date": parses(_iso_date),
    "date-time": is_date_time,
    "datetime": is_date_time,
    "duration": is_duration,
    "email": _matches(r"[^@\s]+@[^@\s]+"),
    "hexcolor": _matches(f"#?(?:{_HEX}{{3}}|{_HEX}{{6}})"),
    "hostname": _matches(_HOSTNAME.pattern),
    "ipv4": parses(ipaddress.IPv4Address),
    "ipv6": parses(ipaddress.IPv6Address),
    "isbn": _matches(r"(?:97[89][- ]?)?(?:\d[- ]?){9}[\dxX]"),
    "isbn10": _matches(r"(?:\d[- ]?){9}[\dxX]"),
    "isbn13": _matches(r"97[89][- ]?(?:\d[- ]?){9}\d"),
    "k8s-long-name": _matches(_SUBDOMAIN.pattern),
    "k8s-short-name": _matches(_LABEL.pattern),
    "mac": _matches(f"{_HEX}{{2}}(?:[-:]{_HEX}{{2}}){{5}}(?:(?:[-:]{_HEX}{{2}}){{2}})?"),
    "rgbcolor": _matches(r"rgb\(\s*\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3}\s*\)"),
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "uri": _is_uri,
    "uuid": _matches(f"{_HEX}{{8}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{12}}"),
    "uuid3": _matches(f"{_HEX}{{8}}-?{_HEX}{{4}}-?3{_HEX}{{3}}-?{_HEX}{{4}}-?{_HEX}{{12}}"),
    "uuid4": _matches(f"{_HEX}{{8}}-?{_HEX}{{4}}-?4{_HEX}{{3}}-?[89abAB]{_HEX}{{3}}-?{_HEX}{{12}}"),
    "uuid5": _matches(f"{_HEX}{{8}}-?{_HEX}{{4}}-?5{_HEX}{{3}}-?[89abAB]{_HEX}{{3}}-?{_HEX}{{12}}"),
}
"""Format name -> does the text have it."""
