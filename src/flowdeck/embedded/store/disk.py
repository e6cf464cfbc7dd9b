"""The SQLite file under the store: read whole at a start, then written batch by batch in a thread of its own."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

Row = tuple[str, str, str, int, bytes]
"""Resource, namespace, name, revision, the object as JSON."""
Key = tuple[str, str, str]
Done = Callable[[BaseException | None], None]

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
        self._thread = ThreadPoolExecutor(1, "store")

    def close(self) -> None:
        """Returns when all batches are written."""
        self._thread.shutdown()
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

        def tell(written: Future[None]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(done, written.exception())

        self._thread.submit(self._write, puts, deletions, revision).add_done_callback(tell)

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
        finally:
            if self._db.in_transaction:  # it did not get to COMMIT; a full disk has ended it by itself
                self._db.execute("ROLLBACK")

    def _put(self, rows: Sequence[Row]) -> None:
        places = ",".join(["(?, ?, ?, ?, ?)"] * len(rows))
        values = [value for row in rows for value in row]
        self._db.execute(f"INSERT OR REPLACE INTO objects VALUES {places}", values)
