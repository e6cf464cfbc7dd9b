"""`flowdeck delete`: objects by name or by file."""

from typing import Annotated, cast

import typer

from flowdeck.cli.cluster import Several, cluster_of, read_objects, talk
from flowdeck.cli.refusal import Refusal
from flowdeck.cli.resources import kind_named, kinds_of, word_and_name
from flowdeck.cli.target import DataOption, KubeconfigOption, NamespaceOption
from flowdeck.client.base import Propagation
from flowdeck.client.http import HttpClient
from flowdeck.kube.objects import ObjectKey

_CASCADES = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan"}


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck delete trainjob my-job")(delete)


def delete(
    kind: Annotated[str, typer.Argument(help="A kind, as for `get`, or KIND/NAME.")] = "",
    name: Annotated[str, typer.Argument(help="The object's name.")] = "",
    file: Annotated[str, typer.Option("--filename", "-f", help="Delete the objects of this file instead.")] = "",
    namespace: NamespaceOption = "",
    cascade: Annotated[str, typer.Option(help="`background`, `foreground` or `orphan`.")] = "background",
    data: DataOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Delete objects; what they own goes with them unless --cascade=orphan."""
    if cascade not in _CASCADES:
        raise Refusal(f"unknown cascade {cascade!r}: use background, foreground or orphan")
    word, named = word_and_name(kind, name)
    if bool(file) == bool(word and named):
        raise Refusal("say what to delete: a kind and a name, or -f FILE")
    config = cluster_of(kubeconfig, data)

    async def work(client: HttpClient) -> None:
        space = namespace or config.namespace
        if file:
            objects = read_objects(file)
            targets = [
                (k, ObjectKey((o["metadata"].get("namespace") or space) if k.namespaced else "", o["metadata"]["name"]))
                for k, o in zip(await kinds_of(client, objects), objects, strict=True)
            ]
        else:
            found = await kind_named(client, word)
            targets = [(found, ObjectKey(space if found.namespaced else "", named))]
        several = Several()
        for target, key in targets:
            with several.going_on(f"{target.resource}/{key.name}"):
                await client.delete(target, key, propagation=cast(Propagation, _CASCADES[cascade]))
                typer.echo(f'{target.resource} "{key.name}" deleted')
        several.end()

    talk(config, work)
