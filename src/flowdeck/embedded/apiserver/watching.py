"""Watches over HTTP: a request becomes a stream of frames, which ends when its time is over."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from functools import partial
from random import Random

from flowdeck.embedded.apiserver import queries
from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Resource
from flowdeck.embedded.apiserver.listing import Event, SelectedWatch, read_page
from flowdeck.embedded.apiserver.request import is_true
from flowdeck.embedded.apiserver.settings import WatchLimits
from flowdeck.embedded.apiserver.stored_bytes import PIECE, Form, Frames
from flowdeck.embedded.store.store import Entry, Store
from flowdeck.kube.errors import Expired, TooManyRequests

WATCH_S = (1800, 3600)
"""A watch without `timeoutSeconds` ends at a random moment between these, as upstream's do."""
BOOKMARK_EVERY_S = 60.0


@dataclass
class Watches:
    """Answers watch requests, and counts who has how many open."""

    store: Store
    random: Random
    limits: WatchLimits
    open: Counter[str] = field(default_factory=Counter)
    """How many each user has."""

    def answer(self, info: RequestInfo, resource: Resource, form: Form) -> Answer:
        """Raises `BadRequest` for a query that cannot be read, `TooManyRequests` for one watch too many."""
        if self.open.total() >= self.limits.most or self.open[info.user.name] >= self.limits.most_of_user:
            raise _too_many()
        stream = _stream(self.store, info, resource, form, self.random)
        return Answer(stream=self._counted(info.user.name, stream.frames_in_time()))

    async def _counted(self, user: str, frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        self.open[user] += 1
        try:
            async with aclosing(frames):
                async for frame in frames:
                    yield frame
        finally:
            self.open[user] -= 1
            if not self.open[user]:
                del self.open[user]


def _too_many() -> TooManyRequests:
    error = TooManyRequests("Too many requests, please try again later.")
    error.retry_after_s = 1
    return error


def _stream(store: Store, info: RequestInfo, resource: Resource, form: Form, random: Random) -> "_Stream":
    selection = queries.selection(info, resource)
    queries.check_watch_options(info)
    revision = queries.revision(info)
    initial: Sequence[Entry] = ()
    wants_initial = is_true(info.query.get("sendInitialEvents", ""))
    if wants_initial or (revision == 0 and "sendInitialEvents" not in info.query):
        page = read_page(store, resource.kind.resource, selection)
        initial, revision = page.entries, page.revision
    seconds = queries.number(info, "timeoutSeconds") or random.randint(*WATCH_S)
    bookmarks = is_true(info.query.get("allowWatchBookmarks", ""))
    complete_at = revision if wants_initial and bookmarks else 0
    watched = partial(SelectedWatch, store, resource.kind.resource, selection, revision or store.revision)
    return _Stream(store, watched, Frames(resource, form), initial, complete_at, seconds, bookmarks)


@dataclass(frozen=True)
class _Stream:
    store: Store
    watched: Callable[[], SelectedWatch]
    """Begins to watch. Raises `Expired`."""
    frames: Frames
    initial: Sequence[Entry]
    """What is there, sent as ADDED before anything else."""
    complete_at: int
    """Not 0: the end of `initial` is marked by a bookmark of this revision."""
    seconds: float
    bookmarks: bool

    async def frames_in_time(self) -> AsyncGenerator[bytes, None]:
        """The frames of the watch, until its time is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.seconds
        try:
            with closing(self.watched()) as watch:
                for start in range(0, len(self.initial), PIECE):
                    some = self.initial[start : start + PIECE]
                    yield b"".join(self.frames.event(Event("ADDED", entry)) for entry in some)
                if self.complete_at:
                    yield self.frames.bookmark(self.complete_at, is_end_of_initial=True)
                while (left := end - loop.time()) > 0:
                    yield await self._next(watch, left)
        except Expired as error:
            yield self.frames.error(error)

    async def _next(self, watch: SelectedWatch, left_s: float) -> bytes:
        """The next events; after a while without any, a bookmark where they are wanted."""
        try:
            async with asyncio.timeout(min(left_s, BOOKMARK_EVERY_S)):
                return b"".join(map(self.frames.event, await watch.next()))
        except TimeoutError:
            return self.frames.bookmark(self.store.revision) if self.bookmarks else b""
