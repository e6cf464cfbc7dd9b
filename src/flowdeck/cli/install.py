"""`flowdeck install`: puts the platform on a cluster."""

from typing import TYPE_CHECKING

import typer

from flowdeck.cli.installing import (
    ClusterOption,
    ContextOption,
    DisableOption,
    ImageOption,
    Order,
    OutputOption,
    SettingsOption,
    TimeoutOption,
    carry_out,
)
from flowdeck.version import VERSION

if TYPE_CHECKING:
    from flowdeck.cluster.install import Found


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck install --kubeconfig cluster.kubeconfig --timeout 300")(install)


def install(
    image: ImageOption = "",
    settings: SettingsOption = None,
    disable: DisableOption = None,
    kubeconfig: ClusterOption = None,
    context: ContextOption = "",
    timeout: TimeoutOption = 300.0,
    output: OutputOption = "",
) -> None:
    """Put the platform on a Kubernetes cluster, and wait until it is ready. Again: changes nothing.

    Where JobSet's own controller is installed, it is used. Settings that are there already are kept, unless given.
    """
    order = Order(
        image=image,
        settings=settings,
        disable=disable,
        kubeconfig=kubeconfig,
        context=context,
        timeout_s=timeout,
        output=output,
    )
    carry_out(order, _objection)


def _objection(found: "Found") -> str:
    if found.version in ("", VERSION):
        return ""
    return f"Flowdeck {found.version} is installed: use `flowdeck upgrade` to get {VERSION}"
