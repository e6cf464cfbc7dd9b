"""`flowdeck wait`: until a condition holds."""

import asyncio
from typing import Annotated

import typer

from flowdeck.cli.cluster import cluster_of, talk
from flowdeck.cli.refusal import Refusal
from flowdeck.cli.resources import kind_named, word_and_name
from flowdeck.cli.target import DataOption, KubeconfigOption, NamespaceOption
from flowdeck.client.http import HttpClient
from flowdeck.kube.conditions import find_condition, is_true
from flowdeck.kube.objects import Kind, ObjectKey, Tree, key_of


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck wait trainjob my-job --for Complete --timeout 600")(wait)


def wait(
    kind: Annotated[str, typer.Argument(help="A kind, as for `get`, or KIND/NAME.")],
    wanted: Annotated[
        str, typer.Option("--for", help="A condition's type, or `deleted`; kubectl's condition=Ready, delete too.")
    ],
    name: Annotated[str, typer.Argument(help="The object's name.")] = "",
    timeout_s: Annotated[float, typer.Option("--timeout", help="Give up after that many seconds.")] = 600,
    namespace: NamespaceOption = "",
    data: DataOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Wait until an object has a condition (exit code 1: it did not in time, or it failed instead)."""
    word, named = word_and_name(kind, name)
    if not named:
        raise Refusal("say what to wait for: a kind and a name")
    config = cluster_of(kubeconfig, data)
    condition = _condition(wanted)

    async def work(client: HttpClient) -> None:
        found = await kind_named(client, word)
        key = ObjectKey((namespace or config.namespace) if found.namespaced else "", named)
        try:
            async with asyncio.timeout(timeout_s):
                await _until(client, found, key, condition)
        except TimeoutError:
            seen = f"see `kubectl describe {found.resource} {named}`"
            raise Refusal(f"timed out waiting for {condition} on {found.resource} {key}: {seen}") from None
        typer.echo(f"{found.resource}/{named} condition met")

    talk(config, work)


def _condition(wanted: str) -> str:
    """What to wait for, in either spelling."""
    if wanted in ("delete", "deleted"):
        return "deleted"
    type, _, status = wanted.removeprefix("condition=").partition("=")
    if status.lower() not in ("", "true"):
        raise Refusal(f"cannot wait for {wanted!r}: name a condition that shall be True, or `deleted`")
    return type


async def _until(client: HttpClient, kind: Kind, key: ObjectKey, condition: str) -> None:
    while True:
        page = await client.list(kind, namespace=key.namespace, fields=f"metadata.name={key.name}")
        if not page.items and condition == "deleted":
            return
        if not page.items:
            raise Refusal(f'{kind.resource} "{key.name}" not found')
        if _holds(page.items[0], condition, kind):
            return
        async with client.watch(
            kind, namespace=key.namespace, fields=f"metadata.name={key.name}", resource_version=page.resource_version
        ) as events:
            async for event in events:
                if event.type == "DELETED" and condition == "deleted":
                    return
                if event.type == "MODIFIED" and _holds(event.object, condition, kind):
                    return


def _holds(obj: Tree, condition: str, kind: Kind) -> bool:
    failed = find_condition(obj, "Failed")
    if condition != "Failed" and failed is not None and failed.get("status") == "True":
        why = ": ".join(text for text in (failed.get("reason"), failed.get("message")) if text)
        raise Refusal(f'{kind.resource} "{key_of(obj).name}" failed instead of becoming {condition}: {why}')
    return is_true(obj, condition)
