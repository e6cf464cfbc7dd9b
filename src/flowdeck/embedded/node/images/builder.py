"""Fills the folder of an environment by uv: a virtual environment, pip, the packages.

PyTorch without a GPU comes from PyTorch's own index, which has CPU builds; where that cannot be reached it comes from
the package index all the same, as gigabytes with CUDA in them: slow, but it runs.
"""

import asyncio
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uv

from flowdeck.embedded.node.contract import ImageError, Progress
from flowdeck.embedded.node.images.installers import installer_env, without_credentials
from flowdeck.embedded.node.images.recipes import PLATFORM_PYTHON, Recipe, normal
from flowdeck.embedded.node.images.settings import ImageSettings
from flowdeck.embedded.node.images.table import shipped_warmth

CUDA_BYTES = 10 << 30
"""What PyTorch with CUDA may take on disk, once downloaded and once installed."""
_NO_CODE = ("--no-build",)
"""Installing a wheel runs none of it; building does, outside of any sandbox. Packages that our own table names may."""
_NAME = re.compile(r"[^\w.-]")
_PYTORCH_ORG = "pytorch.org"
_UNREACHABLE = re.compile(r"failed to (?:fetch|download)|request failed|error sending request|dns error", re.IGNORECASE)
_SIZE = re.compile(r"Downloading (\S+) \(([\d.]+)([KMG])iB\)")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_TOLD_SETTINGS = ("UV_TORCH_BACKEND", "UV_DEFAULT_INDEX", "UV_FIND_LINKS", "UV_OFFLINE")
_WAYS = (
    " -- three ways to make it run: (1) give the packages as wheels: flowdeck up --find-links FOLDER; (2) name "
    "an index or a proxy that can be reached: UV_DEFAULT_INDEX=URL or HTTPS_PROXY=URL in the environment "
    "of flowdeck up; (3) say what else the image stands for: flowdeck image add IMAGE --package NAME"
)
_OTHER_PYTHON = (
    " -- three ways to make it run: (1) install Python {python} on this machine; (2) name a mirror or a proxy that can "
    "be reached: UV_PYTHON_INSTALL_MIRROR=URL or HTTPS_PROXY=URL in the environment of flowdeck up; (3) say that "
    "another Python will do: flowdeck image add IMAGE --python {ours} --package NAME"
)


class Unreachable(ImageError):
    """Packages could not be fetched: other versions would not come either."""


async def fill(target: Path, recipe: Recipe, settings: ImageSettings, tell: Progress) -> None:
    """Raises `ImageError` (`ErrImagePull`), which says what uv said and what to do."""
    run = _Uv(target, recipe, installer_env(settings), tell)
    python = sys.executable if recipe.python == PLATFORM_PYTHON else recipe.python
    await run(["venv", "--quiet", "--python", python, str(target)])
    bundled = await asyncio.to_thread(_bundled_pip, target)
    await run.install([bundled or "pip"])
    if recipe.packages:
        await _install(target, recipe, settings, run, tell)
    if added := recipe.additions.packages:
        tell(f"Installing {', '.join(added)}")
        await run.install([*_NO_CODE, *added])
    if bare := recipe.additions.bare:
        tell(f"Installing {', '.join(bare)}")
        known = {warmth.package for warmth in shipped_warmth()}
        are_known = all(normal(_NAME.split(requirement, maxsplit=1)[0]) in known for requirement in bare)
        await run.install(["--no-deps", *(() if are_known else _NO_CODE), *bare])


async def _install(target: Path, recipe: Recipe, settings: ImageSettings, run: "_Uv", tell: Progress) -> None:
    tell(f"Installing {', '.join(recipe.packages)}")
    try:
        await run.install(recipe.packages)
    except Unreachable as error:
        if _PYTORCH_ORG not in str(error) or "UV_TORCH_BACKEND" in settings.machine_env:
            raise
        _require_room(target)
        tell(
            "PyTorch's own index (CPU builds) cannot be reached: taking PyTorch from the package index, where it "
            "comes with CUDA: about 4 GB to download, 7 GB on disk",
            is_notice=True,
        )
        del run.env["UV_TORCH_BACKEND"]
        await run.install(recipe.packages)


async def forget_downloads(settings: ImageSettings) -> None:
    """Empties uv's cache in our folder; waits for those who are just using it."""
    command = [uv.find_uv_bin(), "cache", "clean", "--quiet", "--cache-dir", str(settings.folder / "uv")]
    await (await asyncio.create_subprocess_exec(*command, env=installer_env(settings))).wait()


def told(recipe: Recipe) -> str:
    """The recipe in a few words."""
    packages = [*recipe.packages, *recipe.additions.packages, *recipe.additions.bare]
    return ", ".join(packages) or f"Python {recipe.python}"


def _require_room(target: Path) -> None:
    free = shutil.disk_usage(target).free
    if free < CUDA_BYTES:
        raise ImageError(
            "ErrImagePull",
            f"PyTorch's own index (CPU builds) cannot be reached, and the disk of {target} has no room for PyTorch "
            f"with CUDA ({free >> 30} GiB free, {CUDA_BYTES >> 30} needed){_WAYS}",
        )


@dataclass
class _Uv:
    """Runs uv for one environment."""

    target: Path
    recipe: Recipe
    env: dict[str, str]
    tell: Progress

    async def install(self, packages: Sequence[str]) -> None:
        python = str(self.target / "bin" / "python")
        await self(["pip", "install", "--python", python, "--compile-bytecode", *packages])

    async def __call__(self, args: Sequence[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            *(uv.find_uv_bin(), "--no-progress", "--color", "never", *args),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self.env,
            umask=0o022,  # containers of other users read it
        )
        lines: list[str] = []
        downloads = _Downloads()
        try:
            assert process.stderr is not None
            async for raw in process.stderr:
                lines.append(raw.decode(errors="replace").rstrip())
                if news := downloads.read(lines[-1].strip()):
                    self.tell(news)
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code:
            raise self._failure(args, " ".join(line.strip(" ×╰─▶│├") for line in lines[-8:] if line.strip()))

    def _failure(self, args: Sequence[str], said: str) -> ImageError:
        text = f"cannot install {told(self.recipe)}: {without_credentials(said)}"
        text += f" -- to see it yourself: {self._try_it(args)}"
        is_unreachable = _UNREACHABLE.search(said) is not None
        if args[0] == "venv" and (is_unreachable or "interpreter" in said):
            ours = f"{sys.version_info.major}.{sys.version_info.minor}"
            text += _OTHER_PYTHON.format(python=self.recipe.python, ours=ours)
        elif is_unreachable:
            text += _WAYS
        return (Unreachable if is_unreachable else ImageError)("ErrImagePull", text)

    def _try_it(self, args: Sequence[str]) -> str:
        command = shlex.join(["uv", "venv", "--python", self.recipe.python, "/tmp/try"])
        if args[0] == "pip":
            given = {name: without_credentials(self.env.get(name, "")) for name in _TOLD_SETTINGS}
            settings = [f"{name}={shlex.quote(value)}" for name, value in given.items() if value]
            install = shlex.join(["uv", "pip", "install", "--python", "/tmp/try/bin/python", *self.recipe.packages])
            command += " && " + " ".join([*settings, install])
        return command


@dataclass
class _Downloads:
    """What uv says while it fetches, as progress with sizes."""

    sizes: dict[str, float] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def read(self, line: str) -> str:
        """What is new with this line; empty: nothing."""
        if found := _SIZE.match(line):
            self.sizes[found[1]] = float(found[2]) * _UNITS[found[3]]
        elif line.startswith("Downloaded "):
            self.done.add(line.split()[1])
        else:
            return line if line.startswith(("Resolved", "Prepared", "Installed", "Building", "Downloading")) else ""
        got, all_ = (sum(size for name, size in self.sizes.items() if name in names) / 2**20 for names in self._both)
        return f"Downloaded {got:.0f} of {all_:.0f} MiB"

    @property
    def _both(self) -> tuple[set[str], Mapping[str, float]]:
        return self.done, self.sizes


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
