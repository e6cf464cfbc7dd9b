"""The SQLite file under the store: read whole at a start, then written batch by batch in a thread of its own."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

Row = tuple[str, str, str, int, bytes]
"""Resource, namespace, name, revision, the object as JSON."""
Key = tuple[str, str, str]
Done = Callable[[Exception | None], None]

_ROWS = 256
"""How many objects one statement writes: SQLite takes 32,766 values."""
_CHECKPOINT_PAGES = 4000
"""Size of the write-ahead log, in pages of 4 KiB, from which on it is moved into the database."""


class Disk:
    """What was written is there after a power cut from the moment that `done` is called."""

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA cache_size=-4000")
        self._db.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS objects (resource TEXT, namespace TEXT, name TEXT, revision INTEGER NOT NULL,"
            " value BLOB NOT NULL, PRIMARY KEY (resource, namespace, name))"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS revision (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER)")
        self._db.execute("INSERT OR IGNORE INTO revision VALUES (1, 1)")
        self._batches: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns when all batches are written."""
        self._batches.put(None)
        self._thread.join()
        self._db.close()

    def rows(self) -> Iterator[Row]:
        """All objects."""
        return self._db.execute("SELECT resource, namespace, name, revision, value FROM objects")

    def revision(self) -> int:
        """The last revision: of an object, or of a deletion, which leaves none."""
        query = "SELECT max(value, coalesce((SELECT max(revision) FROM objects), 0)) FROM revision"
        return int(self._db.execute(query).fetchone()[0])

    def write(self, puts: Sequence[Row], deletions: Sequence[Key], revision: int, done: Done) -> None:
        """Writes all or nothing; then the event loop calls `done` with what went wrong, if anything did."""
        loop = asyncio.get_running_loop()

        def work() -> None:
            error: Exception | None = None
            try:
                self._write(puts, deletions, revision)
            except Exception as caught:  # noqa: BLE001 - whatever it is, the writers are told
                error = caught
            if not loop.is_closed():
                loop.call_soon_threadsafe(done, error)

        self._batches.put(work)

    def _work(self) -> None:
        while (work := self._batches.get()) is not None:
            work()

    def _write(self, puts: Sequence[Row], deletions: Sequence[Key], revision: int) -> None:
        """Each statement lets go of the interpreter, and waits for a busy event loop to get it back: few of them."""
        if puts and len(puts) <= _ROWS and not deletions:
            self._put(puts)  # a statement is a transaction; the rows tell the revision
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for start in range(0, len(puts), _ROWS):
                self._put(puts[start : start + _ROWS])
            self._db.executemany("DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?", deletions)
            self._db.execute("UPDATE revision SET value = ?", (revision,))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk has ended it already
                self._db.execute("ROLLBACK")
            raise

    def _put(self, rows: Sequence[Row]) -> None:
        places = ",".join(["(?, ?, ?, ?, ?)"] * len(rows))
        values = [value for row in rows for value in row]
        self._db.execute(f"INSERT OR REPLACE INTO objects VALUES {places}", values)
