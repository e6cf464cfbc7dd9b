"""A run as the REST wire tells it. Pure."""

from collections.abc import Sequence

from flowdeck.components.pipelines.api.messages import without_zeros
from flowdeck.components.pipelines.api.task_details import failure
from flowdeck.components.pipelines.engine.states import RunStatus
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time


def run_message(
    run: Run, document: Tree | None, details: Sequence[Tree] = (), tasks: Sequence[Tree] = (), task_count: int = 0
) -> Tree:
    """`document` is what it runs, told where it came with the request; `details` its tasks of wire A, `tasks` of B."""
    reference = {"pipeline_id": run.pipeline_id, "pipeline_version_id": run.pipeline_version_id}
    told = without_zeros(
        {
            "experiment_id": run.experiment_id,
            "run_id": run.id,
            "display_name": run.name,
            "storage_state": run.storage_state,
            "description": run.description,
            "pipeline_version_reference": reference if run.pipeline_version_id else None,
            "pipeline_spec": None if run.pipeline_version_id else document,
            "runtime_config": without_zeros({"parameters": run.parameters, "pipeline_root": run.pipeline_root}),
            "service_account": run.service_account,
            "created_at": format_time(run.created_at),
            "scheduled_at": format_time(run.scheduled_at),
            "state": run.state,
            "error": failure(run.error) if run.error else None,
            "run_details": {"task_details": list(details)} if details else None,
            "task_count": task_count,
            "tasks": list(tasks),
            "recurring_run_id": run.recurring_run_id,
            "state_history": [_entered(entry, run.error) for entry in run.history],
            "plugins_input": run.plugins_input,
        }
    )
    return {**told, "finished_at": format_time(run.finished_at)}


def _entered(entry: Tree, error: str) -> Tree:
    return {**entry, "error": failure(error)} if error and entry["state"] == RunStatus.FAILED else entry
