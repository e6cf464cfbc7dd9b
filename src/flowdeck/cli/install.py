"""`flowdeck install`: puts the platform on a cluster."""

from typing import TYPE_CHECKING

import typer

from flowdeck.cli.installing import bringing
from flowdeck.version import VERSION

if TYPE_CHECKING:
    from flowdeck.cluster.install import Found

_HELP = """Put the platform on a Kubernetes cluster, and wait until it is ready. Again: changes nothing.

Where JobSet's own controller is installed, it is used. Settings that are there already are kept, unless given.
"""


def add_to(app: typer.Typer) -> None:
    example = "Example: flowdeck install --kubeconfig cluster.kubeconfig --timeout 300"
    app.command("install", help=_HELP, epilog=example)(bringing(_objection))


def _objection(found: "Found") -> str:
    if found.version in ("", VERSION):
        return ""
    return f"Flowdeck {found.version} is installed: use `flowdeck upgrade` to get {VERSION}"
