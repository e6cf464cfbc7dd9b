"""Runs a `ListQuery` over rows in memory: filter, count, one page. For the few thousand objects of an API server."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from flowdeck.kube.errors import BadRequest
from flowdeck.web.listing import After, ListQuery, Op, Page, Predicate, Scalar

T = TypeVar("T")
Row = Mapping[str, Scalar]
"""What is sorted and filtered by; times are epoch seconds."""

_COMPARE: Mapping[Op, Callable[[Any, Any], bool]] = {
    Op.EQUALS: operator.eq,
    Op.NOT_EQUALS: operator.ne,
    Op.GREATER_THAN: operator.gt,
    Op.GREATER_THAN_EQUALS: operator.ge,
    Op.LESS_THAN: operator.lt,
    Op.LESS_THAN_EQUALS: operator.le,
    Op.IN: lambda found, wanted: found in wanted,
    Op.IS_SUBSTRING: lambda found, wanted: wanted.lower() in found.lower(),
}


def page(items: Sequence[T], row_of: Callable[[T], Row], query: ListQuery, *, id_key: str) -> Page[T]:
    """One page of the items. A key that a row lacks is like an empty text. Raises `BadRequest` for a text against a
    number."""
    rows = [(row_of(item), item) for item in items]
    kept = [(row, item) for row, item in rows if all(_holds(row, predicate) for predicate in query.predicates)]
    kept.sort(key=lambda pair: _place(pair[0].get(query.sort, ""), str(pair[0][id_key])), reverse=query.descending)
    rest = kept
    total = len(kept) if query.after is None else query.after.total
    if query.after is not None:
        after = _place(query.after.value, query.after.id)
        beyond = operator.lt if query.descending else operator.gt
        rest = [pair for pair in kept if beyond(_place(pair[0].get(query.sort, ""), str(pair[0][id_key])), after)]
    shown = rest[: query.size]
    last = None
    if len(rest) > query.size:
        row = shown[-1][0]
        last = After(row.get(query.sort, ""), str(row[id_key]), total)
    return Page([item for _, item in shown], total, last)


def _place(value: Scalar, id: str) -> tuple[int, float, str, str]:
    """Numbers before texts, so that whatever there is can be compared."""
    if isinstance(value, int | float):
        return (0, value, "", id)
    return (1, 0, str(value or ""), id)


def _holds(row: Row, predicate: Predicate) -> bool:
    found = row.get(predicate.key, "")
    for value in predicate.value if isinstance(predicate.value, tuple) else (predicate.value,):
        if isinstance(value, str) != isinstance(found, str):
            raise BadRequest(f"Invalid input error: {predicate.key!r} cannot be compared with {str(value)[:100]!r}")
    return _COMPARE[predicate.op](found, predicate.value)
