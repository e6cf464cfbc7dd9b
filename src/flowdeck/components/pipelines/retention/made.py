"""Puts the controller of what goes by itself together; loads what is heavy."""

from collections.abc import Callable

from flowdeck.components.base import Context
from flowdeck.components.pipelines.retention.controller import RetentionController
from flowdeck.components.pipelines.runner.homes import homes_in
from flowdeck.kube.objects import ObjectKey
from flowdeck.sql.database import Database


def controller(ctx: Context, database: Database, poke: Callable[[ObjectKey], None]) -> RetentionController:
    """`poke` asks for a key to be looked at."""
    return RetentionController(
        database=database,
        clock=ctx.clock,
        homes=homes_in(ctx),
        settings=ctx.settings.retention,
        pokes=[poke],
    )
