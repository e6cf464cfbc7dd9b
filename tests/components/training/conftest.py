"""A world with the training component in it: its kinds, admission, controllers and runtimes, and JobSets below."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from flowdeck.client.base import Client
from flowdeck.clock import Clock, FakeClock
from flowdeck.components.base import Context
from flowdeck.components.job_set.component import COMPONENT as JOB_SETS
from flowdeck.components.training.component import COMPONENT
from flowdeck.components.training.settings import TrainingSettings
from flowdeck.controller.contract import Controller
from flowdeck.controller.events import EventRecorder
from flowdeck.embedded.apiserver.apiserver import ApiServer
from flowdeck.embedded.apiserver.pki import Pki
from flowdeck.embedded.workloads.definitions import definitions
from flowdeck.kube.kinds import CUSTOM_RESOURCE_DEFINITION
from tests.world.world import World


def controllers(client: Client, clock: Clock) -> Sequence[Controller]:
    """Training's own, and those that it stands on."""
    events = EventRecorder(client, clock, "trainer")
    context = Context(client=client, clock=clock, settings=TrainingSettings(), events=events)
    return [*COMPONENT.controllers(context), *JOB_SETS.controllers(context)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = FakeClock()
    api = ApiServer.open(
        tmp_path / "store.db", Pki(tmp_path / "pki"), clock, rules=[*JOB_SETS.admission(), *COMPONENT.admission()]
    )
    await api.bootstrap()
    world = World(clock, api)
    brought = (*COMPONENT.custom_resource_definitions(), *JOB_SETS.custom_resource_definitions(), *definitions())
    for definition in brought:
        await world.client.apply(CUSTOM_RESOURCE_DEFINITION, definition, manager="test")
    for obj in COMPONENT.objects():
        await world.client.apply(api.kind_of(obj), obj, manager="test")
    await world.start(controllers)
    yield world
    await world.close()
