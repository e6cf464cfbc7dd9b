"""`flowdeck upgrade`: brings an installation to this version."""

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

if TYPE_CHECKING:
    from flowdeck.cluster.install import Found


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck upgrade --kubeconfig cluster.kubeconfig")(upgrade)


def upgrade(
    image: ImageOption = "",
    settings: SettingsOption = None,
    disable: DisableOption = None,
    kubeconfig: ClusterOption = None,
    context: ContextOption = "",
    timeout: TimeoutOption = 300.0,
    output: OutputOption = "",
) -> None:
    """Bring what is installed to this version: settings and users' objects stay, jobs go on.

    What the old version has brought and this one does not goes away; definitions are never removed.
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
    return "" if found.version else "there is no Flowdeck on this cluster: use `flowdeck install`"
