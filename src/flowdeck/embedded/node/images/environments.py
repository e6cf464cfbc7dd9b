"""Python environments by content: the same recipe is built once, by uv, and shared by all that ask for it.

    folder/environments/<digest>/             the environment, in place (its scripts name their interpreter absolutely)
    folder/environments/<digest>/flowdeck.json   written last, by rename: without it the folder is a ruin, built anew
    folder/environments/<digest>.lock         held while building, across processes

Packages are hard links into uv's cache, so environments share their files.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uv

from flowdeck.clock import Clock
from flowdeck.embedded.node.contract import ImageError, Progress
from flowdeck.embedded.node.images.installers import installer_env
from flowdeck.embedded.node.images.settings import ImageSettings
from flowdeck.kube.times import format_time

PLATFORM_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_MARK = "flowdeck.json"
_BARE = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[\w, -]*\])?\s*(?:==\s*([\w.]+))?\s*(?:;.*)?")


@dataclass(frozen=True)
class Recipe:
    """What an environment consists of."""

    python: str
    """`3.11`."""
    packages: tuple[str, ...] = ()
    """Requirements as pip takes them; `pip` itself is always there."""

    @property
    def digest(self) -> str:
        """Names the environment: 64 hex characters."""
        content = [self.python, sorted(set(self.packages)), platform.system(), platform.machine()]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True)
class Environment:
    """A finished environment."""

    path: Path
    python: str
    packages: tuple[str, ...]
    installed: Mapping[str, str]
    """Normalised package name -> version."""
    size_bytes: int

    @property
    def digest(self) -> str:
        return f"flowdeck://sha256:{Recipe(self.python, self.packages).digest}"

    def satisfies(self, recipe: Recipe) -> bool:
        """True when everything the recipe asks for is in it (asked for by name or by exact version)."""
        return self.python == recipe.python and all(self._has(package) for package in recipe.packages)

    def _has(self, requirement: str) -> bool:
        if requirement in self.packages:
            return True
        wanted = _BARE.fullmatch(requirement)
        if not wanted or "[" in requirement or ";" in requirement:
            return False
        version = self.installed.get(_normal(wanted[1]))
        return version is not None and wanted[2] in (None, version, version.partition("+")[0])


class Environments:
    """The environments below one folder."""

    def __init__(self, settings: ImageSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._folder = settings.folder / "environments"
        self._known: dict[str, Environment] = {}

    def find(self, recipe: Recipe) -> Environment | None:
        """The environment of this recipe, else another one that has all it asks for; None: it must be built."""
        if own := self._load(self._folder / recipe.digest):
            return own
        if not recipe.packages:
            return None
        fitting = [each for each in self.all() if each.satisfies(recipe)]
        return min(fitting, key=lambda each: each.size_bytes, default=None)

    def all(self) -> list[Environment]:
        folders = sorted(self._folder.iterdir()) if self._folder.exists() else []
        return [found for folder in folders if folder.is_dir() and (found := self._load(folder))]

    async def build(self, recipe: Recipe, on_progress: Progress) -> Environment:
        """Makes the environment; whoever else is at it is waited for. Raises `ImageError` (`ErrImagePull`)."""
        target = self._folder / recipe.digest
        self._folder.mkdir(parents=True, exist_ok=True)
        async with _locked(self._folder / f"{recipe.digest}.lock"):
            if done := self._load(target):
                return done
            await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
            try:
                async with asyncio.timeout(self._settings.build_timeout_s):
                    await self._fill(target, recipe, on_progress)
            except TimeoutError:
                raise ImageError(
                    "ErrImagePull", f"installing {_told(recipe)} took longer than {self._settings.build_timeout_s:g} s"
                ) from None
            await asyncio.to_thread(self._mark, target, recipe)
        built = self._load(target)
        assert built is not None
        return built

    def touch(self, environment: Environment) -> None:
        """Notes a use, for `remove_unused`."""
        now = self._clock.now().timestamp()
        os.utime(environment.path / _MARK, (now, now))

    def unused_since(self, environment: Environment) -> float:
        """Seconds since the last use."""
        return self._clock.now().timestamp() - (environment.path / _MARK).stat().st_mtime

    async def remove(self, environment: Environment) -> None:
        """Deletes an environment; the caller knows that no container uses it."""
        async with _locked(self._folder / f"{environment.path.name}.lock"):
            (environment.path / _MARK).unlink(missing_ok=True)
            self._known.pop(environment.path.name, None)
            await asyncio.to_thread(shutil.rmtree, environment.path, ignore_errors=True)
        (self._folder / f"{environment.path.name}.lock").unlink(missing_ok=True)

    def _load(self, folder: Path) -> Environment | None:
        known = self._known.get(folder.name)
        if known and (folder / _MARK).exists():
            return known
        try:
            tree: dict[str, Any] = json.loads((folder / _MARK).read_text())
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return None
        if not (folder / "bin" / "python").exists():
            return None
        found = Environment(folder, tree["python"], tuple(tree["packages"]), tree["installed"], int(tree["sizeBytes"]))
        self._known[folder.name] = found
        return found

    async def _fill(self, target: Path, recipe: Recipe, on_progress: Progress) -> None:
        python = sys.executable if recipe.python == PLATFORM_PYTHON else recipe.python
        await self._uv(["venv", "--quiet", "--python", python, str(target)], recipe, on_progress)
        bundled = await asyncio.to_thread(_bundled_pip, target)
        await self._uv(self._install(target, [bundled or "pip"]), recipe, on_progress)
        if recipe.packages:
            on_progress(f"Installing {', '.join(recipe.packages)}")
            await self._uv(self._install(target, recipe.packages), recipe, on_progress)

    def _install(self, target: Path, packages: "tuple[str, ...] | list[str]") -> list[str]:
        return ["pip", "install", "--python", str(target / "bin" / "python"), "--compile-bytecode", *packages]

    async def _uv(self, args: list[str], recipe: Recipe, on_progress: Progress) -> None:
        command_env = installer_env(self._settings)
        command = [uv.find_uv_bin(), "--no-progress", "--color", "never", *args]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=command_env,
        )
        lines: list[str] = []
        try:
            assert process.stderr is not None
            async for raw in process.stderr:
                lines.append(raw.decode(errors="replace").rstrip())
                if lines[-1].startswith(("Resolved", "Prepared", "Installed", "Downloading", "Building")):
                    on_progress(lines[-1])
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code:
            raise ImageError("ErrImagePull", _explained(recipe, args, lines, command_env))

    def _mark(self, target: Path, recipe: Recipe) -> None:
        tree = {
            "python": recipe.python,
            "packages": list(recipe.packages),
            "installed": dict(_installed(target)),
            "sizeBytes": sum(file.lstat().st_size for file in target.rglob("*") if not file.is_symlink()),
            "created": format_time(self._clock.now()),
        }
        draft = target / f"{_MARK}.draft"
        with draft.open("w") as file:
            json.dump(tree, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target / _MARK)


def _bundled_pip(target: Path) -> str:
    """The pip wheel that the base interpreter brings (no index needed); empty when a distribution took it out."""
    home = next(
        line.partition("=")[2].strip()
        for line in (target / "pyvenv.cfg").read_text().splitlines()
        if line.partition("=")[0].strip() == "home"
    )
    wheels = sorted(Path(home).parent.glob("lib/python3.*/ensurepip/_bundled/pip-*.whl"))
    version = next((target / "lib").glob("python3.*")).name
    return next((str(wheel) for wheel in wheels if wheel.parts[-4] == version), "")


def _installed(target: Path) -> Iterator[tuple[str, str]]:
    for info in target.glob("lib/python3.*/site-packages/*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
        yield _normal(name), version


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


_TOLD_SETTINGS = ("UV_TORCH_BACKEND", "UV_DEFAULT_INDEX", "UV_FIND_LINKS", "UV_OFFLINE")
_WITHOUT_PYTORCH_ORG = (
    " -- where download.pytorch.org cannot be reached, start the platform with "
    "UV_DEFAULT_INDEX=https://pypi.org/simple: it then takes the index's torch (gigabytes, with CUDA)"
)


def _told(recipe: Recipe) -> str:
    return ", ".join(recipe.packages) or f"Python {recipe.python}"


def _explained(recipe: Recipe, args: list[str], lines: list[str], env: Mapping[str, str]) -> str:
    said = " ".join(line.strip(" ×╰─▶│├") for line in lines[-8:] if line.strip())
    try_it = shlex.join(["uv", "venv", "--python", recipe.python, "/tmp/try"])
    if args[0] == "pip":
        settings = [f"{name}={shlex.quote(env[name])}" for name in _TOLD_SETTINGS if env.get(name)]
        install = shlex.join(["uv", "pip", "install", "--python", "/tmp/try/bin/python", *recipe.packages])
        try_it += " && " + " ".join([*settings, install])
    told = f"cannot install {_told(recipe)}: {said} -- to see it yourself: {try_it}"
    return told + _WITHOUT_PYTORCH_ORG if "download.pytorch.org" in said else told


@asynccontextmanager
async def _locked(file: Path) -> AsyncIterator[None]:
    """Holds an exclusive lock on a file; dies with the process."""
    handle = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.05)
        yield
    finally:
        os.close(handle)
