"""`flowdeck operator`: the platform's process on a cluster."""

import asyncio
import os
import signal
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.cli.refusal import Refusal
from flowdeck.cli.stores import ArtifactsOption, DatabaseOption, opened
from flowdeck.stores import Stores

if TYPE_CHECKING:
    from flowdeck.client.kubeconfig import ClusterConfig
    from flowdeck.cluster.settings import ClusterSettings


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck operator --kubeconfig cluster.kubeconfig --settings settings.yaml")(operator)


def operator(
    kubeconfig: Annotated[
        Path | None, typer.Option(help="How to reach the cluster (default: as the pod's service account).")
    ] = None,
    settings: Annotated[Path | None, typer.Option(help="YAML file with settings, as the ConfigMap has it.")] = None,
    identity: Annotated[str, typer.Option(help="Name among the replicas (default: the host's).")] = "",
    database: DatabaseOption = "",
    artifacts: ArtifactsOption = "",
) -> None:
    """Run the platform's controllers and webhooks for a cluster: what `flowdeck install` starts there.

    Several replicas may run: one leads, all serve webhooks. Ends with SIGTERM or SIGINT.
    """
    import uvloop

    from flowdeck import logs
    from flowdeck.plugins import PluginError

    logs.configure()
    stores = opened(Stores(database, ArtifactSettings(url=artifacts)))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(_cluster(kubeconfig), _settings(settings), identity or socket.gethostname(), stores))
    except PluginError as error:
        raise Refusal(str(error)) from error


def _cluster(kubeconfig: Path | None) -> "ClusterConfig":
    from flowdeck.client.kubeconfig import ConfigError, in_cluster, load_kubeconfig

    try:
        if kubeconfig is not None:
            return load_kubeconfig(kubeconfig)
        env = os.environ  # noqa: TID251 - what the kubelet tells a pod of its cluster
        return in_cluster(env.get("KUBERNETES_SERVICE_HOST", ""), env.get("KUBERNETES_SERVICE_PORT", "443"))
    except ConfigError as error:
        raise Refusal(f"{error}; give --kubeconfig") from error


def _settings(file: Path | None) -> "ClusterSettings":
    from flowdeck.cluster.settings_text import read_settings
    from flowdeck.settings_tree import SettingsError

    try:
        return read_settings("" if file is None else file.read_text())
    except OSError as error:
        raise Refusal(f"cannot read {file}: {error.strerror}") from error
    except SettingsError as error:
        raise Refusal(f"{file}: {error}") from error


async def _run(config: "ClusterConfig", settings: "ClusterSettings", identity: str, stores: Stores) -> None:
    from flowdeck.client.http import HttpClient
    from flowdeck.clock import SystemClock
    from flowdeck.cluster.operator import Operator

    clock = SystemClock()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    with tempfile.TemporaryDirectory(prefix="flowdeck-") as folder:
        async with HttpClient(config, clock) as client:
            working = asyncio.create_task(Operator(settings, client, clock, identity, Path(folder), stores).run())
            waiting = asyncio.create_task(stopped.wait())
            await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
