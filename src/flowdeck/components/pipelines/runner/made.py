"""Puts the controller of runs together; loads what is heavy."""

from collections.abc import Callable
from functools import partial

from flowdeck.components.base import Context
from flowdeck.components.pipelines.caching import Cache
from flowdeck.components.pipelines.late import ENDS
from flowdeck.components.pipelines.runner.acts import Acts
from flowdeck.components.pipelines.runner.controller import RunController
from flowdeck.components.pipelines.runner.ended_pods import EndedPods
from flowdeck.components.pipelines.runner.homes import Homes
from flowdeck.components.pipelines.runner.task_pods import TaskPods
from flowdeck.kube.objects import ObjectKey
from flowdeck.sql.database import Database


def controller(ctx: Context, database: Database, poke: Callable[[ObjectKey], None]) -> RunController:
    """`poke` asks for a run to be looked at."""
    artifacts = ctx.stores.artifacts
    if artifacts.is_local:
        artifacts.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    homes = Homes(client=ctx.client, artifacts=artifacts)
    settings = ctx.settings
    keep_s = (settings.succeeded_pods_s, settings.failed_pods_s)
    pods = TaskPods(client=ctx.client, clock=ctx.clock, homes=homes, image=settings.image, keep_s=keep_s)
    cache = Cache(
        client=ctx.client,
        clock=ctx.clock,
        database=database,
        homes=homes,
        ttl_s=ctx.settings.cache_ttl_s,
        across_pipelines=ctx.settings.cache_across_pipelines,
    )
    ended_pods = EndedPods(client=ctx.client, clock=ctx.clock, database=database, pods=pods)
    acts = Acts(client=ctx.client, clock=ctx.clock, database=database, pods=pods, ended_pods=ended_pods, cache=cache)
    ended = partial(ctx.stores.news.tell, ENDS)
    return RunController(database=database, clock=ctx.clock, acts=acts, pokes=[poke], ended=ended)
