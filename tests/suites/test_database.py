"""What a database promises to the stores of components, kept by SQLite and PostgreSQL."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from flowdeck.kube.errors import BadRequest
from flowdeck.sql.database import Database
from flowdeck.sql.listing import Listed, page
from flowdeck.sql.migrations import Migrations, NewerDatabase
from flowdeck.web.listing import After, ListQuery, Op, Page, Predicate
from tests.sql.tables import EVENTS, METADATA, RUNS

STEPS = Path(__file__).parents[1] / "sql" / "steps"
MIGRATIONS = Migrations("tested", STEPS)
START = datetime(2026, 1, 1, tzinfo=UTC)
LISTED = Listed(RUNS.c.id, {"name": RUNS.c.name, "created_at": RUNS.c.created_at})


@pytest.fixture
async def store(database: Database) -> Database:
    """A database with the tables."""
    await MIGRATIONS.run(database)
    return database


def add_run(connection: Connection, id_: str, name: str = "", created_at: datetime = START) -> None:
    row = {"id": id_, "name": name or id_, "created_at": created_at, "labels": {"of": [id_, 1, None]}}
    connection.execute(insert(RUNS).values(row))


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(RUNS)).scalar_one()


# ---- units of work ----------------------------------------------------------------------------------------------


async def test_what_was_written_is_read_as_it_was_written(store: Database) -> None:
    moment = START + timedelta(microseconds=1)
    await store.write(lambda connection: add_run(connection, "a", "späß", moment))
    row = await store.read(lambda connection: connection.execute(select(RUNS)).one())
    assert tuple(row) == ("a", "späß", moment, {"of": ["a", 1, None]})


async def test_a_unit_of_work_that_raises_has_done_nothing(store: Database) -> None:
    def half(connection: Connection) -> None:
        add_run(connection, "a")
        raise LookupError("on purpose")

    with pytest.raises(LookupError):
        await store.write(half)
    assert await store.read(count) == 0


async def test_a_key_that_is_there_already_is_an_integrity_error(store: Database) -> None:
    await store.write(lambda connection: add_run(connection, "a"))
    with pytest.raises(IntegrityError):
        await store.write(lambda connection: add_run(connection, "a"))


async def test_references_are_kept(store: Database) -> None:
    row = {"run": "nobody", "number": 1, "what": {}}
    with pytest.raises(IntegrityError):
        await store.write(lambda connection: connection.execute(insert(EVENTS).values(row)))


async def test_reads_go_on_beside_a_write_and_see_what_was_before(store: Database) -> None:
    loop, began, may_end = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def slow(connection: Connection) -> None:
        add_run(connection, "a")
        loop.call_soon_threadsafe(began.set)
        asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result(10)

    writing = asyncio.create_task(store.write(slow))
    await began.wait()
    assert await store.read(count) == 0
    may_end.set()
    await writing
    assert await store.read(count) == 1


async def test_histories_that_many_append_to_have_no_gap_and_no_double(store: Database) -> None:
    """A writer counts the number up under the run's lock."""
    await store.write(lambda connection: add_run(connection, "a"))

    def append(connection: Connection) -> None:
        connection.execute(select(RUNS.c.id).where(RUNS.c.id == "a").with_for_update())
        last = connection.execute(select(func.max(EVENTS.c.number)).where(EVENTS.c.run == "a")).scalar_one() or 0
        connection.execute(insert(EVENTS).values(run="a", number=last + 1, what={"at": last}))

    await asyncio.gather(*(store.write(append) for _ in range(40)))
    numbers = await store.read(lambda c: c.execute(select(EVENTS.c.number).order_by(EVENTS.c.number)).scalars().all())
    assert list(numbers) == list(range(1, 41))


async def test_two_that_wait_for_each_other_both_succeed(store: Database) -> None:
    """PostgreSQL ends one of them, which is then run again; SQLite lets one begin after the other."""
    for name in "ab":
        await store.write(partial(add_run, id_=name))
    met = [asyncio.Event(), asyncio.Event()]
    loop = asyncio.get_running_loop()

    async def meet(mine: int) -> None:
        met[mine].set()
        if not store.is_sqlite:
            await met[1 - mine].wait()

    def crosswise(first: str, second: str, mine: int) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            rename = RUNS.update().values(name=RUNS.c.name + "!")
            connection.execute(rename.where(RUNS.c.id == first))
            asyncio.run_coroutine_threadsafe(meet(mine), loop).result(10)
            connection.execute(rename.where(RUNS.c.id == second))

        return work

    await asyncio.gather(store.write(crosswise("a", "b", 0)), store.write(crosswise("b", "a", 1)))
    names = await store.read(lambda c: c.execute(select(RUNS.c.name).order_by(RUNS.c.id)).scalars().all())
    assert list(names) == ["a!!", "b!!"]


async def test_it_answers_readiness(database: Database) -> None:
    await database.ping()


async def test_another_opening_finds_what_was_written(store: Database, database_url: str) -> None:
    await store.write(lambda connection: add_run(connection, "a"))
    other = Database(database_url)
    assert await other.read(count) == 1
    await other.close()


# ---- migrations -------------------------------------------------------------------------------------------------


async def test_the_migrated_tables_are_the_declared_ones(store: Database) -> None:
    def differences(connection: Connection) -> Sequence[object]:
        def is_declared(name: str | None, kind: str, parents: object) -> bool:
            return kind != "table" or name in METADATA.tables

        options = {"compare_type": True, "include_name": is_declared}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))

    assert await store.read(differences) == []


async def test_rows_of_an_older_version_are_kept(database: Database, tmp_path: Path) -> None:
    shutil.copytree(STEPS, tmp_path / "old")
    (tmp_path / "old" / "versions" / "0002_history.py").unlink()
    await Migrations("tested", tmp_path / "old").run(database)
    await database.write(lambda c: c.execute(text("INSERT INTO runs (id, name, created_at) VALUES ('a', 'a', 0)")))
    await MIGRATIONS.run(database)
    row = await database.read(lambda connection: connection.execute(select(RUNS)).one())
    assert tuple(row) == ("a", "a", datetime(1970, 1, 1, tzinfo=UTC), {})


async def test_running_them_twice_or_by_two_at_once_changes_nothing(database: Database, database_url: str) -> None:
    other = Database(database_url)
    await asyncio.gather(MIGRATIONS.run(database), MIGRATIONS.run(other))
    await database.write(lambda connection: add_run(connection, "a"))
    await MIGRATIONS.run(other)
    assert await other.read(count) == 1
    await other.close()


async def test_a_step_that_fails_leaves_the_tables_as_they_were(database: Database, tmp_path: Path) -> None:
    shutil.copytree(STEPS, tmp_path / "broken")
    step = tmp_path / "broken" / "versions" / "0002_history.py"
    step.write_text(step.read_text() + "    raise LookupError('on purpose')\n")
    with pytest.raises(LookupError):
        await Migrations("tested", tmp_path / "broken").run(database)
    await MIGRATIONS.run(database)
    assert await database.read(count) == 0


async def test_tables_of_a_newer_version_are_refused(database: Database, tmp_path: Path) -> None:
    shutil.copytree(STEPS, tmp_path / "newer")
    newer = 'revision = "0003"\ndown_revision = "0002"\n\n\ndef upgrade() -> None:\n    return\n'
    (tmp_path / "newer" / "versions" / "0003_more.py").write_text(newer)
    await Migrations("tested", tmp_path / "newer").run(database)
    with pytest.raises(NewerDatabase, match="the tables of tested are of a newer version"):
        await MIGRATIONS.run(database)


# ---- lists ------------------------------------------------------------------------------------------------------


async def listed(store: Database, query: ListQuery) -> Page[str]:
    return await store.read(lambda c: page(c, select(RUNS), LISTED, query, lambda row: str(row["id"])))


async def all_pages(store: Database, size: int, sort: str, *, descending: bool) -> list[str]:
    found: list[str] = []
    after: After | None = None
    while True:
        got = await listed(store, ListQuery(size, sort, descending, after=after))
        found += got.items
        after = got.next
        if after is None:
            return found


@pytest.fixture
async def runs(store: Database) -> Database:
    """Seven, of which some have the same name, and some the same age; most came in the middle of a second."""

    def add(connection: Connection) -> None:
        for number in range(7):
            add_run(connection, f"r{number}", "abAB_%x"[number], START + timedelta(seconds=1.3 * (number // 2)))

    await store.write(add)
    return store


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", ["name", "created_at"])
async def test_pages_together_are_the_whole_list(runs: Database, size: int, sort: str, descending: bool) -> None:
    whole = (await listed(runs, ListQuery(100, sort, descending))).items
    assert len(whole) == 7
    assert await all_pages(runs, size, sort, descending=descending) == list(whole)


async def test_rows_that_come_and_go_between_pages_shift_nothing(runs: Database) -> None:
    first = await listed(runs, ListQuery(3, "created_at", False))
    await runs.write(lambda c: c.execute(RUNS.delete().where(RUNS.c.id == first.items[0])))
    await runs.write(lambda c: add_run(c, "r00", created_at=START))
    second = await listed(runs, ListQuery(10, "created_at", False, after=first.next))
    assert list(second.items) == ["r3", "r4", "r5", "r6"]


@pytest.mark.parametrize(
    ("predicate", "ids"),
    [
        (Predicate("name", Op.EQUALS, "a"), "r0"),
        (Predicate("name", Op.NOT_EQUALS, "a"), "r1 r2 r3 r4 r5 r6"),
        (Predicate("name", Op.IN, ("a", "x")), "r0 r6"),
        (Predicate("name", Op.IN, ()), ""),
        (Predicate("name", Op.IS_SUBSTRING, "A"), "r0 r2"),
        (Predicate("name", Op.IS_SUBSTRING, "%"), "r5"),
        (Predicate("name", Op.IS_SUBSTRING, "_"), "r4"),
        (Predicate("created_at", Op.EQUALS, int(START.timestamp()) + 1), "r2 r3"),
        (Predicate("created_at", Op.GREATER_THAN, int(START.timestamp()) + 1), "r4 r5 r6"),
        (Predicate("created_at", Op.GREATER_THAN_EQUALS, int(START.timestamp()) + 3), "r6"),
        (Predicate("created_at", Op.LESS_THAN, int(START.timestamp()) + 1), "r0 r1"),
        (Predicate("created_at", Op.LESS_THAN_EQUALS, int(START.timestamp())), "r0 r1"),
        (Predicate("created_at", Op.IN, (int(START.timestamp()), int(START.timestamp()) + 3)), "r0 r1 r6"),
        (Predicate("created_at", Op.NOT_EQUALS, int(START.timestamp())), "r2 r3 r4 r5 r6"),
        (Predicate("created_at", Op.LESS_THAN_EQUALS, 2**43), "r0 r1 r2 r3 r4 r5 r6"),
    ],
)
async def test_predicates_choose(runs: Database, predicate: Predicate, ids: str) -> None:
    got = await listed(runs, ListQuery(20, "created_at", False, (predicate,)))
    assert (list(got.items), got.total) == (ids.split(), len(ids.split()))


async def test_a_field_that_is_none_is_refused(runs: Database) -> None:
    with pytest.raises(BadRequest, match="no such field: 'colour'"):
        await listed(runs, ListQuery(20, "colour", False))


@pytest.mark.parametrize(
    "predicate",
    [
        Predicate("name", Op.EQUALS, 1),
        Predicate("name", Op.IN, ("a", 1)),
        Predicate("name", Op.EQUALS, None),
        Predicate("created_at", Op.EQUALS, "a"),
        Predicate("created_at", Op.IS_SUBSTRING, "a"),
        Predicate("created_at", Op.LESS_THAN, 2**62),
    ],
)
async def test_a_value_of_another_type_is_refused(runs: Database, predicate: Predicate) -> None:
    with pytest.raises(BadRequest, match="cannot be compared with"):
        await listed(runs, ListQuery(20, "created_at", False, (predicate,)))


@pytest.mark.parametrize(("sort", "value"), [("name", 1), ("created_at", "a"), ("created_at", 2**63)])
async def test_a_page_after_a_row_that_cannot_be_is_refused(runs: Database, sort: str, value: int | str) -> None:
    with pytest.raises(BadRequest, match="cannot be compared with"):
        await listed(runs, ListQuery(20, sort, False, after=After(value, "r0", 1)))


async def test_a_text_with_nul_is_kept_or_refused(store: Database) -> None:
    writing = store.write(lambda c: add_run(c, "odd", "a\0b"))
    if store.is_sqlite:
        await writing
        assert await store.read(lambda c: c.execute(select(RUNS.c.name)).scalars().all()) == ["a\0b"]
    else:
        with pytest.raises(BadRequest, match="cannot be kept"):
            await writing
