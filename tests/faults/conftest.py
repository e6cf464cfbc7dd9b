"""Folders with short paths; what a platform left behind fails the test."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import leftovers


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, and with a folder `deeds` in it for what pods write."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as path:
        (Path(path) / "deeds").mkdir(mode=0o777)
        yield Path(path)


Clean = Callable[[], None]


@pytest.fixture
def assert_clean(folder: Path) -> Iterator[Clean]:
    """Says that nothing of the platforms in `folder` may be left: no process, no mount, no pinned namespace."""
    before = leftovers.descendants()

    def check() -> None:
        assert leftovers.wait_for_none(before) == []
        assert leftovers.mounts(folder) == []

    with leftovers.as_subreaper():
        yield check
        leftovers.processes(before)  # buries the dead
