"""Watches over HTTP: a request becomes a stream of frames, which ends when its time is over."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from random import Random

from flowdeck.embedded.apiserver import queries
from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Resource
from flowdeck.embedded.apiserver.listing import Event, SelectedWatch, read_page
from flowdeck.embedded.apiserver.request import is_true
from flowdeck.embedded.apiserver.stored_bytes import PIECE, Form, Frames
from flowdeck.embedded.store.store import Entry, Store
from flowdeck.kube.errors import Expired

WATCH_S = (1800, 3600)
"""A watch without `timeoutSeconds` ends at a random moment between these, as upstream's do."""
BOOKMARK_EVERY_S = 60.0


def watch_answer(store: Store, info: RequestInfo, resource: Resource, form: Form, random: Random) -> Answer:
    """The answer to a watch request. Raises `BadRequest` for a query that cannot be read."""
    selection = queries.selection(info, resource)
    queries.check_watch_options(info)
    revision = queries.revision(info)
    frames = Frames(resource, form)
    initial: Sequence[Entry] = ()
    wants_initial = is_true(info.query.get("sendInitialEvents", ""))
    if wants_initial or (revision == 0 and "sendInitialEvents" not in info.query):
        page = read_page(store, resource.kind.resource, selection)
        initial, revision = page.entries, page.revision
    seconds = queries.number(info, "timeoutSeconds") or random.randint(*WATCH_S)
    try:
        watch = SelectedWatch(store, resource.kind.resource, selection, revision or store.revision)
    except Expired as error:
        return Answer(stream=_just(frames.error(error)))
    bookmarks = is_true(info.query.get("allowWatchBookmarks", ""))
    complete_at = revision if wants_initial and bookmarks else 0
    stream = _Stream(store, watch, frames, initial, complete_at, seconds, bookmarks)
    return Answer(stream=stream.frames_in_time())


@dataclass(frozen=True)
class _Stream:
    store: Store
    watch: SelectedWatch
    frames: Frames
    initial: Sequence[Entry]
    """What is there, sent as ADDED before anything else."""
    complete_at: int
    """Not 0: the end of `initial` is marked by a bookmark of this revision."""
    seconds: float
    bookmarks: bool

    async def frames_in_time(self) -> AsyncIterator[bytes]:
        """The frames of the watch, until its time is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.seconds
        try:
            for start in range(0, len(self.initial), PIECE):
                yield b"".join(
                    self.frames.event(Event("ADDED", entry)) for entry in self.initial[start : start + PIECE]
                )
            if self.complete_at:
                yield self.frames.bookmark(self.complete_at, is_end_of_initial=True)
            while (left := end - loop.time()) > 0:
                yield await self._next(left)
        except Expired as error:
            yield self.frames.error(error)
        finally:
            self.watch.close()

    async def _next(self, left_s: float) -> bytes:
        """The next events; after a while without any, a bookmark where they are wanted."""
        try:
            async with asyncio.timeout(min(left_s, BOOKMARK_EVERY_S)):
                return b"".join(map(self.frames.event, await self.watch.next()))
        except TimeoutError:
            return self.frames.bookmark(self.store.revision) if self.bookmarks else b""


async def _just(frame: bytes) -> AsyncIterator[bytes]:
    yield frame
