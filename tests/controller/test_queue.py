"""A key waits at most once, is never handed out twice at once, and waits longer after each failure."""

import asyncio

import pytest
from tests.controller.makers import A, B

from flowdeck.controller.queue import LONGEST_RETRY_S, WorkQueue


@pytest.fixture
async def queue():
    return WorkQueue()


async def test_keys_are_handed_out_in_the_order_in_which_they_came(queue):
    for key in (B, A):
        queue.add(key)
    assert [await queue.take(), await queue.take()] == [B, A]


async def test_a_key_that_waits_already_is_not_added_again(queue):
    for _ in range(3):
        queue.add(A)
    assert len(queue) == 1
    assert await queue.take() == A
    assert len(queue) == 0


async def test_a_key_that_is_worked_on_waits_until_that_is_done_and_then_comes_once(queue):
    queue.add(A)
    await queue.take()
    for _ in range(3):
        queue.add(A)
    assert len(queue) == 0
    queue.done(A)
    assert len(queue) == 1
    assert await queue.take() == A


async def test_a_key_that_is_done_and_unchanged_does_not_come_again(queue):
    queue.add(A)
    queue.done(await queue.take())
    assert queue.is_idle


async def test_two_workers_never_have_the_same_key(queue):
    first, second = (asyncio.create_task(queue.take()) for _ in range(2))
    queue.add(A)
    assert await first == A
    queue.add(A)
    await asyncio.sleep(0)
    assert not second.done()
    queue.add(B)
    assert await second == B


async def test_who_waits_is_woken_by_the_next_key(queue):
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add(A)
    async with asyncio.timeout(5):
        assert await taking == A


async def test_a_queue_is_not_idle_while_a_key_waits_or_is_worked_on(queue):
    assert queue.is_idle
    queue.add(A)
    assert not queue.is_idle
    await queue.take()
    assert not queue.is_idle
    queue.done(A)
    assert queue.is_idle


@pytest.mark.parametrize(
    ("failures", "wait_s"),
    [
        pytest.param(1, 0.01, id="the-first-at-once"),
        pytest.param(2, 0.02, id="doubled"),
        pytest.param(8, 1.28, id="doubled-each-time"),
        pytest.param(14, LONGEST_RETRY_S, id="a-minute-at-the-most"),
        pytest.param(3000, LONGEST_RETRY_S, id="and-for-ever"),
    ],
)
async def test_the_wait_after_a_failure_is_doubled_up_to_a_minute(queue, failures, wait_s):
    assert [queue.failed(A) for _ in range(failures)][-1] == pytest.approx(wait_s)


async def test_failures_are_counted_key_by_key_and_forgotten_after_a_success(queue):
    for _ in range(5):
        queue.failed(A)
    assert queue.failed(B) == pytest.approx(0.01)
    queue.succeeded(A)
    assert queue.failed(A) == pytest.approx(0.01)
