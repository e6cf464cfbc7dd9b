"""What commands share that talk to a cluster: finding it, talking to it, reading files of objects."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from flowdeck.cli.refusal import Refusal
from flowdeck.cli.target import data_folder
from flowdeck.client.http import HttpClient
from flowdeck.client.kubeconfig import ClusterConfig, ConfigError, load_kubeconfig
from flowdeck.clock import SystemClock
from flowdeck.kube import yaml_text
from flowdeck.kube.errors import ApiError
from flowdeck.kube.objects import Tree
from flowdeck.state import read_state

T = TypeVar("T")


def cluster_of(kubeconfig: Path | None, data: Path | None) -> ClusterConfig:
    """The cluster that a command is for: `--kubeconfig`, else the platform in the data folder."""
    path = kubeconfig or data_folder(data) / "kubeconfig"
    if kubeconfig is None and read_state(data_folder(data)) is None:
        raise Refusal(
            f"no platform is running on {data_folder(data)}: start one with `flowdeck up`, "
            "choose another folder with --data or FLOWDECK_DATA, or give --kubeconfig"
        )
    try:
        return load_kubeconfig(path)
    except ConfigError as error:
        raise Refusal(str(error)) from error


def talk(config: ClusterConfig, work: Callable[[HttpClient], Coroutine[Any, Any, T]]) -> T:
    """Runs `work` with a client; the API's errors become refusals."""

    async def run() -> T:
        async with HttpClient(config, SystemClock()) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except ApiError as error:
        raise Refusal(_said(error)) from error
    except BrokenPipeError:  # who read what we print has seen enough; the network's are other classes
        raise
    except OSError as error:
        raise Refusal(f"cannot reach {config.server}: {error}") from error


def _said(error: ApiError) -> str:
    return f"Error from server ({error.reason}): {error}"


@dataclass
class Several:
    """Work on several objects: what is refused of one keeps nobody from the others, and is told at the end."""

    refused: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def going_on(self, name: str) -> Iterator[None]:
        try:
            yield
        except ApiError as error:
            self.refused.append(f"{name}: {_said(error)}")

    def end(self) -> None:
        """Raises `Refusal` where something was refused."""
        if self.refused:
            raise Refusal("\n".join(self.refused))


def read_objects(source: str) -> Sequence[Tree]:
    """The objects in a YAML or JSON file, in all such files of a folder, or in standard input (`-`)."""
    if source == "-":
        texts = [sys.stdin.read()]
    else:
        path = Path(source)
        if source.startswith(("https://", "http://")):
            raise Refusal(f"{source} is not fetched: curl -L {source} | flowdeck ... -f -")
        if not path.exists():
            raise Refusal(f"{source} does not exist")
        files = (
            sorted(f for f in path.rglob("*") if f.suffix in (".yaml", ".yml", ".json")) if path.is_dir() else [path]
        )
        texts = [_text_of(file) for file in files]
    try:
        found = [obj for text in texts for obj in yaml_text.load_all(text) if obj]
    except yaml_text.YamlError as error:
        raise Refusal(f"{source} is not YAML: {error}") from error
    flat = [item for obj in found for item in _items(obj)]
    if not flat:
        raise Refusal(f"{source} has no objects in it")
    for obj in flat:
        if not (isinstance(obj, dict) and obj.get("kind") and obj.get("apiVersion")):
            raise Refusal(f"{source}: every object needs apiVersion and kind")
        if not isinstance(obj.get("metadata"), dict) or not obj["metadata"].get("name"):
            raise Refusal(f"{source}: a {obj['kind']} has no metadata.name")
    return flat


def _text_of(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"cannot read {file}: {error}") from error


def _items(obj: Any) -> Sequence[Any]:
    """What a document holds: a List its items, any other one itself."""
    items = obj.get("items") if isinstance(obj, dict) and obj.get("kind") == "List" else None
    return items if isinstance(items, list) else [obj]
