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
from flowdeck.kube.conditions import find_condition, is_true
from flowdeck.kube.errors import BadRequest, NotFound
from flowdeck.kube.kinds import NODE, POD
from flowdeck.kube.objects import ObjectKey, Tree, get_in, key_of
from flowdeck.kube.selectors import format_label_selector, label_selector_of

_OF_JOB = "jobset.sigs.k8s.io/jobset-name"
_ON_ITS_WAY = ("ContainerCreating", "PodInitializing", "has no node yet")
RETRY_S = 0.3
"""How often a container that has not started is looked at."""


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck logs trainjob/my-job --follow")(logs)


def logs(
    target: Annotated[str, typer.Argument(help="A pod's name, or KIND/NAME: the first of its pods.")],
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
        if key.name.endswith("-"):
            return await _print_of_gone(client, key, container, target)
        query = {"container": container} if container else {}
        query |= {"follow": "true"} if follow else {}
        query |= {"previous": "true"} if previous else {}
        try:
            if follow:
                await _print_once_started(client, key, query)
            else:
                await _print_of_pod(client, key, query)
        except NotFound:
            if not await _print_past(client, key, container):
                raise
        except BadRequest as error:
            raise Refusal(f"{error}{await _why(client, key)}") from error

    talk(config, work)


async def _print(client: HttpClient, path: str, query: Mapping[str, str]) -> None:
    async with client.stream(path, query=query) as pieces:
        async for piece in pieces:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()


async def _print_of_pod(client: HttpClient, key: ObjectKey, query: Mapping[str, str]) -> None:
    """Raises `BadRequest` where nothing has started; the API itself gives an empty log of a pod without a node."""
    if not get_in(await client.get(POD, key), "spec", "nodeName"):
        raise BadRequest(f'pod "{key.name}" has no node yet')
    await _print(client, POD.url(key, subresource="log"), query)


async def _print_once_started(client: HttpClient, key: ObjectKey, query: Mapping[str, str]) -> None:
    """Waits as long as the container is on its way; an image that cannot be pulled is told at once."""
    told = ""
    while True:
        try:
            return await _print_of_pod(client, key, query)
        except BadRequest as error:
            if not str(error).endswith(_ON_ITS_WAY):
                raise
            if str(error) != told:
                told = str(error)
                typer.echo(f"waiting: {told}{await _why(client, key)}", err=True)
        await asyncio.sleep(RETRY_S)


async def _why(client: HttpClient, key: ObjectKey) -> str:
    """What keeps a pod from starting, in its own words, to be put after an error; empty when it does not say."""
    pod = await client.get(POD, key)
    statuses = [*get_in(pod, "status", "initContainerStatuses", default=[])]
    statuses += get_in(pod, "status", "containerStatuses", default=[])
    told = [get_in(status, "state", "waiting", "message", default="") for status in statuses]
    if not is_true(pod, "PodScheduled"):
        told.append((find_condition(pod, "PodScheduled") or {}).get("message", ""))
    return next((f": {text}" for text in told if text), "")


async def _print_of_gone(client: HttpClient, made_from: ObjectKey, container: str, target: str) -> None:
    """The log of a job's first pod, when its pods were deleted: a job that gives up does that."""
    typer.echo(f"the pods of {target} are gone; what the first one printed at last:", err=True)
    if not await _print_past(client, made_from, container):
        raise Refusal(f"no node keeps the logs of {target}: see `kubectl describe {target.replace('/', ' ')}`")


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
    """The pod that is meant; one that its job has yet to make is waited for, if `wait`.

    Of a job that has ended and has no pods any more: what its first pod's name was made from (it ends in `-`).
    """
    word, _, name = target.rpartition("/")
    if word in ("", "pod", "pods", "po"):
        return ObjectKey(namespace, name)
    kind, key = await kind_named(client, word), ObjectKey(namespace, name)
    is_set = kind.kind in ("TrainJob", "JobSet")
    labels = f"{_OF_JOB}={name}" if is_set else _labels(await client.get(kind, key), target)
    while not (found := (await client.list(POD, namespace=namespace, labels=labels)).items):
        owner = await client.get(kind, key)
        if is_set and any(is_true(owner, ended) for ended in ("Complete", "Completed", "Failed")):
            return ObjectKey(namespace, _first_pod(owner))
        if not wait:
            raise Refusal(f'{word} "{name}" in namespace "{namespace}" has no pods yet')
        await asyncio.sleep(RETRY_S)
    nodes = [pod for pod in found if "-node-" in pod["metadata"]["name"]] if is_set else []
    return key_of((nodes or list(found))[0])


def _labels(owner: Tree, target: str) -> str:
    """What pods of a workload or a Service have. Raises `Refusal` where an object selects none."""
    selector = get_in(owner, "spec", "selector", default={})
    if selector and owner["kind"] == "Service":
        selector = {"matchLabels": selector}
    if not (selector.get("matchLabels") or selector.get("matchExpressions")):
        raise Refusal(f"{target} has no pods: give a pod's name, or a workload's, such as trainjob/NAME or job/NAME")
    return format_label_selector(label_selector_of(selector))


def _first_pod(job: Tree) -> str:
    """What JobSets make the name of their first node's pod from."""
    parts = [part["name"] for part in get_in(job, "spec", "replicatedJobs", default=[])] or ["node"]
    return f"{job['metadata']['name']}-{'node' if 'node' in parts else parts[0]}-0-0-"
