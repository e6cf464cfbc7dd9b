"""What is answered is on disk; revisions rise; watches see every change once, in order."""

import asyncio
import random
import resource
import shutil
from collections.abc import Coroutine, Iterator
from pathlib import Path

import pytest

from flowdeck.embedded.store import store as store_module
from flowdeck.embedded.store.store import CompactedError, Entry, StaleError, Store, StoreKey
from flowdeck.kube.objects import Tree


def a_key(name: str = "a", namespace: str = "default") -> StoreKey:
    return StoreKey("configmaps", namespace, name)


def a_tree(name: str = "a", **data: str) -> Tree:
    return {"metadata": {"name": name}, "data": data}


async def on_its_way(store: Store, write: Coroutine[None, None, Entry]) -> "asyncio.Task[Entry]":
    """The write, begun."""
    writing = asyncio.create_task(write)
    while not store.is_writing:  # noqa: ASYNC110 - it sets no event when it begins
        await asyncio.sleep(0)
    return writing


@pytest.fixture
async def store(tmp_path: Path) -> Iterator[Store]:  # type: ignore[misc]
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


async def test_an_object_is_read_back_with_its_revision(store: Store) -> None:
    entry = await store.put(a_key(), a_tree(x="1"), expected=None)
    found = store.get(a_key())
    assert found is entry
    assert found.tree["metadata"]["resourceVersion"] == str(store.revision)


async def test_creating_twice_is_stale(store: Store) -> None:
    await store.put(a_key(), a_tree(), expected=None)
    with pytest.raises(StaleError):
        await store.put(a_key(), a_tree(), expected=None)


async def test_of_two_writes_on_one_revision_one_wins(store: Store) -> None:
    first = await store.put(a_key(), a_tree(), expected=None)
    results = await asyncio.gather(
        store.put(a_key(), a_tree(x="1"), expected=first),
        store.put(a_key(), a_tree(x="2"), expected=first),
        return_exceptions=True,
    )
    assert [isinstance(result, StaleError) for result in results] == [False, True]


async def test_a_write_goes_on_when_nobody_waits_for_it_any_more(store: Store) -> None:
    writing = await on_its_way(store, store.put(a_key(), a_tree(x="1"), expected=None))
    writing.cancel()
    await store.written()
    found = store.get(a_key())
    assert found is not None
    assert found.tree["data"] == {"x": "1"}
    assert (await asyncio.gather(writing, return_exceptions=True))[0].__class__ is asyncio.CancelledError


async def test_trees_that_were_not_asked_for_lately_are_made_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "TREE_BYTES", 200)
    first = await store.put(a_key(), a_tree(x="1"), expected=None)
    tree = first.tree
    assert first.tree is tree
    await store.put(a_key("b"), a_tree("b", x="2" * 300), expected=None)
    assert first.tree is not tree
    assert first.tree == tree
    assert first.fact(len) == 2


async def test_a_revision_that_a_deletion_took_is_not_given_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    entry = await store.put(a_key(), a_tree(), expected=None)
    deleted = await store.delete(a_key(), expected=entry)
    kept = await store.put(a_key("b"), a_tree("b"), expected=None)
    store.close()
    again = Store(tmp_path / "store.db")
    assert again.revision == kept.revision > deleted.revision
    gone = again.get(a_key("b"))
    assert gone is not None
    await again.delete(a_key("b"), expected=gone)
    again.close()
    once_more = Store(tmp_path / "store.db")
    assert once_more.revision == kept.revision + 1
    once_more.close()


async def test_a_write_on_its_way_is_seen_by_the_next_write_but_not_by_readers(store: Store) -> None:
    writing = await on_its_way(store, store.put(a_key(), a_tree(x="1"), expected=None))
    head = store.head(a_key())
    assert head is not None
    assert store.get(a_key()) is None
    second = await store.put(a_key(), a_tree(x="2"), expected=head)
    await writing
    assert store.get(a_key()) is second


async def test_deleting_and_creating_again_in_one_moment_keeps_the_new_one(store: Store, tmp_path: Path) -> None:
    first = await store.put(a_key(), a_tree(), expected=None)
    await asyncio.gather(store.delete(a_key(), expected=first), store.put(a_key(), a_tree(x="new"), expected=None))
    store.close()
    again = Store(tmp_path / "store.db")
    found = again.get(a_key())
    assert found is not None
    assert found.tree["data"] == {"x": "new"}
    assert again.revision == found.revision
    again.close()


async def test_a_watch_sees_changes_before_and_after_it_began(store: Store) -> None:
    start = store.revision
    first = await store.put(a_key(), a_tree(), expected=None)
    watch = store.watch("configmaps", after=start)
    second = await store.put(a_key(), a_tree(x="1"), expected=first)
    await store.delete(a_key(), expected=second)
    seen = await watch.next()
    while len(seen) < 3:
        seen = [*seen, *(await watch.next())]
    assert [(c.revision, c.is_deletion) for c in seen] == [
        (start + 1, False),
        (start + 2, False),
        (start + 3, True),
    ]
    assert [c.previous for c in seen] == [None, first, second]


async def test_a_list_at_an_older_revision_shows_things_as_they_were(store: Store) -> None:
    a = await store.put(a_key("a"), a_tree("a"), expected=None)
    b = await store.put(a_key("b"), a_tree("b"), expected=None)
    then = store.revision
    await store.delete(a_key("a"), expected=a)
    await store.put(a_key("b"), a_tree("b", x="1"), expected=b)
    await store.put(a_key("c"), a_tree("c"), expected=None)
    assert [e.revision for e in store.scan_at("configmaps", "default", then)] == [a.revision, b.revision]
    assert [e.key.name for e in store.scan_at("configmaps", "", then, after=("default", "a"))] == ["b"]
    assert [e.key.name for e in store.scan("configmaps", "default")] == ["b", "c"]
    assert [e.key.name for e in store.scan("configmaps", "defaul")] == []


async def test_what_is_compacted_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "HISTORY_EVENTS", 2)
    start = store.revision
    for name in "abcd":
        await store.put(a_key(name), a_tree(name), expected=None)
    with pytest.raises(CompactedError):
        store.watch("configmaps", after=start)
    store.watch("configmaps", after=store.revision - 2).close()


async def test_every_answered_write_is_in_a_copy_of_the_files(tmp_path: Path) -> None:
    """A power cut at a random moment: the files as they are, copied between two steps of the event loop."""
    random.seed(7)
    (tmp_path / "live").mkdir()
    store = Store(tmp_path / "live" / "store.db")
    answered: dict[str, int] = {}

    async def write(worker: int) -> None:
        for number in range(60):
            name = f"w{worker}-{number % 7}"
            entry = await store.put(a_key(name), a_tree(name, n=str(number)), expected=store.head(a_key(name)))
            answered[name] = entry.revision

    async def cut_power() -> None:
        for round_ in range(12):
            await asyncio.sleep(random.random() / 200)
            before = dict(answered)
            copy = tmp_path / f"copy{round_}"
            copy.mkdir()
            for suffix in ("-wal", ""):
                source = tmp_path / "live" / f"store.db{suffix}"
                if source.exists():
                    shutil.copy(source, copy)
            after = Store(copy / "store.db")
            for name, revision in before.items():
                entry = after.get(a_key(name))
                assert entry is not None
                assert entry.revision >= revision
            assert after.revision >= max(before.values(), default=0)
            after.close()

    await asyncio.gather(*(write(worker) for worker in range(4)), cut_power())
    store.close()


async def test_a_write_that_the_disk_refuses_changes_nothing(store: Store) -> None:
    first = await store.put(a_key(), a_tree(), expected=None)
    store._disk._db.execute("PRAGMA query_only=ON")
    with pytest.raises(OSError, match="could not write"):
        await store.put(a_key(), a_tree(x="1"), expected=first)
    store._disk._db.execute("PRAGMA query_only=OFF")
    assert store.head(a_key()) is first
    assert (await store.put(a_key(), a_tree(x="2"), expected=first)).tree["data"] == {"x": "2"}


async def test_a_watch_that_was_too_slow_shows_nothing_after_the_gap(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(store_module, "WATCH_BACKLOG", 2)
    watch = store.watch("configmaps", after=store.revision)
    for name in "abc":
        await store.put(a_key(name), a_tree(name), expected=None)
    assert [change.entry.key.name for change in await watch.next()] == ["a", "b"]
    await store.put(a_key("d"), a_tree("d"), expected=None)
    assert await watch.next() == []
    assert watch.overflowed


async def test_a_deletion_that_changes_the_object_is_one_write(store: Store) -> None:
    first = await store.put(a_key(), a_tree(x="1"), expected=None)
    watch = store.watch("configmaps", after=first.revision)
    deleted = await store.delete(a_key(), expected=first, last=a_tree(x="2"))
    (change,) = await watch.next()
    assert change.is_deletion
    assert change.previous is first
    assert change.entry is deleted
    assert deleted.tree["data"] == {"x": "2"}
    assert store.get(a_key()) is None


async def test_a_full_disk_is_told_of_and_got_over(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    kept = []

    async def fill() -> None:
        for number in range(100):
            name = f"n{number}"
            kept.append(await store.put(a_key(name), a_tree(name, x="x" * 100_000), expected=None))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"the store could not write: .*(full|I/O)"):
            await fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    refused = a_key(f"n{len(kept)}")
    assert store.head(refused) is None
    kept.append(await store.put(refused, a_tree(refused.name), expected=None))
    store.close()
    again = Store(tmp_path / "store.db")
    assert [(e.key, e.revision) for e in again.scan("configmaps")] == sorted((e.key, e.revision) for e in kept)
    again.close()
