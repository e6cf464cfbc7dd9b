"""Controllers are asked about what may have changed: never twice at once, again after failures, with events last."""

import asyncio
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs
from tests.controller.makers import A, B, Diary, a_config_map, a_pod

from flowdeck.client.base import Client
from flowdeck.clock import FakeClock
from flowdeck.controller.contract import DONE, Feeds, Maps, Owns, Terminal, look_again_in
from flowdeck.controller.events import EventRecorder
from flowdeck.controller.leader import LeaderElection, LostLease
from flowdeck.controller.manager import Manager
from flowdeck.controller.status import write_status
from flowdeck.kube.errors import Conflict, Forbidden
from flowdeck.kube.kinds import CONFIG_MAP, EVENT, LEASE, POD, SECRET
from flowdeck.kube.objects import ObjectKey, copy_of, key_of, owner_reference


async def started(world, controller):
    """The controller at work on a world at rest; what it has seen so far is forgotten."""
    await world.start(lambda client, clock: [controller])
    controller.seen.clear()
    return controller


async def change(world, key, **data):
    await world.client.patch(CONFIG_MAP, key, {"data": data})


@dataclass
class Gate:
    """An act that takes as long as the test wants, and counts how many run at once."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    running: list = field(default_factory=list)
    most_at_once: dict = field(default_factory=dict)
    entered: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, key):
        self.running.append(key)
        self.most_at_once[key] = max(self.most_at_once.get(key, 0), self.running.count(key))
        self.entered.set()
        await self.open.wait()
        self.running.remove(key)
        return DONE


async def test_a_key_never_runs_twice_at_once_and_changes_meanwhile_collapse_into_one_more_look(world):
    gate = Gate()
    controller = await started(world, Diary(gate))
    await world.create(a_config_map())
    async with asyncio.timeout(5):
        await gate.entered.wait()
    for number in range(5):
        await change(world, A, n=str(number))
    await world.create(a_config_map("b"))
    async with asyncio.timeout(5):
        while B not in gate.running:
            gate.entered.clear()
            await gate.entered.wait()
    assert controller.seen == [A, B]
    gate.open.set()
    await world.settle()
    assert controller.seen == [A, B, A]
    assert gate.most_at_once == {A: 1, B: 1}


async def test_everything_that_is_there_at_the_start_is_looked_at(world):
    await world.create(a_config_map())
    await world.create(a_config_map("b"))
    controller = Diary()
    await world.start(lambda client, clock: [controller])
    assert sorted(controller.seen) == [A, B]


async def test_a_deletion_is_a_reason_to_look(world):
    controller = await started(world, Diary())
    await world.create(a_config_map())
    await world.settle()
    await world.client.delete(CONFIG_MAP, A)
    await world.settle()
    assert controller.seen == [A, A]


async def test_a_change_of_what_is_owned_is_a_reason_to_look_at_the_owner(world):
    controller = await started(world, Diary(watches=(Owns(SECRET, owner=CONFIG_MAP),)))
    owner = await world.create(a_config_map())
    stranger = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": "s"}}
    await world.create(stranger)
    await world.settle()
    controller.seen.clear()
    await world.create(
        {**stranger, "metadata": {"namespace": "default", "name": "mine", "ownerReferences": [owner_reference(owner)]}}
    )
    await world.settle()
    assert controller.seen == [A]


async def test_a_watch_maps_an_object_to_the_keys_that_it_concerned_and_to_those_that_it_concerns_now(world):
    def concerned(obj):
        return [ObjectKey("default", obj["metadata"]["labels"]["concerns"])]

    controller = await started(world, Diary(kind=SECRET, watches=(Maps(CONFIG_MAP, concerned),)))
    await world.create(a_config_map(labels={"concerns": "b"}))
    await world.settle()
    assert controller.seen == [B]
    controller.seen.clear()
    await world.client.patch(CONFIG_MAP, A, {"metadata": {"labels": {"concerns": "a"}}})
    await world.settle()
    assert sorted(controller.seen) == [A, B]


async def test_a_controller_of_no_kind_has_the_keys_that_its_watches_bring(world):
    controller = await started(world, Diary(kind=None, watches=(Maps(CONFIG_MAP, lambda obj: [B]),)))
    for name in ("a", "b", "c"):
        await world.create(a_config_map(name))
    await world.settle()
    assert set(controller.seen) == {B}
    controller.seen.clear()
    world.manager.reconcile_all()
    await world.settle()
    assert controller.seen == [B]


async def test_keys_can_be_fed_from_elsewhere(world):
    feeds = []
    controller = await started(world, Diary(kind=None, watches=(Feeds(feeds.append),)))
    feeds[0](A)
    await world.settle()
    assert controller.seen == [A]


async def test_who_feeds_hears_that_work_has_ended(world):
    ended = []
    feeds = Feeds(lambda add: lambda: ended.append("a"))
    manager = Manager(world.client, world.clock, lambda client: [Diary(kind=None, watches=(feeds,))])
    running = asyncio.create_task(manager.run())
    await world.settle()
    assert ended == []
    running.cancel()
    await asyncio.wait([running])
    assert ended == ["a"]


def raising(error):
    async def act(key):
        if key == A:
            raise error
        return DONE

    return act


@pytest.mark.parametrize(
    ("error", "counts_as_failed"),
    [
        pytest.param(Forbidden("no"), True, id="an-answer-of-the-server"),
        pytest.param(OSError("the connection broke off"), True, id="no-answer"),
        pytest.param(ValueError("a mistake"), True, id="anything-else"),
        pytest.param(Conflict("stale"), False, id="the-world-has-moved-on"),
    ],
)
async def test_a_reconcile_that_raised_is_tried_again_later_and_holds_nobody_up(world, error, counts_as_failed):
    controller = await started(world, Diary(raising(error)))
    failed = world.manager.counts["diary"].failed
    await world.create(a_config_map())
    await world.create(a_config_map("b"))
    await world.settle()
    assert controller.seen == [A, B]
    for wait_s in (0.01, 0.02, 0.04, 0.08):
        controller.seen.clear()
        await world.advance(seconds=wait_s * 0.9)
        assert controller.seen == []
        await world.advance(seconds=wait_s * 0.11)
        assert controller.seen == [A]
    assert world.manager.counts["diary"].failed - failed == (5 if counts_as_failed else 0)


@pytest.mark.parametrize(
    ("error", "level"),
    [
        pytest.param(Forbidden("no"), "warning", id="an-answer-of-the-server"),
        pytest.param(OSError("the connection broke off"), "warning", id="no-answer"),
        pytest.param(ValueError("a mistake"), "error", id="anything-else"),
    ],
)
async def test_mistakes_alone_are_told_with_a_traceback(world, error, level):
    await started(world, Diary(raising(error)))
    with capture_logs() as told:
        await world.create(a_config_map())
        await world.settle()
    (line,) = [line for line in told if line["event"].startswith("reconcile")]
    assert (line["log_level"], "exc_info" in line) == (level, level == "error")


async def test_the_wait_after_many_failures_is_a_minute(world):
    controller = await started(world, Diary(raising(Forbidden("no"))))
    await world.create(a_config_map())
    await world.settle()
    for _ in range(20):
        await world.advance(seconds=60)
    assert len(controller.seen) == 21


async def test_a_success_makes_the_next_failure_a_first_one(world):
    failing = [True]

    async def act(key):
        if failing[0]:
            raise Forbidden("no")
        return DONE

    controller = await started(world, Diary(act))
    await world.create(a_config_map())
    await world.settle()
    for _ in range(10):
        await world.advance(seconds=60)
    failing[0] = False
    await world.advance(seconds=60)
    failing[0] = True
    await change(world, A, n="1")
    await world.settle()
    controller.seen.clear()
    await world.advance(seconds=0.011)
    assert controller.seen == [A]
    failing[0] = False


async def test_what_can_never_succeed_is_not_tried_again_before_something_changes(world):
    controller = await started(world, Diary(raising(Terminal("never"))))
    await world.create(a_config_map())
    await world.settle()
    await world.advance(seconds=3600)
    assert controller.seen == [A]
    await change(world, A, n="1")
    await world.settle()
    assert controller.seen == [A, A]


async def test_a_key_is_looked_at_again_when_its_reconcile_asked_for_it(world):
    async def act(key):
        return look_again_in(30)

    controller = await started(world, Diary(act))
    await world.create(a_config_map())
    await world.settle()
    await world.advance(seconds=29)
    assert controller.seen == [A]
    await world.advance(seconds=1)
    await world.advance(seconds=30)
    assert controller.seen == [A, A, A]


async def test_the_latest_answer_says_when_to_look_again(world):
    answers = [look_again_in(10), look_again_in(100)]

    async def act(key):
        return answers.pop(0) if answers else DONE

    controller = await started(world, Diary(act))
    await world.create(a_config_map())
    await world.settle()
    await change(world, A, n="1")
    await world.settle()
    await world.advance(seconds=50)
    assert controller.seen == [A, A]
    await world.advance(seconds=50)
    assert controller.seen == [A, A, A]


@dataclass
class Hasty:
    """Tells of a pod before it writes what it tells of; acts, and may fail at it."""

    client: Client
    events: EventRecorder
    error: Exception | None = None
    name: str = "hasty"
    kind = POD
    watches = ()

    async def reconcile(self, key):
        pod = await self.client.get(POD, key)
        if pod["status"].get("message"):
            return DONE
        try:
            told = (self.events.event(pod, reason="Told", message=message) for message in ("one", "two"))
            await asyncio.gather(*told)
            if self.error:
                raise self.error
        finally:
            await write_status(self.client, POD, pod, {**pod["status"], "message": "written"})
        return DONE


@pytest.mark.parametrize("error", [None, Forbidden("no"), Terminal("never")], ids=["done", "failed", "hopeless"])
async def test_the_status_is_written_even_when_an_act_raised_and_events_follow_it(world, error):
    await world.start(lambda client, clock: [Hasty(client, EventRecorder(client, clock, "hasty"), error)])
    pod = await world.create(a_pod())
    await world.settle()
    status = await world.client.get(POD, key_of(pod))
    assert status["status"]["message"] == "written"
    told = await world.list(EVENT, "default")
    assert [event["message"] for event in sorted(told, key=revision)] == ["one", "two"]
    assert min(map(revision, told)) > revision(status)


def revision(obj):
    return int(obj["metadata"]["resourceVersion"])


def test_two_controllers_of_the_same_name_are_refused(world):
    with pytest.raises(ValueError, match="same name"):
        Manager(world.client, world.clock, lambda client: [Diary(), Diary()])


async def test_who_has_lost_the_lease_reconciles_nothing_more(world):
    looked, lease = asyncio.Event(), ObjectKey("kube-system", "flowdeck")

    async def act(key):
        looked.set()
        return DONE

    controller = Diary(act)
    manager, clock = Manager(world.client, world.clock, lambda client: [controller]), FakeClock()
    leading = asyncio.create_task(LeaderElection(world.client, clock, lease, "a").run(manager.run))
    await world.create(a_config_map())
    async with asyncio.timeout(30):
        await looked.wait()
    taken = copy_of(await world.client.get(LEASE, lease))
    taken["spec"] |= {"holderIdentity": "b", "leaseDurationSeconds": 3600}
    await world.client.update(LEASE, taken)
    async with asyncio.timeout(30):
        while not leading.done():
            clock.advance(1)
            await world.turns(1)
    with pytest.raises(LostLease):
        leading.result()
    controller.seen.clear()
    await change(world, A, n="1")
    await world.settle()
    assert controller.seen == []
