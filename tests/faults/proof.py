"""Compares what pods did (their deeds, on disk) with what the platform says of them."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from flowdeck.client.http import HttpClient
from flowdeck.kube.conditions import is_true
from flowdeck.kube.kinds import DEPLOYMENT, POD
from flowdeck.kube.objects import Tree, key_of, uid_of
from tests.faults.victim import persist
from tests.faults.workloads import NAMESPACE, Workload, deeds_file


@dataclass(frozen=True)
class Deeds:
    """What the pods of a workload wrote."""

    starts: Counter[str]
    """By uid of the pod."""
    ends: list[tuple[str, int, int]]
    """(uid, index, exit code), in order."""

    def codes(self, uid: str) -> list[int]:
        return [code for who, _, code in self.ends if who == uid]


def deeds_of(folder: Path, name: str) -> Deeds:
    path = folder / deeds_file(name)
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return Deeds(
        Counter(words[2] for words in lines if words[0] == "start"),
        [(words[3], int(words[1]), int(words[2])) for words in lines if words[0] == "end"],
    )


async def finished(client: HttpClient, workload: Workload, within_s: float) -> Tree:
    """The workload's object once it has come to an end."""
    obj: Tree = {}
    try:
        async with asyncio.timeout(within_s):
            while True:
                obj = await persist(lambda: client.get(workload.kind, workload.key))
                if is_true(obj, "Complete") or is_true(obj, "Failed"):
                    return obj
                await asyncio.sleep(0.1)
    except TimeoutError:
        pods = await persist(lambda: client.list(POD, namespace=NAMESPACE, labels=workload.pods))
        told = [(pod["metadata"]["name"], pod.get("status")) for pod in pods.items]
        raise AssertionError(f"{workload.name} does not end: {obj.get('status')}\n{told}") from None


async def prove(client: HttpClient, workload: Workload, deeds_folder: Path) -> None:
    """A finished Job or TrainJob did all that it should, once, and all of it can be read."""
    obj = await finished(client, workload, within_s=60)
    assert is_true(obj, workload.outcome), (workload.name, obj["status"])
    deeds = deeds_of(deeds_folder, workload.name)
    done = Counter((index, code) for _, index, code in deeds.ends)
    assert done == Counter(workload.codes), (workload.name, done, deeds)
    assert sum(deeds.starts.values()) == len(deeds.ends), (workload.name, deeds)
    pods = (await persist(lambda: client.list(POD, namespace=NAMESPACE, labels=workload.pods))).items
    uids = {uid_of(pod) for pod in pods}
    assert uids == set(deeds.starts) or (not workload.stays and uids < set(deeds.starts)), (workload.name, uids, deeds)
    for pod in pods:
        await _prove_pod(client, pod, workload, deeds)


async def _prove_pod(client: HttpClient, pod: Tree, workload: Workload, deeds: Deeds) -> None:
    codes = deeds.codes(uid_of(pod))
    (status,) = pod["status"]["containerStatuses"]
    assert status["state"]["terminated"]["exitCode"] == codes[-1], (status, codes)
    assert status["restartCount"] == len(codes) - 1, (status, codes)
    assert pod["status"]["phase"] == ("Failed" if codes[-1] else "Succeeded"), pod["status"]
    await _prove_log(client, pod, workload.lines)
    if len(codes) > 1:
        assert status["lastState"]["terminated"]["exitCode"] == codes[-2], (status, codes)
        await _prove_log(client, pod, workload.lines, previous="true")


async def _prove_log(client: HttpClient, pod: Tree, lines: int, **query: str) -> None:
    url = POD.url(key_of(pod), subresource="log")
    text = (await persist(lambda: client.raw("GET", url, query=query))).decode()
    assert text.splitlines() == [f"line {number + 1}" for number in range(lines)], (key_of(pod), query, text)


async def prove_deployment(client: HttpClient, workload: Workload, deeds_folder: Path, made: int) -> None:
    """It has its replicas; of at most `made` pods each was started once, and those stopped ended."""
    replicas, obj, pods = -1, {}, []
    try:
        async with asyncio.timeout(60):
            while True:
                obj = await persist(lambda: client.get(DEPLOYMENT, workload.key))
                replicas = obj["spec"]["replicas"]
                listed = await persist(lambda: client.list(POD, namespace=NAMESPACE, labels=workload.pods))
                pods = [pod for pod in listed.items if is_true(pod, "Ready")]
                if obj["status"].get("readyReplicas", 0) == replicas == len(pods) == len(listed.items):
                    break
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{workload.name} lacks replicas: {obj.get('status')}\n{pods}") from None
    deeds = deeds_of(deeds_folder, workload.name)
    assert set(deeds.starts.values()) <= {1}, deeds
    assert {uid_of(pod) for pod in pods} <= set(deeds.starts), (pods, deeds)
    assert len(deeds.starts) <= made, deeds
    assert len(deeds.starts) - len(deeds.ends) == replicas, deeds
    for pod in pods:
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
