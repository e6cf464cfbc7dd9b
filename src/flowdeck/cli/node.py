"""`flowdeck node`: runs a node that joins a cluster."""

import socket
from pathlib import Path
from typing import Annotated

import typer

from flowdeck.cli.common import DataOption, Refusal, data_folder
from flowdeck.cli.drivers import DriverOption, PodsOption, SimulatedOption, checked_driver


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck node --kubeconfig node.kubeconfig --name workstation")(node)


def node(
    kubeconfig: Annotated[Path, typer.Option(help="How the node reaches the API server.")],
    name: Annotated[str, typer.Option(help="Name of the Node (default: this machine's).")] = "",
    driver: DriverOption = "auto",
    pods: PodsOption = 0,
    simulated_run_seconds: SimulatedOption = 1.0,
    data: DataOption = None,
) -> None:
    """Run pods of a cluster as sandboxed processes on this machine, until interrupted."""
    from flowdeck.embedded.node.__main__ import main

    if not kubeconfig.exists():
        raise Refusal(f"{kubeconfig} does not exist")
    main(
        [
            *("--kubeconfig", str(kubeconfig.absolute())),
            *("--data", str(data_folder(data) / "node")),
            *("--driver", checked_driver(driver)),
            *("--pods", str(pods)),
            *("--simulated-run-seconds", str(simulated_run_seconds)),
            *("--name", name or socket.gethostname().lower()),
        ]
    )
