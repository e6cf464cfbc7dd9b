"""The program of the containers that carry artifacts; see `carrying`.

python -m flowdeck.components.pipelines.runner.carrier stage URI FOLDER    fetches what the task of that root reads
python -m flowdeck.components.pipelines.runner.carrier bring URI FOLDER    waits for SIGTERM, then brings what it made
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from flowdeck.artifacts.uris import Uri, parse_uri
from flowdeck.components.pipelines.runner.carrying import PROVIDERS, READY, secret_variable
from flowdeck.components.pipelines.runner.folders import LAUNCH, PARAMETERS, Folder
from flowdeck.components.pipelines.runner.homes import OUTPUTS, opened
from flowdeck.components.pipelines.runner.outputs import BadOutput
from flowdeck.components.pipelines.runner.providers import store_of
from flowdeck.components.pipelines.values.paths import local_path
from flowdeck.kube.errors import ApiError, ServiceUnavailable

if TYPE_CHECKING:
    from flowdeck.artifacts.artifacts import Artifacts

AT_ONCE = 8
"""Objects that are carried at the same time."""
PATIENCE_S = 120.0
"""How long a store that does not answer is asked again: as long as an image that cannot be pulled."""
PAUSE_S = 2.0
_OWN = (LAUNCH, OUTPUTS, PARAMETERS)


class Stores:
    """The object stores that a pod was told of."""

    def __init__(self, env: dict[str, str]) -> None:
        self._options: dict[str, dict[str, str]] = json.loads(env[PROVIDERS])
        for number, options in enumerate(self._options.values()):
            start = secret_variable(number, "")
            options |= {name.removeprefix(start).lower(): env[name] for name in env if name.startswith(start)}
        self._opened: dict[str, Artifacts] = {}

    def of(self, uri: str) -> tuple["Artifacts", Uri]:
        """What reaches it, and how that calls it."""
        at = parse_uri(uri)
        bucket = f"{at.scheme}://{at.bucket}"
        if bucket not in self._opened:
            self._opened[bucket] = opened(store_of(at.scheme), at.bucket, self._options.get(bucket, {}))
        return self._opened[bucket], Uri(store_of(at.scheme), at.bucket, at.key)


async def stage(root: str, stores: Stores, carried: Path, mounted: Path | None) -> None:
    """Fetches all inputs; makes the task's folder, unless that is mounted."""
    os.umask(0)
    if mounted is not None:
        launch = json.loads(Folder(mounted, "").kept(LAUNCH))
    else:
        store, at = stores.of(f"{root}/{LAUNCH}")
        launch = json.loads(await store.get(str(at)))
        _folder(carried, root).lay_out(launch)
    await _all(_fetch(uri, stores, carried) for uri in launch["carried"])


async def _fetch(uri: str, stores: Stores, carried: Path) -> None:
    """An object, or all below a prefix; nothing is no error: a task may have made nothing."""
    store, at = stores.of(uri)
    target = _inside(carried, uri)
    if await store.find(str(at)) is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        await store.download(str(at), target)
        return
    async for info in store.list(str(at)):
        file = target / info.uri.removeprefix(f"{at}/")
        file.parent.mkdir(parents=True, exist_ok=True)
        await store.download(info.uri, file)


async def bring(root: str, stores: Stores, carried: Path) -> None:
    """Brings the task's folder to the store, and last of all what it says of its parameters."""
    made, folder = _folder(carried, root), _inside(carried, root)
    launch = json.loads(made.kept(LAUNCH))
    store, at = stores.of(root)
    files = [file for file in _files(folder) if file.relative_to(folder).parts[0] not in _OWN]
    await _all(store.put(f"{at}/{file.relative_to(folder)}", file) for file in files)
    left = made.collected(launch["parameters"])
    await store.put(f"{at}/{OUTPUTS}", msgspec.json.encode(left))


def _files(folder: Path) -> Iterable[Path]:
    """All that are files; links lead nowhere."""
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place, name)
            if file.is_file() and not file.is_symlink():
                yield file


def _inside(carried: Path, uri: str) -> Path:
    parse_uri(uri)  # no `..` in it
    return carried / local_path(uri).lstrip("/")


def _folder(carried: Path, root: str) -> Folder:
    return Folder(carried, str(_inside(carried, root).relative_to(carried)))


async def _all(works: Iterable[Awaitable[Any]]) -> None:
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(work: Awaitable[Any]) -> None:
        async with turn:
            await work

    async with asyncio.TaskGroup() as tasks:
        for work in works:
            tasks.create_task(one(work))


async def patiently(work: Callable[[], Awaitable[None]]) -> None:
    """Does it, and all of it again while the store does not answer: what is there of an object is always the whole."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        silent: list[Exception] = []
        try:
            await work()
        except* ServiceUnavailable as errors:
            silent += errors.exceptions
        if not silent:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise silent[0]
        print(silent[0], file=sys.stderr)
        await asyncio.sleep(PAUSE_S)


async def _told_to_end(carried: Path) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    Folder(carried, "").keep(READY, b"")
    await ended.wait()


def main(verb: str, root: str, carried: Path, mounted: Path | None) -> int:
    stores = Stores(dict(os.environ))  # noqa: TID251 - a program of its own

    async def work() -> None:
        if verb == "stage":
            await patiently(lambda: stage(root, stores, carried, mounted))
        else:
            await _told_to_end(carried)
            await patiently(lambda: bring(root, stores, carried))

    failures: list[BaseException] = []
    try:
        asyncio.run(work())
    except* (ApiError, BadOutput, OSError) as errors:
        failures += errors.exceptions
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    code = main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]) if sys.argv[4:] else None)
    sys.stderr.flush()
    os._exit(code)  # threads of the object store may be at work yet: they abort while an interpreter ends
