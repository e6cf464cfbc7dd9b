"""`flowdeck down`: stops the platform."""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from flowdeck.cli.refusal import Refusal
from flowdeck.cli.target import DataOption, data_folder
from flowdeck.locks import holder

GRACE_S = 20.0


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck down --pods")(down)


def down(
    data: DataOption = None,
    pods: Annotated[bool, typer.Option("--pods", help="Stop the running pods' processes as well.")] = False,
) -> None:
    """Stop the platform of a data folder. Pods go on running and are found again, unless --pods is given."""
    folder = data_folder(data)
    is_up = holder(folder / "lock") is not None
    if not is_up and not (pods and folder.is_dir()):
        raise Refusal(f"no platform is running on {folder}")
    _stop(folder / "lock")
    _stop(folder / "node" / "lock")
    from flowdeck.embedded.node.sandbox.stopping import running, stop_all

    left = len(list(running(folder / "node")))
    if pods or not left:
        stop_all(folder / "node")
    typer.echo(_told(folder, is_up=is_up, left=left))
    if left and not pods:
        typer.echo(
            f"its pods go on ({left} running containers); `flowdeck down --pods --data {folder}` ends them", err=True
        )


def _told(folder: Path, *, is_up: bool, left: int) -> str:
    if is_up:
        return f"the platform on {folder} is stopped"
    return f"the pods that were left on {folder} are stopped" if left else f"nothing was running on {folder}"


def _stop(lock: Path) -> None:
    """Ends the process that has the lock: SIGTERM, after a while SIGKILL. Raises `Refusal` when that does not help."""
    told, deadline = 0, time.monotonic() + GRACE_S
    while (pid := holder(lock)) is not None:
        is_late = time.monotonic() > deadline
        if time.monotonic() > deadline + GRACE_S:
            raise Refusal(f"{lock} is still held (by process {pid or 'unknown'}): end that process, then try again")
        if pid and (pid != told or is_late):
            told = pid
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if is_late else signal.SIGTERM)
        time.sleep(0.02)
