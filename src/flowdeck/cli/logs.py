"""`flowdeck logs`: what a pod printed."""

import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from flowdeck.cli.cluster import cluster_of, talk
from flowdeck.cli.common import DataOption, KubeconfigOption, NamespaceOption, Refusal
from flowdeck.client.http import HttpClient
from flowdeck.kube.errors import NotFound
from flowdeck.kube.kinds import NODE, POD
from flowdeck.kube.objects import ObjectKey, key_of

_OF_JOB = "jobset.sigs.k8s.io/jobset-name"


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck logs trainjob/my-job --follow")(logs)


def logs(
    target: Annotated[str, typer.Argument(help="A pod's name, or `trainjob/NAME`: its first node.")],
    container: Annotated[str, typer.Option("--container", "-c", help="Container (default: the only one).")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the container ends.")] = False,
    previous: Annotated[bool, typer.Option("--previous", "-p", help="Of the attempt before.")] = False,
    namespace: NamespaceOption = "",
    data: DataOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Print a pod's log; of a deleted pod (container `node` unless -c says another) as long as its node keeps it."""
    config = cluster_of(kubeconfig, data)

    async def work(client: HttpClient) -> None:
        key = await _pod(client, namespace or config.namespace, target)
        query = {"container": container} if container else {}
        query |= {"follow": "true"} if follow else {}
        query |= {"previous": "true"} if previous else {}
        try:
            await _print(client, POD.url(key, subresource="log"), query)
        except NotFound:
            if not await _print_past(client, key, container):
                raise

    talk(config, work)


async def _print(client: HttpClient, path: str, query: Mapping[str, str]) -> None:
    async with client.stream(path, query=query) as pieces:
        async for piece in pieces:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()


async def _print_past(client: HttpClient, key: ObjectKey, container: str) -> bool:
    """The log of a pod that was deleted, from the node that keeps it; False where none does."""
    for node in (await client.list(NODE)).items:
        path = NODE.url(ObjectKey("", node["metadata"]["name"]), subresource="proxy")
        try:
            await _print(client, f"{path}/pastLogs/{key.namespace}/{key.name}/{container or 'node'}", {})
        except NotFound:
            continue
        return True
    return False


async def _pod(client: HttpClient, namespace: str, target: str) -> ObjectKey:
    word, _, name = target.rpartition("/")
    if word in ("", "pod", "pods", "po"):
        return ObjectKey(namespace, name)
    if word not in ("trainjob", "trainjobs", "jobset", "jobsets"):
        raise Refusal(f"logs of {word!r} are not known: give a pod's name, or trainjob/NAME")
    found = await client.list(POD, namespace=namespace, labels=f"{_OF_JOB}={name}")
    if not found.items:
        raise Refusal(f'no pods of {word} "{name}" in namespace "{namespace}" yet')
    nodes = [pod for pod in found.items if "-node-" in pod["metadata"]["name"]]
    return key_of((nodes or list(found.items))[0])
