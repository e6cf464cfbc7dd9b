"""Acts that go together: not too many at a time, and none is left behind when one fails."""

import asyncio

import pytest

from flowdeck.controller.acts import AT_ONCE, carry_out, outcomes
from flowdeck.kube.errors import Conflict, Forbidden, NotFound


async def give(value):
    await asyncio.sleep(0)
    return value


async def fail(error):
    raise error


async def test_results_and_refusals_come_in_the_order_of_the_acts():
    refusal = Forbidden("no")
    assert await outcomes([give(1), fail(refusal), give(2)]) == [1, refusal, 2]
    assert await outcomes([]) == []


async def test_what_is_no_answer_of_the_api_is_raised_when_the_others_are_done():
    done = []

    async def note():
        await asyncio.sleep(0)
        done.append(True)

    with pytest.raises(OSError, match="broke off"):
        await outcomes([fail(OSError("broke off")), note()])
    assert done == [True]


async def test_not_too_many_are_on_their_way_at_a_time():
    running, most = 0, 0

    async def act():
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await carry_out(act() for _ in range(3 * AT_ONCE))
    assert most == AT_ONCE


@pytest.mark.parametrize(
    ("acts", "raised"),
    [
        pytest.param([Forbidden("first"), Conflict("second")], Forbidden, id="the-first-refusal"),
        pytest.param([NotFound("gone"), Conflict("stale")], Conflict, id="but-none-that-does-not-matter"),
        pytest.param([NotFound("gone")], None, id="none"),
    ],
)
async def test_the_first_refusal_that_matters_is_raised(acts, raised):
    doing = carry_out((fail(error) for error in acts), but=(NotFound,))
    if raised is None:
        await doing
    else:
        with pytest.raises(raised):
            await doing
