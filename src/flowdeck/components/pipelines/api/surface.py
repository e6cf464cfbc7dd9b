"""The REST surface, put together: who may come in, and the list of all that is served."""

from typing import Final

from starlette.types import ASGIApp

from flowdeck.components.base import Context
from flowdeck.components.pipelines.api.artifacts import ArtifactRoutes
from flowdeck.components.pipelines.api.cache import CacheRoutes
from flowdeck.components.pipelines.api.comparisons import Comparisons
from flowdeck.components.pipelines.api.experiments import Experiments
from flowdeck.components.pipelines.api.health import Health
from flowdeck.components.pipelines.api.nodes import Nodes
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.api.pipelines import Pipelines
from flowdeck.components.pipelines.api.recurring_runs import RecurringRuns
from flowdeck.components.pipelines.api.runs import Runs
from flowdeck.components.pipelines.api.tasks import Tasks
from flowdeck.components.pipelines.api.uploads import Uploads
from flowdeck.components.pipelines.api.v1 import FirstVersion
from flowdeck.components.pipelines.kinds import GROUP
from flowdeck.components.pipelines.late import MIGRATIONS
from flowdeck.components.pipelines.settings import AUDIENCE, RIGHTS_VERSION, PipelinesSettings
from flowdeck.components.pipelines.store import experiments
from flowdeck.web.identity import AccessReviews, FirstOf, HeaderIdentity, Identity, OnBehalf, TokenIdentity
from flowdeck.web.routing import Door, Route, application
from flowdeck.web.rpc_errors import rpc_error
from flowdeck.web.vouchers import Vouched

HANDLERS: Final = (
    Health,
    Uploads,
    Pipelines,
    Experiments,
    Runs,
    Nodes,
    FirstVersion,
    RecurringRuns,
    ArtifactRoutes,
    Tasks,
    CacheRoutes,
    Comparisons,
)


async def surface(ctx: Context) -> ASGIApp:
    """The application. Raises `ServiceUnavailable` while the database cannot be had."""
    parts = Parts(ctx, await ctx.stores.tables(MIGRATIONS), door(ctx))
    tenancy = parts.tenancy
    if not tenancy.multi_user:  # clients look for the default experiment before they make a run
        await parts.database.write(
            lambda connection: experiments.default(connection, tenancy.namespace, ctx.clock.now())
        )
    return application(routes(parts), parts.door, rpc_error)


def routes(parts: Parts) -> list[Route]:
    """All of them; a path's rights stand in its own list."""
    return [route for handlers in HANDLERS for route in handlers(parts).routes()]


def door(ctx: Context) -> Door:
    """Whoever it is may do what roles let him do: the cluster is asked, about everybody and each request."""
    authorizer = AccessReviews(ctx.client)
    return Door(_identity(ctx, authorizer), authorizer, GROUP, RIGHTS_VERSION)


def _identity(ctx: Context, authorizer: AccessReviews) -> Identity:
    settings: PipelinesSettings = ctx.settings
    tokens = TokenIdentity(ctx.client, ctx.clock, AUDIENCE)
    vouched = () if ctx.vouchers is None else (Vouched(ctx.vouchers, ctx.clock),)
    known = FirstOf((*vouched, tokens))
    if not settings.multi_user:
        return known
    header = HeaderIdentity(settings.user_header, settings.user_prefix)
    on_behalf = OnBehalf(known, header, authorizer)
    return FirstOf((on_behalf, header)) if settings.trusts_user_header else on_behalf
