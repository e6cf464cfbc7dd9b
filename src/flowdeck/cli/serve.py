"""What `flowdeck up` does in the process that stays: runs the platform until it is told to end."""

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import typer

from flowdeck.cli.refusal import Refusal
from flowdeck.cli.target import cannot_use, exports
from flowdeck.foundation import CannotListen, DataFolderInUse, ForeignFolder, Foundation, laid
from flowdeck.plugins import PluginError
from flowdeck.settings import Settings

if TYPE_CHECKING:
    from flowdeck.app import Platform

SWITCH_S = 0.001
"""How long a busy event loop keeps the interpreter from the thread that writes to the disk, whose word all writers
wait for."""


def serve(settings: Settings, ready_fd: int) -> None:
    """Runs the platform until SIGINT or SIGTERM; writes `ready` to `ready_fd` (if not negative) once it is."""
    os.umask(0o077)
    try:
        with laid(settings) as foundation:
            _run(settings, foundation, ready_fd)
    except (DataFolderInUse, ForeignFolder, CannotListen, PluginError) as error:
        raise Refusal(str(error)) from error
    except OSError as error:
        raise cannot_use(settings.data, error) from error


def _run(settings: Settings, foundation: Foundation, ready_fd: int) -> None:
    import uvloop

    from flowdeck import collector, logs

    collector.pause()
    sys.setswitchinterval(SWITCH_S)
    logs.configure()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, foundation, ready_fd))


async def _serve(settings: Settings, foundation: Foundation, ready_fd: int) -> None:
    from flowdeck import app as platform_app
    from flowdeck import collector

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with platform_app.running(settings, foundation) as platform:
        collector.settle()
        ready = asyncio.create_task(platform.wait_ready())
        stop = asyncio.create_task(stopped.wait())
        await asyncio.wait((ready, stop), return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
            _tell_ready(platform, ready_fd)
        await stop
        ready.cancel()


def _tell_ready(platform: "Platform", ready_fd: int) -> None:
    if ready_fd >= 0:
        os.write(ready_fd, b"ready\n")
        os.close(ready_fd)
        return
    shell = exports(platform.settings.data)
    typer.echo(f"Flowdeck is ready at {platform.server}; Ctrl-C stops it, pods go on\n\n{shell}\n", err=True)
