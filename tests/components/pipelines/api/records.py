"""Runs and tasks as the store has them when they are over."""

from datetime import UTC, datetime
from typing import Any

from flowdeck.components.pipelines.engine.records import TaskRecord
from flowdeck.components.pipelines.engine.states import WIRE_A, WIRE_B, State
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.types import TaskType
from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.sql.database import Database

START = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = {"pipelineInfo": {"name": "hello"}, "schemaVersion": "2.1.0", "root": {"dag": {"tasks": {}}}}


async def a_run(database: Database, id: str, now: datetime = START, **more: Any) -> None:
    """One in the namespace of a single user."""

    def make(connection: Any) -> None:
        values: dict[str, Any] = {
            "id": id,
            "experiment_id": "",
            "namespace": "kubeflow",
            "name": id,
            "created_at": now,
            "scheduled_at": now,
            "service_account": "pipeline-runner",
            "document": runs.keep_document(connection, from_wire(SPEC)),
            "engine": {},
            **more,
        }
        runs.create(connection, Run(**values))

    await database.write(make)


def a_record(run: str, name: str, state: State = State.SUCCEEDED, **more: Any) -> TaskRecord:
    """A task that began and ended at once."""
    values: dict[str, Any] = {
        "id": name,
        "run": run,
        "name": name,
        "display_name": name,
        "label": f"root.{name}",
        "scope_path": f"root.{name}",
        "type": TaskType.RUNTIME,
        "state": state,
        "wire_a": WIRE_A.get(state, ""),
        "wire_b": WIRE_B.get(state, ""),
        "began_at": START.timestamp(),
        "ended_at": START.timestamp(),
        **more,
    }
    return TaskRecord(**values)
