"""`flowdeck upgrade`: brings an installation to this version."""

from typing import TYPE_CHECKING

import typer

from flowdeck.cli.installing import bringing

if TYPE_CHECKING:
    from flowdeck.cluster.install import Found

_HELP = """Bring what is installed to this version: settings and users' objects stay, jobs go on.

What the old version has brought and this one does not goes away; definitions are never removed.
"""


def add_to(app: typer.Typer) -> None:
    example = "Example: flowdeck upgrade --kubeconfig cluster.kubeconfig"
    app.command("upgrade", help=_HELP, epilog=example)(bringing(_objection))


def _objection(found: "Found") -> str:
    return "" if found.version else "there is no Flowdeck on this cluster: use `flowdeck install`"
