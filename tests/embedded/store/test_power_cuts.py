"""A writer is killed, or its files are copied while it is frozen, at random moments: what was answered is there."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from flowdeck.embedded.store.store import Store

ROUNDS = int(os.environ.get("FLOWDECK_FAULT_ROUNDS", "12"))
ROOT = Path(__file__).parents[3]
LONGEST_S = 0.2

pytestmark = pytest.mark.timeout(60 + 3 * ROUNDS)


@dataclass
class Told:
    """What writers said, over all their lives."""

    done: dict[str, int] = field(default_factory=dict)
    """The last answered write of each object."""
    tried: dict[str, int] = field(default_factory=dict)
    """The last one that was begun."""


class Writer:
    """The process of `writer.py`, and what it says."""

    def __init__(self, store: Path, output: Path, told: Told) -> None:
        self.told = told
        self._reading = output.open("a+b")
        self._read_to = self._reading.seek(0, os.SEEK_END)
        opened, opening = os.pipe()
        command = [sys.executable, "-m", "tests.embedded.store.writer", str(store), str(opening)]
        self.process = subprocess.Popen(command, stdout=self._reading, cwd=ROOT, pass_fds=[opening])
        os.close(opening)
        os.read(opened, 1)  # ends when the writer closes its side
        os.close(opened)

    def read(self) -> None:
        """Takes in what it has said since; a line that is cut off in the middle was not said."""
        self._reading.seek(self._read_to)
        said = self._reading.read().rpartition(b"\n")
        self._read_to += len(said[0] + said[1])
        for line in said[0].decode().splitlines():
            word, name, number = line.split()
            (self.told.done if word == "done" else self.told.tried)[name] = int(number)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        self.read()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.read()
        self._reading.close()


def prove(path: Path, told: Told) -> None:
    """Each object is as the last answered write left it, or as the one that was on its way would have."""
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    store = Store(path)
    entries = list(store.scan("configmaps"))
    found = {entry.key.name: int(entry.tree["data"]["n"]) for entry in entries}
    for name, tried in told.tried.items():
        assert found.get(name, 0) in (told.done.get(name, 0), tried), name
    assert found.keys() <= told.tried.keys()
    assert len({entry.revision for entry in entries}) == len(entries)
    assert all(entry.tree["metadata"]["resourceVersion"] == str(entry.revision) for entry in entries)
    assert max((entry.revision for entry in entries), default=0) <= store.revision
    store.close()
    told.done.update(dict.fromkeys(told.tried, 0) | found)


def test_what_was_answered_outlives_kill_9(tmp_path: Path) -> None:
    chance, told = Random(11), Told()
    for _ in range(ROUNDS):
        writer = Writer(tmp_path / "store.db", tmp_path / "said", told)
        time.sleep(chance.uniform(0, LONGEST_S))
        writer.kill()
        prove(tmp_path / "store.db", told)
    assert any(told.done.values())


def test_what_was_answered_is_in_the_files_of_a_frozen_writer(tmp_path: Path) -> None:
    chance = Random(12)
    writer = Writer(tmp_path / "store.db", tmp_path / "said", Told())
    try:
        for number in range(ROUNDS):
            time.sleep(chance.uniform(0, LONGEST_S))
            writer.freeze()
            copy = tmp_path / f"copy{number}"
            copy.mkdir()
            for name in ("store.db", "store.db-wal"):
                if (tmp_path / name).exists():
                    shutil.copy(tmp_path / name, copy)
            prove(copy / "store.db", replace(writer.told, done=dict(writer.told.done)))
            shutil.rmtree(copy)
            writer.process.send_signal(signal.SIGCONT)
    finally:
        writer.kill()
    assert any(writer.told.done.values())
