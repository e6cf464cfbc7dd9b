"""What the handlers of the REST surface share."""

from dataclasses import dataclass
from functools import cached_property

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.components.base import Context
from flowdeck.components.pipelines.api.tenancy import Tenancy
from flowdeck.components.pipelines.catalog import Catalog
from flowdeck.components.pipelines.engine.run import Options
from flowdeck.components.pipelines.ir.package import MAX_SIZE
from flowdeck.components.pipelines.runner.homes import Homes, homes_in
from flowdeck.components.pipelines.schedules.made import zone_of
from flowdeck.components.pipelines.settings import NAMESPACE, URL_ORIGINS, PipelinesSettings
from flowdeck.components.pipelines.submission import default_options
from flowdeck.sql.database import Database
from flowdeck.stores import News
from flowdeck.web.downloads import Downloads
from flowdeck.web.routing import Door


@dataclass(frozen=True)
class Parts:
    """See the module's text."""

    ctx: Context
    database: Database
    door: Door
    """Who comes in, and what they may do."""

    @property
    def settings(self) -> PipelinesSettings:
        settings: PipelinesSettings = self.ctx.settings
        return settings

    @property
    def client(self) -> Client:
        return self.ctx.client

    @property
    def clock(self) -> Clock:
        return self.ctx.clock

    @property
    def news(self) -> News:
        return self.ctx.stores.news

    @cached_property
    def tenancy(self) -> Tenancy:
        return Tenancy(self.settings.multi_user, NAMESPACE)

    @cached_property
    def catalog(self) -> Catalog:
        return Catalog(self.client)

    @cached_property
    def homes(self) -> Homes:
        return homes_in(self.ctx)

    @cached_property
    def downloads(self) -> Downloads:
        return Downloads(public=URL_ORIGINS, trusted=self.settings.url_origins, limit=MAX_SIZE)

    @cached_property
    def options(self) -> Options:
        """How runs are run that say nothing themselves."""
        return default_options(self.settings)

    @cached_property
    def zone(self) -> str:
        """Where lines of cron are read; empty: UTC."""
        return zone_of(self.settings)
