"""Tasks as they are looked at: by pages, by what is inside them, by how many. Functions of a connection."""

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, case, func, select

from flowdeck.components.pipelines.engine.records import TaskRecord
from flowdeck.components.pipelines.engine.states import WIRE_B
from flowdeck.components.pipelines.store.tables import TASKS
from flowdeck.sql.listing import Listed, page
from flowdeck.web.listing import ListQuery, Page

_C = TASKS.c
_STATE = case(WIRE_B, value=_C.state, else_="")
LISTED = Listed(
    _C.id,
    {
        "id": _C.id,
        "task_id": _C.id,
        "run_id": _C.run_id,
        "parent_id": _C.parent_id,
        "name": _C.name,
        "display_name": _C.display_name,
        "cache_fingerprint": _C.fingerprint,
        "create_time": _C.began_at,
        "start_time": _C.began_at,
        "end_time": _C.ended_at,
        "status": _STATE,
        "state": _STATE,
    },
)


def listed(connection: Connection, query: ListQuery, *, run_id: str, parent_id: str = "") -> Page[TaskRecord]:
    """Those of a run whose turn has come, or of one dag or loop of it."""
    rows = select(TASKS).where(_C.run_id == run_id, _C.state.in_(WIRE_B))
    if parent_id:
        rows = rows.where(_C.parent_id == parent_id)
    return page(connection, rows, LISTED, query, lambda row: msgspec.convert(row["record"], TaskRecord))


def inside(connection: Connection, run_id: str, ids: Collection[str]) -> dict[str, list[tuple[str, str]]]:
    """`(id, name)` of the tasks inside each of these, from the first that began."""
    rows = select(_C.parent_id, _C.id, _C.name).where(_C.run_id == run_id, _C.parent_id.in_(ids))
    found: dict[str, list[tuple[str, str]]] = {id: [] for id in ids}
    for parent, id, name in connection.execute(rows.order_by(_C.began_at, _C.id)):
        found[parent].append((id, name))
    return found


def counts(connection: Connection, run_ids: Collection[str]) -> dict[str, int]:
    """How many tasks of runs have had their turn."""
    rows = select(_C.run_id, func.count()).where(_C.run_id.in_(run_ids), _C.state.in_(WIRE_B)).group_by(_C.run_id)
    return {run_id: count for run_id, count in connection.execute(rows)}
