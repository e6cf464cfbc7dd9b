"""The images of this machine: `LocalImages` finds and pulls what references mean."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flowdeck.clock import Clock
from flowdeck.embedded.node.contract import NONE_ADDED, Additions, Image, ImageError, Progress
from flowdeck.embedded.node.images.archives import Archives
from flowdeck.embedded.node.images.builder import Unreachable
from flowdeck.embedded.node.images.environments import MARK, Environments
from flowdeck.embedded.node.images.recipes import PLATFORM_PYTHON, Environment, Recipe
from flowdeck.embedded.node.images.references import Reference, parse_reference
from flowdeck.embedded.node.images.settings import ImageSettings
from flowdeck.embedded.node.images.table import Row, Source, Table, shipped_rows, shipped_warmth, user_rows
from flowdeck.kube.objects import Tree

_NO_ROOT = "an unpacked image needs a root of its own, which this machine cannot give it (driver `plain`)"
_NO_DIGEST = "0" * 64


_Asked = tuple[Reference, Additions]


def _silent(message: str, *, is_notice: bool = False) -> None:
    pass


class LocalImages:
    """`Images` of the node: the table, the environments and the archives."""

    def __init__(self, settings: ImageSettings, clock: Clock) -> None:
        self._settings = settings
        self._environments = Environments(settings, clock)
        self._archives = Archives(settings.archives)
        self._shipped = shipped_rows()
        self._table: Table | None = None
        self._table_stamp: tuple[int, int] = (-1, -1)
        self._warmth = shipped_warmth()
        self._pulls: dict[_Asked, asyncio.Task[Image]] = {}
        self._watchers: dict[_Asked, list[Progress]] = {}
        self._used: dict[str, Environment] = {}
        self._instead: dict[_Asked, Recipe] = {}
        """What references stand for whose version cannot be installed here; found out once by each process."""

    def find(self, reference: str, additions: Additions = NONE_ADDED) -> Image | None:
        """The image, when it is ready. Raises `ImageError` (`InvalidImageName`) for what is no reference."""
        parsed = parse_reference(reference)
        row = self._rows().find(parsed)
        return self._ready((parsed, additions), row) if row else None

    async def pull(
        self, reference: str, additions: Additions = NONE_ADDED, *, on_progress: Progress | None = None
    ) -> Image:
        if ready := self.find(reference, additions):
            return ready
        asked = parse_reference(reference), additions
        self._watchers.setdefault(asked, []).append(on_progress or _silent)
        task = self._pulls.get(asked)
        if task is None:
            task = self._pulls[asked] = asyncio.create_task(self._pull(asked), name=f"pull {asked[0]}")
            task.add_done_callback(lambda _: self._forget(asked))
        return await asyncio.shield(task)

    def listed(self) -> Sequence[Tree]:
        return [
            {"names": [name], "sizeBytes": environment.size_bytes} for name, environment in sorted(self._used.items())
        ]

    async def close(self) -> None:
        """Gives up the pulls that are under way; what they had is built anew next time."""
        for task in list(self._pulls.values()):
            task.cancel()
        await asyncio.gather(*self._pulls.values(), return_exceptions=True)

    def _forget(self, asked: _Asked) -> None:
        self._pulls.pop(asked, None)
        self._watchers.pop(asked, None)

    def _rows(self) -> Table:
        """The table; read again when the user's file changed."""
        file = self._settings.table
        stamp = (file.stat().st_mtime_ns, file.stat().st_size) if file.exists() else (0, 0)
        if self._table is None or stamp != self._table_stamp:
            self._table = Table([*user_rows(file), *self._shipped])
            self._table_stamp = stamp
            self._instead.clear()
        return self._table

    def _ready(self, asked: _Asked, row: Row) -> Image | None:
        reference, _ = asked
        match row.source:
            case Source.MACHINE:
                return _image(reference, row, digest=_NO_DIGEST)
            case Source.PLATFORM:
                return _image(reference, row, digest=_NO_DIGEST, environment=Path(sys.prefix))
            case Source.ARCHIVE if not self._settings.can_unpack:
                return None
            case Source.ARCHIVE:
                return self._archives.find(str(reference), row)
            case Source.ENVIRONMENT:
                recipe = self._instead.get(asked) or _recipes(asked, row)[0]
                environment = self._environments.find(recipe)
                return self._built(reference, row, environment) if environment else None

    def _built(self, reference: Reference, row: Row, environment: Environment) -> Image:
        self._environments.touch(environment)
        self._used[str(reference)] = environment
        image = _image(reference, row, digest=environment.digest, environment=environment.path)
        warm = [each for each in self._warmth if each.package in environment.installed]
        return replace(
            image,
            mark=environment.path / MARK,
            preload=(*image.preload, *(module for each in warm for module in each.preload)),
            preload_env={name: value for each in warm for name, value in each.env.items()},
        )

    async def _pull(self, asked: _Asked) -> Image:
        reference, _ = asked
        row = self._rows().find(reference)
        if row is None:
            raise ImageError("ErrImagePull", _unknown(str(reference), self._settings.table.parent))
        if row.source is Source.ARCHIVE and not self._settings.can_unpack:
            raise ImageError("ErrImagePull", _NO_ROOT)
        if row.source is Source.ARCHIVE:
            return await self._archives.unpack(str(reference), row)

        def tell(message: str, *, is_notice: bool = False) -> None:
            for watcher in self._watchers.get(asked, ()):
                watcher(message, is_notice=is_notice)

        recipes = _recipes(asked, row)
        for recipe, fallback in zip(recipes, [*recipes[1:], None], strict=True):
            known = self._environments.find(recipe)
            try:
                environment = known or await self._environments.build(recipe, tell)
            except ImageError as error:
                if fallback is None or (isinstance(error, Unreachable) and fallback.additions == recipe.additions):
                    raise
                text = f"{row.versioned} {reference.version} cannot be installed here; taking another version"
                if recipe.additions != fallback.additions:
                    text = f"what the program will install cannot be had beforehand: {error}"
                tell(text, is_notice=True)
                continue
            self._instead[asked] = recipe
            return self._built(reference, row, environment)
        raise AssertionError("an image has at least one recipe")


def _recipes(asked: _Asked, row: Row) -> list[Recipe]:
    """What would do, the best first: with what was added, then without; the version of the tag, then any."""
    reference, additions = asked
    python = row.python or PLATFORM_PYTHON
    if python == "tag":
        python = _python_of(reference)
    recipes = [Recipe(python, row.packages)]
    if row.versioned and reference.version:
        pinned = f"{row.versioned}=={reference.version}"
        recipes.insert(0, Recipe(python, tuple(pinned if p == row.versioned else p for p in row.packages)))
    if additions != NONE_ADDED:
        return [*(replace(recipe, additions=additions) for recipe in recipes), *recipes]
    return recipes


def _python_of(reference: Reference) -> str:
    """`3.12` of `3.12.1-slim`; the platform's own for `latest`, `3`, `slim`."""
    return ".".join(reference.version.split(".")[:2]) if reference.version else PLATFORM_PYTHON


def _image(reference: Reference, row: Row, *, digest: str, environment: Path | None = None) -> Image:
    return Image(
        reference=str(reference),
        digest=f"flowdeck://sha256:{digest}",
        environment=environment,
        entrypoint=row.entrypoint,
        command=row.command,
        env=row.env,
        working_dir=row.working_dir,
        preload=row.preload,
        keep_warm=row.keep_warm,
    )


def _unknown(reference: str, data: Path) -> str:
    add = f"flowdeck image add {reference} --data {data}"
    return (
        "this machine has no container engine and does not know the image. "
        f"Three ways to make it run: (1) say which Python packages it stands for: "
        f"{add} --package NAME ...; "
        f"(2) unpack a saved image: docker save {reference} -o image.tar && "
        f"{add} --archive image.tar; "
        f"(3) use an image that is known: flowdeck image list"
    )
