"""Puts the controller of runs' ends together; loads what is heavy."""

from collections.abc import Callable

from flowdeck.components.base import Context
from flowdeck.components.pipelines.ends.controller import RunEndController
from flowdeck.components.pipelines.runner.homes import homes_in
from flowdeck.kube.objects import ObjectKey
from flowdeck.sql.database import Database
from flowdeck.web.webhooks import Webhooks


def controller(ctx: Context, database: Database, poke: Callable[[ObjectKey], None]) -> RunEndController:
    """`poke` asks for a run to be looked at."""
    return RunEndController(
        database=database,
        clock=ctx.clock,
        homes=homes_in(ctx),
        urls=ctx.settings.webhooks,
        webhooks=Webhooks(ctx.settings.webhook_secret),
        pokes=[poke],
    )
