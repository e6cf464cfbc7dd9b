"""A recurring run as the REST wire tells it. Pure."""

from flowdeck.components.pipelines.api import messages
from flowdeck.components.pipelines.api.messages import CronSchedule, PeriodicSchedule, without_zeros
from flowdeck.components.pipelines.api.task_details import failure
from flowdeck.components.pipelines.schedules.triggers import warnings_about
from flowdeck.components.pipelines.store.experiments import NEVER
from flowdeck.components.pipelines.store.schedules import RecurringRun
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time


def recurring_run_message(recurring: RecurringRun, document: Tree | None, *, shows_namespace: bool) -> Tree:
    """`document` is what it runs, told where it came with the request.

    Ours are `warnings` about what somebody may not have meant, and `last_scheduled_at`.
    """
    reference = {"pipeline_id": recurring.pipeline_id, "pipeline_version_id": recurring.pipeline_version_id}
    config = {"parameters": recurring.parameters, "pipeline_root": recurring.pipeline_root}
    told = {
        "recurring_run_id": recurring.id,
        "display_name": recurring.name,
        "description": recurring.description,
        "pipeline_version_reference": without_zeros(reference),
        "pipeline_spec": None if recurring.pipeline_id else document,
        "runtime_config": without_zeros(config),
        "service_account": recurring.service_account,
        "max_concurrency": str(recurring.max_concurrency),
        "trigger": recurring.trigger,
        "mode": "ENABLE" if recurring.is_enabled else "DISABLE",
        "created_at": format_time(recurring.created_at),
        "updated_at": format_time(recurring.updated_at),
        "status": "ENABLED" if recurring.is_enabled else "DISABLED",
        "error": failure(recurring.error) if recurring.error else None,
        "no_catchup": recurring.no_catchup,
        "namespace": recurring.namespace if shows_namespace else "",
        "experiment_id": recurring.experiment_id,
        "plugins_input": recurring.plugins_input,
        "warnings": warnings_about(recurring.trigger),
        "last_scheduled_at": "" if recurring.last_at == NEVER else format_time(recurring.last_at),
    }
    return without_zeros(told)


def trigger_of(asked: messages.RecurringRun) -> Tree:
    """The trigger that somebody asks for, as it is kept and told."""
    match asked.trigger:
        case messages.Trigger(cron_schedule=CronSchedule() as cron):
            return {"cron_schedule": {**_bounds(cron), "cron": cron.cron}}
        case messages.Trigger(periodic_schedule=PeriodicSchedule() as periodic):
            return {"periodic_schedule": {**_bounds(periodic), "interval_second": str(periodic.interval_second)}}
    return {}


def _bounds(schedule: CronSchedule | PeriodicSchedule) -> Tree:
    return without_zeros({"start_time": schedule.start_time, "end_time": schedule.end_time})
