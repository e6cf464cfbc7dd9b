"""Python environments by content: the same recipe is built once, by uv, and shared by all platforms of a user.

    folder/environments/<digest>/             the environment, in place (its scripts name their interpreter absolutely)
    folder/environments/<digest>/flowdeck.json   written last, by rename: without it the folder is a ruin, built anew
    folder/environments/<digest>.lock         held while building and while deleting, across processes

Who runs containers of an environment holds a shared lock on its `flowdeck.json` (the monitors do): one that is in use
is not deleted, whoever uses it. Packages are hard links into uv's cache, `folder/uv`, so environments share files.
"""

import asyncio
import fcntl
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowdeck.clock import Clock
from flowdeck.embedded.node.contract import NONE_ADDED, Additions, ImageError, Progress
from flowdeck.embedded.node.images import builder
from flowdeck.embedded.node.images.installers import sources
from flowdeck.embedded.node.images.recipes import Environment, Recipe, normal
from flowdeck.embedded.node.images.settings import ImageSettings
from flowdeck.kube.times import format_time

MARK = "flowdeck.json"
YOUNG_S = 600.0
"""One that was asked for within that time may be about to be used."""


@dataclass
class Environments:
    """The environments below one folder."""

    settings: ImageSettings
    clock: Clock
    _known: dict[str, tuple[int, Environment]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._folder = self.settings.folder / "environments"
        self._sources = sources(self.settings)

    def find(self, recipe: Recipe) -> Environment | None:
        """The environment of this recipe, else another one that has all it asks for; None: it must be built."""
        if own := self._load(self._place(recipe)):
            return own
        if not recipe.packages or recipe.additions != NONE_ADDED:
            return None
        fitting = [each for each in self.all() if each.satisfies(recipe) and self._may_take(each)]
        return min(fitting, key=lambda each: each.size_bytes, default=None)

    def all(self) -> list[Environment]:
        folders = sorted(self._folder.iterdir()) if self._folder.exists() else []
        return [found for folder in folders if folder.is_dir() and (found := self._load(folder))]

    async def build(self, recipe: Recipe, on_progress: Progress) -> Environment:
        """Makes the environment; whoever else is at it is waited for. Raises `ImageError` (`ErrImagePull`)."""
        target, longest = self._place(recipe), self.settings.build_timeout_s
        for folder in (self.settings.folder, self._folder):
            if not folder.exists():
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o755)
        async with _locked(self._folder / f"{target.name}.lock"):
            if done := self._load(target):
                return done
            await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
            try:
                async with asyncio.timeout(longest):
                    await builder.fill(target, recipe, self.settings, on_progress)
            except TimeoutError:
                text = f"installing {builder.told(recipe)} took longer than {longest:g} s"
                raise ImageError("ErrImagePull", text) from None
            await asyncio.to_thread(self._mark, target, recipe)
        built = self._load(target)
        assert built is not None
        return built

    def touch(self, environment: Environment) -> None:
        """Notes a use, for `remove_unused`."""
        now = self.clock.now().timestamp()
        os.utime(environment.path / MARK, (now, now))

    async def remove_unused(self) -> list[Environment]:
        """Deletes the environments that no container of any platform uses, and nobody has just asked for; and what was
        downloaded for them."""
        removed = [environment for environment in self.all() if await self._remove_if_unused(environment)]
        await builder.forget_downloads(self.settings)
        return removed

    async def _remove_if_unused(self, environment: Environment) -> bool:
        lock = self._folder / f"{environment.digest}.lock"
        async with _locked(lock):
            with (environment.path / MARK).open() as mark:
                idle_s = self.clock.now().timestamp() - os.fstat(mark.fileno()).st_mtime
                if idle_s < YOUNG_S or not _try_flock(mark.fileno()):
                    return False
                (environment.path / MARK).unlink()
                await asyncio.to_thread(shutil.rmtree, environment.path, ignore_errors=True)
            lock.unlink()
        return True

    def _place(self, recipe: Recipe) -> Path:
        return self._folder / recipe.digest(self._sources)

    def _may_take(self, other: Environment) -> bool:
        """Packages from elsewhere are others, unless there is no choice."""
        return self.settings.offline or other.sources == self._sources

    def _load(self, folder: Path) -> Environment | None:
        try:
            written = (folder / MARK).stat().st_ino
            known = self._known.get(folder.name)
            if known and known[0] == written:
                return known[1]
            tree: dict[str, Any] = json.loads((folder / MARK).read_text())
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return None
        if not (folder / "bin" / "python").exists():
            return None
        added = Additions(tuple(tree.get("added") or ()), tuple(tree.get("addedBare") or ()))
        recipe = Recipe(tree["python"], tuple(tree["packages"]), added)
        found = Environment(folder, recipe, tree["sources"], tree["installed"], int(tree["sizeBytes"]))
        self._known[folder.name] = written, found
        return found

    def _mark(self, target: Path, recipe: Recipe) -> None:
        tree = {
            "python": recipe.python,
            "packages": list(recipe.packages),
            "added": list(recipe.additions.packages),
            "addedBare": list(recipe.additions.bare),
            "sources": self._sources,
            "installed": dict(_installed(target)),
            "sizeBytes": sum(file.lstat().st_size for file in target.rglob("*") if not file.is_symlink()),
            "created": format_time(self.clock.now()),
        }
        draft = target / f"{MARK}.draft"
        with draft.open("w") as file:
            json.dump(tree, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target / MARK)


def _installed(target: Path) -> Iterator[tuple[str, str]]:
    for info in target.glob("lib/python3.*/site-packages/*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
        yield normal(name), version


@asynccontextmanager
async def _locked(file: Path) -> AsyncIterator[None]:
    """Holds an exclusive lock on a file, which its holder may delete; dies with the process."""
    while True:
        handle = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            if _try_flock(handle) and _is_at(handle, file):
                yield
                return
        finally:
            os.close(handle)
        await asyncio.sleep(0.05)


def _try_flock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(handle: int, file: Path) -> bool:
    return file.exists() and os.path.samestat(os.fstat(handle), file.stat())
