"""Puts the controller of runs together; loads what is heavy."""

from collections.abc import Callable

from flowdeck.components.base import Context
from flowdeck.components.pipelines.runner.acts import Acts
from flowdeck.components.pipelines.runner.controller import RunController
from flowdeck.kube.objects import ObjectKey
from flowdeck.sql.database import Database


def run_controller(ctx: Context, database: Database, poke: Callable[[ObjectKey], None]) -> RunController:
    """`poke` asks for a run to be looked at."""
    folder = ctx.stores.artifacts.folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    acts = Acts(client=ctx.client, clock=ctx.clock, database=database, artifacts=folder)
    return RunController(database=database, clock=ctx.clock, acts=acts, pokes=[poke])
