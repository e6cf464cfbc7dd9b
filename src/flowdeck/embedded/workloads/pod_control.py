"""Creating and deleting pods for a controller, with the events that tell of it."""

from collections.abc import Iterable, Sequence

from flowdeck.client.base import Client
from flowdeck.controller.acts import outcomes
from flowdeck.controller.events import Events
from flowdeck.kube.errors import ApiError, NotFound
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Tree, key_of, uid_of


async def create_pods(
    client: Client, events: Events, owner: Tree, wanted: Sequence[Tree]
) -> tuple[list[Tree], ApiError | None]:
    """Creates the pods in batches of 1, 2, 4, ...: a quota that refuses them all is asked once, not N times.

    Gives what was created, and the first error; that a namespace takes no more because it is on its way out is none.
    Events tell of each.
    """
    made: list[Tree] = []
    at, size = 0, 1
    while at < len(wanted):
        batch = wanted[at : at + size]
        done, error = _sorted(await outcomes(client.create(POD, pod) for pod in batch))
        made += done
        for pod in done:
            await events.event(owner, reason="SuccessfulCreate", message=f"Created pod: {pod['metadata']['name']}")
        if error is not None and any(cause.reason == "NamespaceTerminating" for cause in error.causes):
            return made, None
        if error is not None:
            message = f"Error creating: {error.message}"
            await events.event(owner, type="Warning", reason="FailedCreate", message=message)
            return made, error
        at += size
        size *= 2
    return made, None


async def delete_pods(client: Client, events: Events, owner: Tree, unwanted: Sequence[Tree]) -> ApiError | None:
    """Deletes exactly these pods (by uid); gives the first error. A pod that is gone already is no error."""

    async def delete(pod: Tree) -> Tree:
        try:
            await client.delete(POD, key_of(pod), uid=uid_of(pod))
        except NotFound:
            return pod
        await events.event(owner, reason="SuccessfulDelete", message=f"Deleted pod: {pod['metadata']['name']}")
        return pod

    _, error = _sorted(await outcomes(delete(pod) for pod in unwanted))
    if error is not None:
        await events.event(owner, type="Warning", reason="FailedDelete", message=f"Error deleting: {error.message}")
    return error


def _sorted(found: Iterable[Tree | ApiError]) -> tuple[list[Tree], ApiError | None]:
    """The pods, and the first refusal."""
    done: list[Tree] = []
    error: ApiError | None = None
    for outcome in found:
        if isinstance(outcome, ApiError):
            error = error or outcome
        else:
            done.append(outcome)
    return done, error
