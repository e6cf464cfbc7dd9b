"""`flowdeck node`: runs a node that joins a cluster."""

import socket
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from flowdeck.cli.drivers import DriverOption, PodsOption, SimulatedOption, checked_driver
from flowdeck.cli.refusal import Refusal
from flowdeck.cli.target import DataOption, data_folder

TAINT = "flowdeck.dev/sandbox"
"""Key of the taint that a node has which joins a cluster; its value is the driver that was asked for."""


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck node --kubeconfig node.kubeconfig --name workstation")(node)


def node(
    kubeconfig: Annotated[Path, typer.Option(help="How the node reaches the API server.")],
    name: Annotated[str, typer.Option(help="Name of the Node (default: this machine's).")] = "",
    driver: DriverOption = "auto",
    taint: Annotated[bool, typer.Option(help="Take only pods that tolerate the taint flowdeck.dev/sandbox.")] = True,
    address: Annotated[str, typer.Option(help="Where the cluster reaches this machine (default: found out).")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the node's own API; 0: any free one.")] = 0,
    client_ca: Annotated[
        Path | None, typer.Option(help="Who signs the API server's client certificate (default: the kubeconfig's CA).")
    ] = None,
    pods: PodsOption = 0,
    simulated_run_seconds: SimulatedOption = 1.0,
    find_links: Annotated[list[str] | None, typer.Option(help="Folder or URL with wheels for images.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Build images from cached packages only.")] = False,
    data: DataOption = None,
) -> None:
    """Run pods of a cluster as sandboxed processes on this machine, until interrupted."""
    from flowdeck.client.kubeconfig import ConfigError, load_kubeconfig
    from flowdeck.embedded.node.__main__ import main
    from flowdeck.locks import holder

    folder = data_folder(data)
    if pid := holder(folder / "lock"):
        raise Refusal(f"a platform (process {pid}) runs on {folder}: choose another folder for the node with --data")
    try:
        config = load_kubeconfig(kubeconfig)
    except ConfigError as error:
        raise Refusal(str(error)) from error
    words = [
        *("--kubeconfig", str(kubeconfig.absolute())),
        *("--data", str(folder / "node")),
        *("--driver", checked_driver(driver)),
        *("--address", address or _own_address(config.server)),
        *("--port", str(port)),
        *("--pods", str(pods)),
        *("--simulated-run-seconds", str(simulated_run_seconds)),
        *("--name", name or socket.gethostname().lower()),
        *(f"--find-links={place}" for place in find_links or ()),
    ]
    words += [f"--taint={TAINT}={driver}:NoSchedule"] if taint else []
    words += [f"--client-ca={client_ca.absolute()}"] if client_ca else []
    main([*words, *(["--offline"] if offline else [])])


def _own_address(server: str) -> str:
    """The address of this machine that the way to the API server starts at: nothing is sent to find it out."""
    url = urlsplit(server)
    try:
        [(family, kind, protocol, _, target), *_] = socket.getaddrinfo(
            url.hostname, url.port or 443, type=socket.SOCK_DGRAM
        )
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise Refusal(f"no way to {server}: {error.strerror}; give --address") from error
