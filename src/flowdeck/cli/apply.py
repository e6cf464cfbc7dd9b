"""`flowdeck apply`: server-side apply of files."""

from typing import Annotated

import typer

from flowdeck.cli.cluster import Several, cluster_of, read_objects, talk
from flowdeck.cli.resources import kinds_of
from flowdeck.cli.target import DataOption, KubeconfigOption, NamespaceOption
from flowdeck.client.http import HttpClient


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck apply -f examples/training/xgboost_digits.yaml")(apply)


def apply(
    file: Annotated[str, typer.Option("--filename", "-f", help="A YAML or JSON file, a folder, or - for stdin.")],
    namespace: NamespaceOption = "",
    data: DataOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Create or change objects so that they are as the file says (server-side apply, field manager `flowdeck`)."""
    objects = read_objects(file)
    config = cluster_of(kubeconfig, data)

    async def work(client: HttpClient) -> None:
        several = Several()
        for kind, obj in zip(await kinds_of(client, objects), objects, strict=True):
            meta = obj["metadata"]
            if kind.namespaced:
                meta.setdefault("namespace", namespace or config.namespace)
            name = f"{kind.resource}/{meta['name']}"
            with several.going_on(name):
                await client.apply(kind, obj, manager="flowdeck", force=True)
                typer.echo(f"{name} applied")
        several.end()

    talk(config, work)
