"""Several acts of one reconcile at once. All are waited for, whatever becomes of one of them: none is left behind."""

import asyncio
from collections.abc import Awaitable, Iterable
from itertools import islice
from typing import TypeVar

from flowdeck.kube.errors import ApiError

AT_ONCE = 100
"""Requests of one reconcile that are on their way at the same time, at the most."""

T = TypeVar("T")


async def outcomes(acts: Iterable[Awaitable[T]]) -> list[T | ApiError]:
    """What each act gave, or the API's refusal, in order. Anything else that one raised is raised."""
    found: list[T | ApiError] = []
    left = iter(acts)
    while batch := list(islice(left, AT_ONCE)):
        for outcome in await asyncio.gather(*batch, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, ApiError):
                raise outcome
            found.append(outcome)
    return found


async def carry_out(acts: Iterable[Awaitable[object]], *, but: tuple[type[ApiError], ...] = ()) -> None:
    """Does all; then the first refusal is raised, other than those of the types in `but`."""
    for outcome in await outcomes(acts):
        if isinstance(outcome, ApiError) and not isinstance(outcome, but):
            raise outcome
