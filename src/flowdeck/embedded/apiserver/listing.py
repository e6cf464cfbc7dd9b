"""Lists and watches of one resource: selectors, pages, and what a change looks like through a selector."""

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

import msgspec

from flowdeck.embedded.apiserver.contract import Resource
from flowdeck.embedded.store.store import Change, CompactedError, Entry, Store, StoreKey, Watch
from flowdeck.kube.errors import BadRequest, Expired
from flowdeck.kube.objects import Tree, labels_of
from flowdeck.kube.selectors import (
    EVERYTHING,
    FieldSelector,
    LabelSelector,
    parse_field_selector,
    parse_label_selector,
)

EXPIRED = "The resourceVersion for the provided watch is too old."
EXPIRED_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


ALL_FIELDS = FieldSelector()


@dataclass(frozen=True)
class Selection:
    """Which objects of a resource are meant."""

    namespace: str = ""
    labels: LabelSelector = EVERYTHING
    fields: FieldSelector = ALL_FIELDS

    @classmethod
    def parse(cls, resource: Resource, namespace: str, labels: str, fields: str) -> "Selection":
        """Reads both selectors; raises `BadRequest` for what the resource cannot select by."""
        selector = parse_field_selector(fields)
        known = {"metadata.name", "metadata.namespace", *resource.selectable_fields}
        for path, _, _ in selector.terms:
            if path not in known:
                raise BadRequest(_not_selectable(resource, path))
        return cls(namespace, parse_label_selector(labels), selector)

    @property
    def is_whole(self) -> bool:
        """True when every object of the namespace (or of all) is meant."""
        return self.labels.is_everything and not self.fields.terms

    def matches(self, obj: Tree) -> bool:
        return self.labels.matches(labels_of(obj)) and self.fields.matches(obj)

    @property
    def name(self) -> str:
        """The one name that is asked for, or `""`."""
        return next((value for path, equal, value in self.fields.terms if path == "metadata.name" and equal), "")


def _not_selectable(resource: Resource, path: str) -> str:
    if resource.is_custom or resource.selectable_fields:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


class Page(NamedTuple):
    """Part of a list at one revision."""

    entries: Sequence[Entry]
    revision: int
    continue_token: str
    remaining: int | None
    """How many are left behind this page; None when that is not known."""


_TOKEN_VERSION = "meta.k8s.io/v1"


class _Token(msgspec.Struct):
    v: str
    rv: int
    start: str


def encode_token(revision: int, last: StoreKey) -> str:
    token = msgspec.json.encode(_Token(_TOKEN_VERSION, revision, f"{last.namespace}/{last.name}"))
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def decode_token(text: str) -> tuple[int, tuple[str, str]]:
    wrong = "invalid continue token: continue key is not valid"
    try:
        token = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Token)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BadRequest(f"{wrong}: {error}") from error
    except (binascii.Error, ValueError) as error:
        raise BadRequest(f"{wrong}: illegal base64 data at input byte {len(text) // 4 * 4}") from error
    if token.v != _TOKEN_VERSION:
        raise BadRequest(f"{wrong}: server does not recognize this encoded version {token.v}")
    namespace, _, name = token.start.partition("/")
    return token.rv, (namespace, name)


def read_page(
    store: Store, resource: str, selection: Selection, *, limit: int = 0, continue_token: str = "", at: int = 0
) -> Page:
    """One page of a list: of now, of the revision in the token, or of revision `at`. Raises `Expired`."""
    after: tuple[str, str] | None = None
    revision = at or store.revision
    if continue_token:
        revision, after = decode_token(continue_token)
        revision = revision if revision > 0 else store.revision
    try:
        candidates = _candidates(store, resource, selection, revision, after)
    except CompactedError as error:
        raise _too_old(store, after) from error
    entries = candidates if selection.is_whole else (e for e in candidates if selection.matches(e.tree))
    if not limit:
        return Page(list(entries), revision, "", None)
    page = list(islice(entries, limit))
    if len(page) < limit:
        return Page(page, revision, "", None)
    # whether what is left is selected is not known yet, as upstream
    rest = sum(1 for _ in candidates) if selection.is_whole else sum(1 for _ in islice(candidates, 1))
    if not rest:
        return Page(page, revision, "", None)
    return Page(page, revision, encode_token(revision, page[-1].key), rest if selection.is_whole else None)


def _candidates(
    store: Store, resource: str, selection: Selection, revision: int, after: tuple[str, str] | None
) -> Iterator[Entry]:
    if selection.name and selection.namespace and revision == store.revision and after is None:
        found = store.get(StoreKey(resource, selection.namespace, selection.name))
        return iter([found] if found else [])
    if revision == store.revision:
        return iter(store.scan(resource, selection.namespace, after=after))
    return iter(store.scan_at(resource, selection.namespace, revision, after=after))


def _too_old(store: Store, after: tuple[str, str] | None) -> Expired:
    if after is None:
        return Expired(f"The provided resource version is too old: the oldest available is {store.oldest}")
    error = Expired(EXPIRED_CONTINUE)
    error.extra = {"continue": encode_token(-1, StoreKey("", *after))}
    return error


class Event(NamedTuple):
    """One watch event, before it is rendered."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    entry: Entry


class SelectedWatch:
    """A store's watch seen through a selection."""

    def __init__(self, store: Store, resource: str, selection: Selection, after: int) -> None:
        try:
            self._watch: Watch = store.watch(resource, after=after)
        except CompactedError as error:
            raise Expired(f"too old resource version: {after} ({error.oldest})") from error
        self._seen = _seen_through(selection)

    async def next(self) -> Sequence[Event]:
        """The next events, in order; may be empty. Raises `Expired` when this watcher was too slow."""
        changes = await self._watch.next()
        if not changes and self._watch.overflowed:
            raise Expired(EXPIRED)
        return [event for change in changes if (event := self._seen(change)) is not None]

    def close(self) -> None:
        self._watch.close()


def _seen_through(selection: Selection) -> Callable[[Change], Event | None]:
    """What a change is to a watcher of the selection: an object that stops matching is DELETED to it."""

    def seen(change: Change) -> Event | None:
        if selection.namespace and change.entry.key.namespace != selection.namespace:
            return None
        had = change.previous is not None and (selection.is_whole or selection.matches(change.previous.tree))
        has = not change.is_deletion and (selection.is_whole or selection.matches(change.entry.tree))
        if has:
            return Event("MODIFIED" if had else "ADDED", change.entry)
        return Event("DELETED", _as_it_was(change)) if had else None

    return seen


def _as_it_was(change: Change) -> Entry:
    """The last state that matched, at the revision of the change that ended it."""
    if change.is_deletion or change.previous is None:
        return change.entry
    tree = change.previous.tree
    tree = {**tree, "metadata": {**tree["metadata"], "resourceVersion": str(change.revision)}}
    return Entry(change.entry.key, change.revision, msgspec.json.encode(tree), tree)
