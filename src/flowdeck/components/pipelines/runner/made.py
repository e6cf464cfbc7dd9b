"""Puts the controller of runs together; loads what is heavy."""

from collections.abc import Callable
from functools import partial

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.components.base import Context
from flowdeck.components.pipelines.caching import Cache
from flowdeck.components.pipelines.late import ENDS
from flowdeck.components.pipelines.runner.acts import Acts
from flowdeck.components.pipelines.runner.controller import RunController
from flowdeck.components.pipelines.runner.ended_pods import EndedPods
from flowdeck.components.pipelines.runner.homes import Homes
from flowdeck.components.pipelines.runner.task_pods import TaskPods
from flowdeck.components.pipelines.settings import PipelinesSettings
from flowdeck.kube.objects import ObjectKey
from flowdeck.sql.database import Database


def controller(ctx: Context, database: Database, poke: Callable[[ObjectKey], None]) -> RunController:
    """`poke` asks for a run to be looked at."""
    artifacts = ctx.stores.artifacts
    if artifacts.is_local:
        artifacts.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    acts = acts_with(ctx.client, ctx.clock, database, artifacts, ctx.settings)
    ended = partial(ctx.stores.news.tell, ENDS)
    return RunController(database=database, clock=ctx.clock, acts=acts, pokes=[poke], ended=ended)


def acts_with(
    client: Client, clock: Clock, database: Database, artifacts: Artifacts, settings: PipelinesSettings
) -> Acts:
    """What the controller does its work with."""
    homes = Homes(client=client, artifacts=artifacts, multi_user=settings.multi_user)
    keep_s = (settings.succeeded_pods_s, settings.failed_pods_s)
    pods = TaskPods(client=client, clock=clock, homes=homes, image=settings.image, keep_s=keep_s)
    cache = Cache(
        client=client,
        clock=clock,
        database=database,
        homes=homes,
        ttl_s=settings.cache_ttl_s,
        across_pipelines=settings.cache_across_pipelines,
    )
    ended_pods = EndedPods(client=client, clock=clock, database=database, pods=pods)
    return Acts(client=client, clock=clock, database=database, pods=pods, ended_pods=ended_pods, cache=cache)
