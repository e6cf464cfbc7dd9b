"""Lists: how many, in which order, which of them, and where the last page ended.

A surface reads its own spelling of filters into predicates (`predicates.py` has the one that pipelines speak);
`sql/listing.py` runs the query. A page token names the sort, the filter and the last row of its page, so that rows that
come and go between two pages are neither shown twice nor left out.
"""

import base64
import binascii
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from flowdeck.kube.errors import BadRequest

DEFAULT_PAGE = 20
LARGEST_PAGE = 200

T = TypeVar("T")
Scalar = str | int | float | bool | None


class Op(enum.Enum):
    """How a predicate compares."""

    EQUALS = "EQUALS"
    NOT_EQUALS = "NOT_EQUALS"
    GREATER_THAN = "GREATER_THAN"
    GREATER_THAN_EQUALS = "GREATER_THAN_EQUALS"
    LESS_THAN = "LESS_THAN"
    LESS_THAN_EQUALS = "LESS_THAN_EQUALS"
    IN = "IN"
    IS_SUBSTRING = "IS_SUBSTRING"
    """Without regard to case."""


@dataclass(frozen=True)
class Predicate:
    """One condition; all of a query's must hold. `value` is a tuple for `IN`, else one; times are epoch seconds."""

    key: str
    op: Op
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True)
class After:
    """The last row of a page: its value of the sort key, and its id."""

    value: Scalar
    id: str
    total: int
    """How many rows there were on all pages when the first one was read: counting a million again takes longer than a
    page."""


@dataclass(frozen=True)
class ListQuery:
    """What a list request asks for. Ties are broken by id, in the same direction."""

    size: int
    sort: str
    descending: bool
    predicates: tuple[Predicate, ...] = ()
    after: After | None = None
    filter: str = ""
    """The text that the predicates were read from."""

    def token(self, after: After | None) -> str:
        """The `next_page_token` of a page that ends there; `""` when it is the last one."""
        if after is None:
            return ""
        fields = _Token(self.sort, self.descending, after.value, after.id, after.total, self.filter)
        return base64.urlsafe_b64encode(msgspec.json.encode(fields)).decode()


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list."""

    items: Sequence[T]
    total: int
    """How many there were on all pages when the first one was read."""
    next: After | None
    """None on the last page."""


class _Token(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    sort: str
    descending: bool
    value: str | int | float | bool | None
    id: str
    total: int
    filter: str


def size_of(text: str) -> int:
    """`page_size`: absent or 0 means 20, more than 200 means 200. Raises `BadRequest` below 0."""
    try:
        size = int(text or 0)
    except ValueError as error:
        raise BadRequest(f"Invalid input error: page_size must be a number, got {text!r}") from error
    if size < 0:
        raise BadRequest(f"Invalid input error: The page size should be greater than 0. Got {size}")
    return min(size, LARGEST_PAGE) or DEFAULT_PAGE


def sort_of(text: str, keys: Sequence[str], default: str) -> tuple[str, bool]:
    """`sort_by`, such as `created_at desc`: the key, and whether descending. Raises `BadRequest`."""
    words = (text or default).split()
    direction = words[1].lower() if len(words) > 1 else "asc"
    if "," in text or len(words) > 2 or direction not in ("asc", "desc"):
        raise BadRequest(f"Invalid input error: sort_by must be one field, then asc or desc: got {text!r}")
    if words[0] not in keys and not any(key.endswith(":") and words[0].startswith(key) for key in keys):
        raise BadRequest(f"Invalid input error: cannot sort by {words[0]!r}: use one of {', '.join(keys)}")
    return words[0], direction == "desc"


def list_query(
    params: Mapping[str, str],
    *,
    sort_keys: Sequence[str],
    parse: Callable[[str], tuple[Predicate, ...]],
    default_sort: str = "created_at asc",
) -> ListQuery:
    """The query of `page_size`, `page_token`, `sort_by` and `filter`; `parse` reads the filter. Raises `BadRequest`.

    A token alone brings its sort and filter along; beside others than its own it is refused.
    """
    sort, filter_text = params.get("sort_by", ""), params.get("filter", "")
    size = size_of(params.get("page_size", ""))
    if not params.get("page_token"):
        key, descending = sort_of(sort, sort_keys, default_sort)
        return ListQuery(size, key, descending, parse(filter_text), None, filter_text)
    token = _read(params["page_token"])
    of_token = f"{token.sort} desc" if token.descending else token.sort
    key, descending = sort_of(of_token, sort_keys, default_sort)
    if (sort and sort_of(sort, sort_keys, default_sort) != (key, descending)) or filter_text not in ("", token.filter):
        raise BadRequest("Invalid input error: Invalid page token: it was made for another sort_by or filter")
    return ListQuery(
        size, key, descending, parse(token.filter), After(token.value, token.id, token.total), token.filter
    )


def _read(token: str) -> _Token:
    try:
        return msgspec.json.decode(base64.b64decode(token, altchars=b"-_", validate=True), type=_Token)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise BadRequest("Invalid input error: Invalid page token: use the one that the last page gave") from error
