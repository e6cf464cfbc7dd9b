"""Stands for a controller that needs the database, until there is something for it to do: SQL is heavy to load.

That is when a key comes, or when there is something to take up at the start.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from flowdeck.components.base import Context
from flowdeck.controller.contract import DONE, Feeds, Maps, Result, look_again_in
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree
from flowdeck.loading import load

RUNS: Final = "pipeline-runs"
"""The topic of `Stores.news`: a run is new, or somebody wants something of it."""
RECURRING_RUNS: Final = "recurring-runs"
"""The topic of `Stores.news`: a recurring run is new, or was changed."""
ENDS: Final = "pipeline-run-ends"
"""The topic of `Stores.news`: a run has ended."""
LEFTOVERS: Final = "pipeline-leftovers"
"""The topic of `Stores.news`: a run was removed, and something of it is left."""
EMPTY_S: Final = 60.0
"""How often it is looked whether something is kept at last, by who is not told."""
MIGRATIONS: Final = "flowdeck.components.pipelines.store.migrations"
ALL: Final = ObjectKey("", "")
"""The key that asks to look for what nobody works on."""
LOOK_S: Final = 1.0
"""How often that is done where other processes make runs, too."""


@dataclass
class Late:
    """See the module's text."""

    ctx: Context
    name: str
    topic: str
    """Of `Stores.news`: the keys that are worth a look."""
    maker: str
    """The module whose `controller(ctx, database, poke)` makes it; loads what is heavy."""
    empty_s: float | None = None
    """How often it is looked whether something is kept at last; None: those who keep something tell."""
    kind: ClassVar[Kind | None] = None
    _controller: Any = None
    """It has `reconcile(key)`, and `open_all()`, which asks to look at all that there may be something to do about."""
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _poke: Callable[[ObjectKey], None] | None = None

    @property
    def watches(self) -> Sequence[Maps | Feeds]:
        return (Feeds(self._connect),)

    async def reconcile(self, key: ObjectKey) -> Result:
        stores = self.ctx.stores
        if key != ALL:
            result: Result = await (await self._loaded()).reconcile(key)
            return result
        if stores.is_empty:
            return Result(self.empty_s)
        await self.ctx.started()
        await self._open_all()
        return look_again_in(LOOK_S) if stores.is_shared else DONE

    async def _open_all(self) -> None:
        await (await self._loaded()).open_all()

    def _connect(self, poke: Callable[[ObjectKey], None]) -> Callable[[], None]:
        self._poke = poke
        poke(ALL)
        return self.ctx.stores.news.listen(self.topic, self._hear)

    def _hear(self, key: ObjectKey) -> None:
        if self._poke is not None:
            self._poke(key)

    async def _loaded(self) -> Any:
        async with self._loading:
            if self._controller is None:
                database = await self.ctx.stores.tables(MIGRATIONS)
                module = await load(self.maker)
                self._controller = await asyncio.to_thread(module.controller, self.ctx, database, self._poke)
            return self._controller


@dataclass
class LateRuns(Late):
    """The one of runs hears of their pods, too, and looks once at those of which it heard nothing."""

    _knows_orphans: bool = False

    @property
    def watches(self) -> Sequence[Maps | Feeds]:
        return (Maps(POD, self._runs_of), *super().watches)

    def _hear(self, key: ObjectKey) -> None:
        """Somebody may want something of a run; one that is not worked on yet is read whole."""
        if self._controller is not None:
            self._controller.wanted.add(key)
        super()._hear(key)

    def _runs_of(self, pod: Tree) -> Iterable[ObjectKey]:
        """Runs that are worked on; all others are looked at when they are taken up."""
        found: Iterable[ObjectKey] = () if self._controller is None else self._controller.runs_of(pod)
        return found

    async def _open_all(self) -> None:
        if not self._knows_orphans:
            await (await self._loaded()).end_orphans()
            self._knows_orphans = True
        await super()._open_all()
