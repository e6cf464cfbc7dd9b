"""`flowdeck logs`: what a pod printed."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from flowdeck.cli.cluster import cluster_of, talk
from flowdeck.cli.refusal import Refusal
from flowdeck.cli.resources import kind_named
from flowdeck.cli.target import DataOption, KubeconfigOption, NamespaceOption
from flowdeck.client.http import HttpClient
from flowdeck.kube.conditions import is_true
from flowdeck.kube.errors import BadRequest, NotFound
from flowdeck.kube.kinds import NODE, POD
from flowdeck.kube.objects import ObjectKey, key_of

_OF_JOB = "jobset.sigs.k8s.io/jobset-name"
_ON_ITS_WAY = ("ContainerCreating", "PodInitializing", "does not have a host assigned")
RETRY_S = 0.3
"""How often a container that has not started is looked at."""


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck logs trainjob/my-job --follow")(logs)


def logs(
    target: Annotated[str, typer.Argument(help="A pod's name, or `trainjob/NAME`: its first node.")],
    container: Annotated[str, typer.Option("--container", "-c", help="Container (default: the only one).")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for its start, go on until it ends.")] = False,
    previous: Annotated[bool, typer.Option("--previous", "-p", help="Of the attempt before.")] = False,
    namespace: NamespaceOption = "",
    data: DataOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Print a pod's log; of a deleted pod (container `node` unless -c says another) as long as its node keeps it."""
    config = cluster_of(kubeconfig, data)

    async def work(client: HttpClient) -> None:
        key = await _pod(client, namespace or config.namespace, target, wait=follow)
        query = {"container": container} if container else {}
        query |= {"follow": "true"} if follow else {}
        query |= {"previous": "true"} if previous else {}
        path = POD.url(key, subresource="log")
        try:
            await (_print_once_started if follow else _print)(client, path, query)
        except NotFound:
            if not await _print_past(client, key, container):
                raise

    talk(config, work)


async def _print(client: HttpClient, path: str, query: Mapping[str, str]) -> None:
    async with client.stream(path, query=query) as pieces:
        async for piece in pieces:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()


async def _print_once_started(client: HttpClient, path: str, query: Mapping[str, str]) -> None:
    """Waits as long as the container is on its way; an image that cannot be pulled is told at once."""
    told = ""
    while True:
        try:
            return await _print(client, path, query)
        except BadRequest as error:
            if not str(error).endswith(_ON_ITS_WAY):
                raise
            if str(error) != told:
                told = str(error)
                typer.echo(f"waiting: {told}", err=True)
        await asyncio.sleep(RETRY_S)


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


async def _pod(client: HttpClient, namespace: str, target: str, *, wait: bool) -> ObjectKey:
    """The pod that is meant; one that its job has yet to make is waited for, if `wait`."""
    word, _, name = target.rpartition("/")
    if word in ("", "pod", "pods", "po"):
        return ObjectKey(namespace, name)
    kind = await kind_named(client, word)
    if kind.kind not in ("TrainJob", "JobSet"):
        raise Refusal(f"logs of {word!r} are not known: give a pod's name, or trainjob/NAME")
    while not (found := (await client.list(POD, namespace=namespace, labels=f"{_OF_JOB}={name}")).items):
        job = await client.get(kind, ObjectKey(namespace, name))
        if not wait or is_true(job, "Complete") or is_true(job, "Failed"):
            raise Refusal(f'{word} "{name}" in namespace "{namespace}" has no pods{"" if wait else " yet"}')
        await asyncio.sleep(RETRY_S)
    nodes = [pod for pod in found if "-node-" in pod["metadata"]["name"]]
    return key_of((nodes or list(found))[0])
