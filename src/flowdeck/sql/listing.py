"""Runs a `ListQuery` (web/listing.py): filter, count, one page from where the last one ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, func, or_, type_coerce

from flowdeck.kube.errors import BadRequest
from flowdeck.sql.types import Moment
from flowdeck.web.listing import After, ListQuery, Op, Page, Predicate, Scalar

T = TypeVar("T")
Row = Mapping[Any, Any]
"""A row's values by the names of their columns."""
_NUMBERS = range(-(2**63), 2**63)
"""What both databases can keep."""
_SECOND = 1_000_000


@dataclass(frozen=True)
class Listed:
    """How the rows of a kind are listed. For each key of sorting there is an index of it and the id."""

    id: ColumnElement[str]
    columns: Mapping[str, ColumnElement[Any]]
    """What may be sorted and filtered by, under the names that clients use. What is sorted by is never NULL."""

    def column(self, key: str) -> ColumnElement[Any]:
        """Raises `BadRequest`."""
        if key not in self.columns:
            known = ", ".join(sorted(self.columns))
            raise BadRequest(f"Invalid input error: no such field: {key!r}; there are {known}")
        column = self.columns[key]
        return type_coerce(column, BigInteger) if self._is_time(key) else column

    def whole(self, key: str) -> ColumnElement[Any]:
        """The same with times without their fractions of a second, of which predicates and clients know nothing."""
        column = self.column(key)
        return column - column % _SECOND if self._is_time(key) else column

    def value(self, key: str, value: Scalar) -> Scalar:
        """What to compare the column with: predicates tell times in seconds. Raises `BadRequest`."""
        return self.kept(key, value * _SECOND if self._is_time(key) and type(value) is int else value)

    def last(self, key: str, value: Scalar) -> Scalar:
        """The largest that counts as equal to that `value`."""
        return min(value + _SECOND - 1, _NUMBERS[-1]) if self._is_time(key) and type(value) is int else value

    def kept(self, key: str, value: Scalar) -> Scalar:
        """A value as the column keeps it. Raises `BadRequest` for one of another type: databases differ about those."""
        type_ = self.columns[key].type
        wanted = int if isinstance(type_, Moment) else type_.python_type
        if wanted is float and type(value) is int and value in _NUMBERS:
            return float(value)
        if type(value) is not wanted or (isinstance(value, int) and value not in _NUMBERS):
            raise BadRequest(f"Invalid input error: {key!r} cannot be compared with {str(value)[:100]!r}")
        return value

    def _is_time(self, key: str) -> bool:
        return isinstance(self.columns[key].type, Moment)


def page(
    connection: Connection, rows: Select[Any], listed: Listed, query: ListQuery, make: Callable[[Row], T]
) -> Page[T]:
    """One page of `rows` (which name the caller's tables and limits: `select(runs).where(runs.c.namespace == ...)`).

    Two statements for the first page, one for each further one. Rows that are added or removed between two pages shift
    nothing. Raises `BadRequest`.
    """
    rows = rows.where(*(_holds(listed, predicate) for predicate in query.predicates))
    if query.after is None:
        total = connection.execute(rows.with_only_columns(func.count())).scalar_one()
    else:
        total = query.after.total
    sort = listed.column(query.sort)
    order = (sort.desc(), listed.id.desc()) if query.descending else (sort.asc(), listed.id.asc())
    rows = rows.add_columns(sort.label("_sort"), listed.id.label("_id")).order_by(*order).limit(query.size + 1)
    if query.after is not None:
        beyond = listed.kept(query.sort, query.after.value)
        rows = rows.where(_beyond(sort, listed.id, beyond, query.after.id, descending=query.descending))
    found = connection.execute(rows).mappings().all()
    shown = found[: query.size]
    last = After(shown[-1]["_sort"], shown[-1]["_id"], total) if len(found) > query.size else None
    return Page([make({name: row[name] for name in row if name not in ("_sort", "_id")}) for row in shown], total, last)


def _beyond(
    sort: ColumnElement[Any], id_: ColumnElement[str], value: Scalar, id: str, *, descending: bool
) -> ColumnElement[bool]:
    """Where the next page begins; as `sort >= x AND (sort > x OR id > y)`, which an index can follow."""
    if descending:
        return and_(sort <= value, or_(sort < value, id_ < id))
    return and_(sort >= value, or_(sort > value, id_ > id))


def _holds(listed: Listed, predicate: Predicate) -> ColumnElement[bool]:
    column, whole = listed.column(predicate.key), listed.whole(predicate.key)
    given = predicate.value if isinstance(predicate.value, tuple) else (predicate.value,)
    values = [listed.value(predicate.key, value) for value in given]
    match predicate.op:
        case Op.EQUALS:
            return whole == values[0]
        case Op.NOT_EQUALS:
            return whole != values[0]
        case Op.GREATER_THAN:
            return column > listed.last(predicate.key, values[0])
        case Op.GREATER_THAN_EQUALS:
            return column >= values[0]
        case Op.LESS_THAN:
            return column < values[0]
        case Op.LESS_THAN_EQUALS:
            return column <= listed.last(predicate.key, values[0])
        case Op.IN:
            return whole.in_(values)
        case Op.IS_SUBSTRING:
            return func.lower(column).contains(str(values[0]).lower(), autoescape=True)
