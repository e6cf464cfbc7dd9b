"""Stands for a controller that needs the database, until there is something for it to do: SQL is heavy to load."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from flowdeck.components.base import Context
from flowdeck.components.pipelines.runner.late import ALL, LOOK_S, MIGRATIONS
from flowdeck.controller.contract import DONE, Feeds, Result, look_again_in
from flowdeck.kube.objects import Kind, ObjectKey
from flowdeck.loading import load

RECURRING_RUNS: Final = "recurring-runs"
"""The topic of `Stores.news`: a recurring run is new, or was changed."""


class Opened(Protocol):
    """The controller itself."""

    async def reconcile(self, key: ObjectKey) -> Result: ...

    async def open_all(self) -> None:
        """Asks to look at all that there may be something to do about."""
        ...


@dataclass
class Late:
    """See the module's text."""

    ctx: Context
    name: str
    topic: str
    """Of `Stores.news`: the keys that are worth a look."""
    maker: str
    """The module whose `controller(ctx, database, poke)` makes it; loads what is heavy."""
    kind: ClassVar[Kind | None] = None
    _controller: Opened | None = None
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _poke: Callable[[ObjectKey], None] | None = None

    @property
    def watches(self) -> Sequence[Feeds]:
        return (Feeds(self._connect),)

    async def reconcile(self, key: ObjectKey) -> Result:
        stores = self.ctx.stores
        if key != ALL:
            return await (await self._loaded()).reconcile(key)
        if stores.is_empty:
            return DONE
        await self.ctx.started()
        await (await self._loaded()).open_all()
        return look_again_in(LOOK_S) if stores.is_shared else DONE

    def _connect(self, poke: Callable[[ObjectKey], None]) -> None:
        self._poke = poke
        self.ctx.stores.news.listen(self.topic, poke)
        poke(ALL)

    async def _loaded(self) -> Opened:
        async with self._loading:
            if self._controller is not None:
                return self._controller
            database = await self.ctx.stores.tables(MIGRATIONS)
            module = await load(self.maker)
            made: Opened = await asyncio.to_thread(module.controller, self.ctx, database, self._poke)
            self._controller = made
            return made
