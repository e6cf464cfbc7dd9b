"""The REST surface, put together: who may come in, and the list of all that is served."""

from dataclasses import dataclass

from starlette.types import ASGIApp

from flowdeck.components.base import Context
from flowdeck.components.pipelines.api.artifacts import ArtifactRoutes
from flowdeck.components.pipelines.api.cache import CacheRoutes
from flowdeck.components.pipelines.api.comparisons import Comparisons
from flowdeck.components.pipelines.api.experiments import Experiments
from flowdeck.components.pipelines.api.health import Health
from flowdeck.components.pipelines.api.nodes import Nodes
from flowdeck.components.pipelines.api.pipelines import Pipelines
from flowdeck.components.pipelines.api.recurring_runs import RecurringRuns
from flowdeck.components.pipelines.api.runs import Runs
from flowdeck.components.pipelines.api.tasks import Tasks
from flowdeck.components.pipelines.api.tenancy import Tenancy
from flowdeck.components.pipelines.api.uploads import Uploads
from flowdeck.components.pipelines.api.v1 import FirstVersion
from flowdeck.components.pipelines.catalog import Catalog
from flowdeck.components.pipelines.ir.package import MAX_SIZE
from flowdeck.components.pipelines.kinds import GROUP
from flowdeck.components.pipelines.late import MIGRATIONS
from flowdeck.components.pipelines.runner.homes import homes_in
from flowdeck.components.pipelines.schedules.made import zone_of
from flowdeck.components.pipelines.settings import AUDIENCE, NAMESPACE, RIGHTS_VERSION, URL_ORIGINS, PipelinesSettings
from flowdeck.components.pipelines.store import experiments
from flowdeck.components.pipelines.submission import default_options
from flowdeck.sql.database import Database
from flowdeck.web.downloads import Downloads
from flowdeck.web.identity import AccessReviews, FirstOf, HeaderIdentity, Identity, OnBehalf, TokenIdentity
from flowdeck.web.routing import Door, Route, application
from flowdeck.web.rpc_errors import rpc_error
from flowdeck.web.vouchers import Vouched


async def surface(ctx: Context) -> ASGIApp:
    """The application. Raises `ServiceUnavailable` while the database cannot be had."""
    parts = Parts(ctx, await ctx.stores.tables(MIGRATIONS))
    tenancy = parts.tenancy
    if not tenancy.multi_user:  # clients look for the default experiment before they make a run
        await parts.database.write(
            lambda connection: experiments.default(connection, tenancy.namespace, ctx.clock.now())
        )
    return application(parts.routes(), parts.door, rpc_error)


@dataclass(frozen=True)
class Parts:
    """What the handlers share, and the handlers."""

    ctx: Context
    database: Database

    @property
    def settings(self) -> PipelinesSettings:
        settings: PipelinesSettings = self.ctx.settings
        return settings

    @property
    def tenancy(self) -> Tenancy:
        return Tenancy(self.settings.multi_user, NAMESPACE)

    @property
    def door(self) -> Door:
        """Whoever it is may do what roles let him do: the cluster is asked, about everybody and each request."""
        authorizer = AccessReviews(self.ctx.client)
        return Door(self._identity(authorizer), authorizer, GROUP, RIGHTS_VERSION)

    def _identity(self, authorizer: AccessReviews) -> Identity:
        settings, ctx = self.settings, self.ctx
        tokens = TokenIdentity(ctx.client, ctx.clock, AUDIENCE)
        vouched = () if ctx.vouchers is None else (Vouched(ctx.vouchers, ctx.clock),)
        known = FirstOf((*vouched, tokens))
        if not settings.multi_user:
            return known
        header = HeaderIdentity(settings.user_header, settings.user_prefix)
        on_behalf = OnBehalf(known, header, authorizer)
        return FirstOf((on_behalf, header)) if settings.trusts_user_header else on_behalf

    def routes(self) -> list[Route]:
        """All of them; a path's rights stand in its own list."""
        ctx, database, tenancy, door = self.ctx, self.database, self.tenancy, self.door
        catalog = Catalog(ctx.client)
        homes = homes_in(ctx)
        uploads = Uploads(catalog, tenancy)
        downloads = Downloads(public=URL_ORIGINS, trusted=self.settings.url_origins, limit=MAX_SIZE)
        runs = Runs(
            database=database,
            catalog=catalog,
            tenancy=tenancy,
            clock=ctx.clock,
            news=ctx.stores.news,
            door=door,
            homes=homes,
            options=default_options(self.settings),
            removes_artifacts=self.settings.retention.with_runs,
        )
        nodes = Nodes(database=database, client=ctx.client, homes=homes, tenancy=tenancy)
        recurring = RecurringRuns(
            database=database,
            catalog=catalog,
            tenancy=tenancy,
            clock=ctx.clock,
            news=ctx.stores.news,
            door=door,
            zone=zone_of(self.settings),
        )
        artifacts = ArtifactRoutes(database=database, homes=homes, tenancy=tenancy, clock=ctx.clock, door=door)
        return [
            *Health(database, tenancy).routes(),
            *uploads.routes(),
            *Pipelines(catalog, tenancy, downloads).routes(),
            *Experiments(database, tenancy, ctx.clock).routes(),
            *runs.routes(),
            *nodes.routes(),
            *FirstVersion(uploads, tenancy, door).routes(),
            *recurring.routes(),
            *artifacts.routes(),
            *Tasks(database=database, tenancy=tenancy, clock=ctx.clock).routes(),
            *CacheRoutes(database=database, tenancy=tenancy).routes(),
            *Comparisons(database=database, tenancy=tenancy).routes(),
        ]
