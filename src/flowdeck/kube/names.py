"""Names of objects, keys and values of labels: what is wrong with them, in the API's words, and generated names.

Source: k8s.io/apimachinery (pkg/util/validation, pkg/api/validation), k8s.io/apiserver (pkg/storage/names).
"""

import re
from collections.abc import Callable
from functools import lru_cache
from random import Random

NameRule = Callable[[str, bool], list[str]]
"""What is wrong with a name; the flag says that it is a prefix (generateName), to be completed by five letters."""

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_MAX_BASE = 58
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


def too_long_text(limit: int, unit: str = "bytes") -> str:
    return f"must be no more than {limit} {unit}"


def dns_label(name: str, prefix: bool = False) -> list[str]:
    """Of a name that would be a good domain all that is told is what makes it one."""
    name = _masked(name, prefix)
    text = "must not contain dots" if "." in name and not dns_subdomain(name) else _LABEL_TEXT
    return _dns(name, 63, _LABEL, text)


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
    told = [too_long_text(limit, "characters")] if len(name) > limit else []
    return told if pattern.match(name) else [*told, text]


@lru_cache(4096)
def qualified_name(name: str) -> tuple[str, ...]:
    """What is wrong with a label key, annotation key, finalizer or resource name: `[prefix/]name`."""
    prefix, slash, last = name.rpartition("/")
    if slash and ("/" in prefix):
        optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return (f"a valid label key {_QUALIFIED_TEXT} {optional}",)
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


def generate_name(base: str, random: Random) -> str:
    """`generateName` plus five characters."""
    return base[:_MAX_BASE] + "".join(random.choices(_ALPHABET, k=5))
