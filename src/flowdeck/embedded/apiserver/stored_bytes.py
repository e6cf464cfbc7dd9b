"""Lists and watch events made of the stored bytes, without their trees where the form that is asked for allows it."""

from collections.abc import AsyncIterator, Iterator, Sequence

import orjson

from flowdeck.embedded.apiserver.contract import Answer, Resource
from flowdeck.embedded.apiserver.forms import MetadataOnly, Tabular, Whole
from flowdeck.embedded.apiserver.listing import Event
from flowdeck.embedded.apiserver.verbs import Verbs
from flowdeck.embedded.store.store import Entry
from flowdeck.kube.errors import ApiError
from flowdeck.kube.objects import Tree

Form = Whole | MetadataOnly | Tabular

PIECE = 64
"""How many objects are sent as one piece: while a client reads it, the next is made, and others get their turn."""


def is_stored_as_served(resource: Resource) -> bool:
    return resource.storage_version == resource.kind.version


def list_answer(resource: Resource, entries: Sequence[Entry], metadata: Tree) -> Answer:
    """A plain list. Items of built-in kinds carry no kind and apiVersion, as upstream; a long one comes in pieces."""
    if resource.is_custom:
        metadata = {"continue": "", **metadata}  # Go's lists of trees do not leave it out
    head = orjson.dumps(
        {"kind": resource.kind.kind + "List", "apiVersion": resource.kind.api_version, "metadata": metadata}
    )
    cut = 1 if resource.is_custom else len(_stored_prefix(resource))
    items = [entry.raw if is_stored_as_served(resource) or cut > 1 else _served(resource, entry) for entry in entries]
    pieces = _pieces(head[:-1] + b',"items":[', items, cut)
    if len(items) <= PIECE:
        return Answer(raw=b"".join(pieces))
    length = len(head) + len(b',"items":[') + sum(map(len, items)) + len(items) * (2 - cut)
    return Answer(stream=_one_by_one(pieces), headers={"content-length": str(length)})


def _pieces(head: bytes, items: Sequence[bytes], cut: int) -> Iterator[bytes]:
    """The list's bytes; each item without its first `cut`, of which one opens the object."""
    before = head + b"{"
    for start in range(0, len(items), PIECE):
        yield before + b",{".join([memoryview(item)[cut:] for item in items[start : start + PIECE]])
        before = b",{"
    yield b"]}" if items else head + b"]}"


async def _one_by_one(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _served(resource: Resource, entry: Entry) -> bytes:
    return orjson.dumps(Verbs.in_version(resource, entry.tree))


def _stored_prefix(resource: Resource) -> bytes:
    """How the bytes of each stored object begin."""
    kind = resource.kind
    version = f"{kind.group}/{resource.storage_version}" if kind.group else resource.storage_version
    return orjson.dumps({"kind": kind.kind, "apiVersion": version})[:-1] + b","


class Frames:
    """Renders watch events of one resource in one form."""

    def __init__(self, resource: Resource, form: Form) -> None:
        self._resource = resource
        self._form = form
        self._is_raw = form.is_plain and is_stored_as_served(resource)

    def event(self, event: Event) -> bytes:
        if self._is_raw:
            return _frame(event.type, event.entry.raw)
        obj = Verbs.in_version(self._resource, event.entry.tree)
        return _frame(event.type, orjson.dumps(self._form.event(obj)))

    def bookmark(self, revision: int, *, is_end_of_initial: bool = False) -> bytes:
        metadata: Tree = {"resourceVersion": str(revision)}
        if is_end_of_initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        kind = self._resource.kind
        obj: Tree = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
        return _frame("BOOKMARK", orjson.dumps(self._form.event(obj)))

    @staticmethod
    def error(error: ApiError) -> bytes:
        return _frame("ERROR", orjson.dumps(error.to_status()))


def _frame(type_: str, obj: bytes) -> bytes:
    return b'{"type":"' + type_.encode() + b'","object":' + obj + b"}\n"
