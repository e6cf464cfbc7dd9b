"""A status is one patch of what differs, and none where nothing does."""

import pytest
from tests.controller.makers import a_pod

from flowdeck.controller.status import merge_patch, write_status
from flowdeck.kube.errors import Conflict, NotFound
from flowdeck.kube.kinds import POD


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        pytest.param({}, {}, {}, id="nothing-to-say"),
        pytest.param({"a": 1}, {"a": 1}, {}, id="the-same"),
        pytest.param({"a": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 3}, id="changed-and-new"),
        pytest.param({"a": 1, "b": 2}, {"a": 1}, {"b": None}, id="no-longer-there"),
        pytest.param({"m": {"a": 1, "b": 2}}, {"m": {"a": 1, "b": 3}}, {"m": {"b": 3}}, id="inside-a-map"),
        pytest.param({"m": {"a": 1}}, {"m": {}}, {"m": {"a": None}}, id="an-emptied-map"),
        pytest.param({"m": {"a": 1}}, {"m": 1}, {"m": 1}, id="a-map-that-becomes-something-else"),
        pytest.param({"l": [1, 2]}, {"l": [1]}, {"l": [1]}, id="lists-are-replaced-whole"),
        pytest.param({}, {"n": 0}, {"n": 0}, id="nought-is-a-value"),
    ],
)
def test_the_patch_says_only_what_differs(old, new, patch):
    assert merge_patch(old, new) == patch


async def test_a_status_that_differs_is_written_once(world):
    pod = await world.create(a_pod())
    written = await write_status(world.client, POD, pod, {"phase": "Running", "message": None})
    assert written["status"]["phase"] == "Running"
    before = world.api.store.revision
    assert await write_status(world.client, POD, written, written["status"]) is written
    assert world.api.store.revision == before


async def test_a_field_that_is_none_or_left_out_is_taken_away(world):
    pod = await world.create(a_pod())
    pod = await write_status(world.client, POD, pod, {"phase": "Failed", "reason": "Evicted", "message": "no room"})
    pod = await write_status(world.client, POD, pod, {"phase": "Failed", "reason": None})
    assert pod["status"] == {"phase": "Failed", "qosClass": "BestEffort"}


async def test_a_status_that_must_stand_on_what_was_read_is_refused_when_somebody_was_faster(world):
    pod = await world.create(a_pod())
    await write_status(world.client, POD, pod, {"phase": "Running"})
    with pytest.raises(Conflict):
        await write_status(world.client, POD, pod, {"phase": "Failed"}, if_unchanged=True)
    now = await world.get(POD, "p")
    written = await write_status(world.client, POD, now, {"phase": "Failed"}, if_unchanged=True)
    assert written["status"]["phase"] == "Failed"


async def test_the_status_of_what_is_gone_is_not_found(world):
    with pytest.raises(NotFound):
        await write_status(world.client, POD, a_pod(), {"phase": "Running"})
