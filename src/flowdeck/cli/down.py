"""`flowdeck down`: stops the platform."""

import os
import signal
from typing import Annotated

import psutil
import typer

from flowdeck.cli.common import DataOption, Refusal, data_folder
from flowdeck.state import is_alive, read_state

GRACE_S = 20.0


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck down --pods")(down)


def down(
    data: DataOption = None,
    pods: Annotated[bool, typer.Option("--pods", help="Stop the running pods' processes as well.")] = False,
) -> None:
    """Stop the platform of a data folder. Pods go on running and are found again, unless --pods is given."""
    folder = data_folder(data)
    state = read_state(folder)
    if state is None and not pods:
        raise Refusal(f"no platform is running on {folder}")
    if state is not None:
        _stop(state.pids["api"])
        if is_alive(state.pids.get("node", 0)):
            _stop(state.pids["node"])
    if pods:
        from flowdeck.embedded.node.network.removal import remove_network
        from flowdeck.embedded.node.sandbox.stopping import stop_all

        stop_all(folder / "node")
        remove_network(folder / "node" / "network")
    typer.echo(f"the platform on {folder} is stopped")


def _stop(pid: int) -> None:
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGTERM)
    try:
        process.wait(GRACE_S)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(5)
