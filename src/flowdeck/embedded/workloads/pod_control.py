"""Creating and deleting pods for a controller, with the events that tell of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from flowdeck.client.base import Client
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
        done, error = await _each(batch, lambda pod: client.create(POD, pod))
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

    _, error = await _each(unwanted, delete)
    if error is not None:
        await events.event(owner, type="Warning", reason="FailedDelete", message=f"Error deleting: {error.message}")
    return error


async def _each(items: Sequence[Tree], act: Callable[[Tree], Awaitable[Tree]]) -> tuple[list[Tree], ApiError | None]:
    """Does all at once: the results in order, and the first `ApiError`; any other exception is raised."""
    outcomes = await asyncio.gather(*(act(item) for item in items), return_exceptions=True)
    done: list[Tree] = []
    error: ApiError | None = None
    for outcome in outcomes:
        if isinstance(outcome, ApiError):
            error = error or outcome
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            done.append(outcome)
    return done, error
