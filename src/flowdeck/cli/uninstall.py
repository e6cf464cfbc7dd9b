"""`flowdeck uninstall`: takes the platform off a cluster."""

from typing import TYPE_CHECKING, Annotated

import typer

from flowdeck.cli.installing import ClusterOption, ContextOption, OutputOption, Report, real_cluster

if TYPE_CHECKING:
    from flowdeck.client.http import HttpClient


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck uninstall --kubeconfig cluster.kubeconfig --keep-crds -y")(uninstall)


def uninstall(
    crds: Annotated[
        bool | None, typer.Option("--crds/--keep-crds", help="Remove the definitions, and all objects of their kinds.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; definitions stay unless --crds.")] = False,
    kubeconfig: ClusterOption = None,
    context: ContextOption = "",
    output: OutputOption = "",
) -> None:
    """Remove everything that `flowdeck install` has brought; users' objects only together with their definitions."""
    from flowdeck.cli.cluster import talk
    from flowdeck.cluster.install import remove, users_objects
    from flowdeck.cluster.manifests.render import Manifests

    report = Report(output)

    async def work(client: "HttpClient") -> None:
        manifests = Manifests()
        held = await users_objects(client, manifests.definitions())
        definitions = _may_remove(crds, yes, held)
        async for change in remove(client, manifests, definitions=definitions):
            report.note(change)
        report.end()

    talk(real_cluster(kubeconfig, context), work)


def _may_remove(crds: bool | None, yes: bool, held: dict[str, int]) -> bool:
    """Whether the definitions go. Asks, unless the answer is known."""
    if crds is False or (crds is None and yes):
        return False
    lost = ", ".join(f"{count} {resource}" for resource, count in held.items())
    with_them = f", and with them {lost}" if lost else " (there are no objects of theirs)"
    return yes or typer.confirm(f"Remove the definitions{with_them}?", default=False, err=True)
