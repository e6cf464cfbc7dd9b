"""Puts the controller of recurring runs together; loads what is heavy."""

from collections.abc import Callable
from pathlib import Path

from flowdeck.components.base import Context
from flowdeck.components.pipelines.catalog import Catalog
from flowdeck.components.pipelines.late import RUNS
from flowdeck.components.pipelines.runner.homes import homes_in
from flowdeck.components.pipelines.schedules.controller import RecurringRunController
from flowdeck.components.pipelines.settings import PipelinesSettings
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.submission import default_options
from flowdeck.kube.objects import ObjectKey
from flowdeck.kube.schedule import BadTimeZone, read_zone
from flowdeck.sql.database import Database

LOCAL = Path("/etc/localtime")


def controller(ctx: Context, database: Database, poke: Callable[[ObjectKey], None]) -> RecurringRunController:
    """`poke` asks for a recurring run to be looked at."""

    def begin(run: Run) -> None:
        ctx.stores.news.tell(RUNS, ObjectKey(run.namespace, run.id))

    return RecurringRunController(
        database=database,
        clock=ctx.clock,
        catalog=Catalog(ctx.client),
        homes=homes_in(ctx),
        zone=zone_of(ctx.settings),
        options=default_options(ctx.settings),
        begin=begin,
        pokes=[poke],
    )


def zone_of(settings: PipelinesSettings) -> str:
    """Where lines of cron are read: as is set, else the machine's zone, else UTC (empty)."""
    if settings.time_zone:
        return settings.time_zone
    _, _, name = str(LOCAL.resolve()).partition("/zoneinfo/")
    try:
        read_zone(name)
    except BadTimeZone:
        return ""
    return name
