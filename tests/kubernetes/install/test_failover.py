"""The leader is killed, the API server goes away, webhooks do not answer: nothing is lost, nothing is made twice."""

import asyncio
import os
import random
from collections import Counter

import pytest

from flowdeck.client.http import HttpClient
from flowdeck.client.kubeconfig import load_kubeconfig
from flowdeck.clock import SystemClock
from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME, TRAIN_JOB
from flowdeck.controller.informer import Informer
from flowdeck.kube import kinds
from flowdeck.kube.errors import ApiError, InternalError
from flowdeck.kube.objects import ObjectKey
from tests.kubernetes.install.site import ACCOUNT, LEADER, Site, a_runtime, a_train_job, created, until

pytestmark = pytest.mark.timeout(600)
ROUNDS = int(os.environ.get("FLOWDECK_FAULT_ROUNDS", "50"))
OUTAGE_S = 60.0
NODES = 2
ATTEMPTS = 5


def assert_nothing_was_made_twice(site: Site) -> None:
    made = Counter(created(site.audit(user=ACCOUNT)))
    assert made
    assert {key: count for key, count in made.items() if count > 1 and key[0] != "events"} == {}


async def pods_made_for(site: Site, prefix: str) -> Counter[str]:
    """How many pods each TrainJob has had."""
    pods = (await site.client.list(kinds.POD, namespace="default")).items
    return Counter(
        name for pod in pods if (name := pod["metadata"]["labels"]["jobset.sigs.k8s.io/jobset-name"]).startswith(prefix)
    )


@pytest.mark.timeout(3000)
async def test_the_leader_may_be_killed_at_any_moment(site: Site) -> None:
    chance = random.Random(4)
    names = [f"round-{number}" for number in range(ROUNDS)]
    leader = await site.leader()
    for name in names:
        await site.train(name)
        await asyncio.sleep(chance.uniform(0, LEADER["renew_s"] / 2))
        site.kill(leader)
        killed, leader = leader, await site.leader(but=leader)
        site.start(killed)
    for name in names:
        await site.ended(name)
    assert_nothing_was_made_twice(site)
    assert await pods_made_for(site, "round-") == dict.fromkeys(names, NODES)


async def test_controllers_wait_while_the_api_server_is_away_and_go_on_afterwards(site: Site) -> None:
    before = {name: site.cluster.processes.pid(name) for name in site.ports}
    names = [f"outage-{number}" for number in range(5)]
    for name in names:
        await site.train(name)
    site.cluster.stop_apiserver()
    await asyncio.sleep(OUTAGE_S)
    site.cluster.start_apiserver()
    for name in names:
        await site.ended(name)
    await until(lambda: _trained(site, "after-the-outage"))
    await site.ended("after-the-outage")
    assert_nothing_was_made_twice(site)
    assert await pods_made_for(site, "outage-") == dict.fromkeys(names, NODES)
    assert {name: site.cluster.processes.pid(name) for name in site.ports} == before
    assert all(site.cluster.processes.running[name].poll() is None for name in site.ports), "nobody had to be restarted"


async def _trained(site: Site, name: str) -> bool:
    """Controllers and webhooks may take a moment."""
    try:
        await site.train(name)
    except ApiError:
        return False
    return True


async def test_an_informer_whose_watch_is_too_old_lists_again(site: Site) -> None:
    """A restarted API server knows nothing of the past: `410 Gone` to a watch that goes on from before."""
    agent = "informer-of-the-test"
    async with HttpClient(load_kubeconfig(site.cluster.kubeconfig), SystemClock(), manager=agent) as client:
        informer = Informer(kinds.RUNTIME_CLASS, client, SystemClock())
        running = asyncio.create_task(informer.run())
        try:
            await informer.wait_synced()
            for number in range(ATTEMPTS):
                await _restart_unseen(site, client, informer, number)
                if lists(site, agent) > 1:  # else a bookmark came just before the server ended
                    break
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert lists(site, agent) > 1
    await until(site.all_webhooks_are_trusted)
    await until(lambda: _trained(site, "after-the-restart"))
    await site.ended("after-the-restart")


async def _restart_unseen(site: Site, client: HttpClient, informer: Informer, number: int) -> None:
    """The revision moves on, but not that of the informer's kind; then the API server starts anew."""
    config_map = {"metadata": {"name": f"moved-{number}", "namespace": "default"}}
    await until(lambda: client.create(kinds.CONFIG_MAP, config_map))
    site.cluster.stop_apiserver()
    site.cluster.start_apiserver()
    runtime_class = {"metadata": {"name": f"late-{number}"}, "handler": "none"}
    await until(lambda: client.create(kinds.RUNTIME_CLASS, runtime_class))
    await until(lambda: _knows(informer, f"late-{number}"))


def lists(site: Site, agent: str) -> int:
    return sum(event["verb"] == "list" for event in site.audit() if event.get("userAgent") == agent)


async def _knows(informer: Informer, name: str) -> bool:
    return informer.find(ObjectKey("", name)) is not None


async def test_while_no_webhook_answers_only_what_they_guard_is_refused(site: Site) -> None:
    await site.train("running", trainer={"numNodes": 1})
    for replica in site.ports:
        site.kill(replica)
    with pytest.raises(InternalError, match=r'failed calling webhook "defaulter.trainjob.trainer.kubeflow.org"'):
        await site.client.create(TRAIN_JOB, a_train_job("refused"))
    with pytest.raises(InternalError, match=r'failed calling webhook "validator.clustertrainingruntime'):
        await site.client.create(CLUSTER_TRAINING_RUNTIME, a_runtime("refused"))
    shipped = await site.client.get(CLUSTER_TRAINING_RUNTIME, ObjectKey("", "torch-distributed"))
    await site.client.update(CLUSTER_TRAINING_RUNTIME, shipped)
    await site.client.delete(TRAIN_JOB, ObjectKey("default", "running"))
    config_map = {"metadata": {"name": "of-others", "namespace": "default"}, "data": {"a": "b"}}
    await site.client.create(kinds.CONFIG_MAP, config_map)
    for replica in site.ports:
        site.start(replica)
    await until(lambda: _trained(site, "refused"))
    await site.ended("refused")
