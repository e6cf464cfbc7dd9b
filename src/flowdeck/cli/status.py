"""`flowdeck status`: whether the platform runs, and how."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import orjson
import psutil
import typer

from flowdeck.cli.refusal import Refusal
from flowdeck.cli.target import DataOption, data_folder
from flowdeck.client.http import HttpClient
from flowdeck.client.kubeconfig import load_kubeconfig
from flowdeck.clock import SystemClock
from flowdeck.kube.conditions import is_true
from flowdeck.kube.errors import ApiError
from flowdeck.kube.kinds import NODE
from flowdeck.state import StateFile, read_state


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck status -o json")(status)


def status(
    data: DataOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="`json`, or plain text.")] = "",
    kubeconfig_path: Annotated[
        bool, typer.Option("--kubeconfig-path", help="Print only the path of the kubeconfig.")
    ] = False,
) -> None:
    """Show whether the platform of a data folder is ready (exit code 1: it is not)."""
    if output not in ("", "json"):
        raise Refusal(f"unknown output {output!r}: use json, or leave it out")
    folder = data_folder(data)
    if kubeconfig_path:
        typer.echo(folder / "kubeconfig")
        if not (folder / "kubeconfig").exists():
            typer.echo(f"no platform has run on {folder} yet: start one with `flowdeck up`", err=True)
        return
    state = read_state(folder)
    facts: dict[str, Any] = {"ready": False, "data": str(folder)}
    if state is not None:
        facts |= {
            "ready": asyncio.run(_is_ready(state)),
            "server": state.server,
            "kubeconfig": state.kubeconfig,
            "pids": state.pids,
            "components": state.components,
            "version": state.version,
            "memoryBytes": {name: _memory(pid) for name, pid in state.pids.items()},
        }
    if output == "json":
        typer.echo(orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(facts)
    if not facts["ready"]:
        raise typer.Exit(1)


def _memory(pid: int) -> int:
    """Proportional set size where the system tells it, else the resident set size."""
    try:
        info = psutil.Process(pid).memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
    return int(getattr(info, "pss", info.rss))


async def _is_ready(state: StateFile) -> bool:
    try:
        async with HttpClient(load_kubeconfig(Path(state.kubeconfig)), SystemClock()) as client:
            async with asyncio.timeout(5):
                await client.request("GET", "/readyz")
                nodes = (await client.list(NODE)).items
    except (ApiError, OSError, TimeoutError, Refusal):
        return False
    return "node" not in state.pids or any(is_true(node, "Ready") for node in nodes)


def _print(facts: dict[str, Any]) -> None:
    if "server" not in facts:
        typer.echo(f"not running (data folder {facts['data']})")
        return
    typer.echo(f"{'ready' if facts['ready'] else 'not ready'}: {facts['server']}")
    typer.echo(f"  kubeconfig  {facts['kubeconfig']}")
    typer.echo(f"  data        {facts['data']}")
    typer.echo(f"  components  {', '.join(facts['components'])}")
    for name, pid in facts["pids"].items():
        typer.echo(f"  {name:<11} pid {pid}, {facts['memoryBytes'].get(name, 0) / 1e6:.0f} MB")
