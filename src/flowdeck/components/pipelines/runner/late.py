"""Stands for controllers that need the database, until there is something for them to do: SQL is heavy to load.

LateRuns        a key comes, or unfinished runs are found at the start: then `RunController` is made
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from flowdeck.components.base import Context
from flowdeck.controller.contract import DONE, Feeds, Maps, Result, look_again_in
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree
from flowdeck.loading import load

if TYPE_CHECKING:
    from flowdeck.components.pipelines.runner.controller import RunController

RUNS: Final = "pipeline-runs"
"""The topic of `Stores.news`: a run is new, or somebody wants something of it."""
MIGRATIONS: Final = "flowdeck.components.pipelines.store.migrations"
ALL: Final = ObjectKey("", "")
"""The key that asks to look for runs that nobody works on."""
LOOK_S: Final = 1.0
"""How often that is done where other processes make runs, too."""


@dataclass
class LateRuns:
    """See the module's text."""

    ctx: Context
    _controller: "RunController | None" = None
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _poke: Callable[[ObjectKey], None] | None = None

    name: ClassVar[str] = "pipeline-run"
    kind: ClassVar[Kind | None] = None

    @property
    def watches(self) -> Sequence[Maps | Feeds]:
        return (Maps(POD, self._runs_of), Feeds(self._connect))

    async def reconcile(self, key: ObjectKey) -> Result:
        stores = self.ctx.stores
        if key != ALL:
            return await (await self._loaded()).reconcile(key)
        if stores.is_empty:
            return DONE
        await self.ctx.started()
        if self._controller is None:
            await (await self._loaded()).end_orphans()
        await (await self._loaded()).open_all()
        return look_again_in(LOOK_S) if stores.is_shared else DONE

    def _runs_of(self, pod: Tree) -> Iterable[ObjectKey]:
        """What a pod's change means to runs that are worked on; all others are looked at when they are taken up."""
        return () if self._controller is None else self._controller.runs_of(pod)

    def _connect(self, poke: Callable[[ObjectKey], None]) -> None:
        self._poke = poke
        self.ctx.stores.news.listen(RUNS, poke)
        poke(ALL)

    async def _loaded(self) -> "RunController":
        async with self._loading:
            if self._controller is not None:
                return self._controller
            database = await self.ctx.stores.tables(MIGRATIONS)
            module = await load("flowdeck.components.pipelines.runner.made")
            made: RunController = await asyncio.to_thread(module.run_controller, self.ctx, database, self._poke)
            self._controller = made
            return made
