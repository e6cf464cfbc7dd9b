"""`kill -9` at random moments while pipelines run: no run is lost, no task runs twice, and schedules neither miss nor
double.

FLOWDECK_FAULT_ROUNDS, FLOWDECK_FAULT_SEED   as for test_kills.py
"""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TypeVar

import httpx
import pytest

from flowdeck.kube.objects import Tree
from flowdeck.kube.times import parse_time
from tests.faults.conftest import Clean
from tests.faults.test_kills import ROUNDS, SEED, keep
from tests.faults.victim import KINDS, PATIENCE_S, Victim, run_down
from tests.kfp_sdk.rest import FINISHED, Rest, rest_of
from tests.pipelines.makers import a_component, a_pipeline, a_task

T = TypeVar("T")
CHAINS, LENGTH = 5, 4
KILLS_A_RUN = 4
LONGEST_PAUSE_S = 1.5
RUN_S = 120
MANY = 100
MANY_S = 900
EVERY_S = 5
WORKER = """
import os, sys, time
number, pause, result, deeds = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4]
def note(word):
    with open(deeds, 'a') as file:
        file.write(f"{word} {os.environ['KFP_POD_UID']}\\n")
note('start')
time.sleep(pause)
open(result, 'w').write(str(number + 1))
note('end')
"""


@pytest.mark.timeout(240 + 20 * ROUNDS)
async def test_no_task_runs_twice_and_no_schedule_misses_when_the_platform_is_killed(
    folder: Path, assert_clean: Clean
) -> None:
    chance = Random(f"{SEED} pipelines")
    print(f"seed {SEED}, {ROUNDS} rounds")
    victim = Victim(folder / "data", "namespaces")
    try:
        await victim.start()
        with rest_of(victim.platform) as rest:
            schedule = (await _persist(lambda: rest.post("recurringruns", _schedule())))["recurring_run_id"]
            for number in range(0, ROUNDS, KILLS_A_RUN):
                await _run_and_kill(victim, rest, f"run-{number}", min(KILLS_A_RUN, ROUNDS - number), chance)
            await _persist(lambda: rest.post(f"recurringruns/{schedule}:disable"))
            _prove_schedule(await _fired(rest, schedule))
    finally:
        await asyncio.to_thread(run_down, victim.data)
        keep(folder)
    await asyncio.to_thread(assert_clean)
    print(f"kills: {victim.kills}")


@pytest.mark.timeout(MANY_S + 240)
async def test_a_hundred_runs_at_once_all_come_to_their_end(folder: Path, assert_clean: Clean) -> None:
    chance = Random(f"{SEED} many")
    victim = Victim(folder / "data", "namespaces")
    try:
        await victim.start()
        with rest_of(victim.platform) as rest:
            async with asyncio.timeout(MANY_S):
                starts = [_start(rest, f"run-{number}", _workers(chance, 1, 2)) for number in range(MANY)]
                run_ids = await asyncio.gather(*starts)
                assert len(set(run_ids)) == MANY
                for kind in ("api", "both"):
                    await victim.kill(kind, chance)
                    await asyncio.sleep(LONGEST_PAUSE_S)
                for run_id in run_ids:
                    assert (await _finished(rest, run_id))["state"] == "SUCCEEDED"
                    _prove_run(victim.data / "artifacts", run_id, 2)
    finally:
        await asyncio.to_thread(run_down, victim.data)
        keep(folder)
    await asyncio.to_thread(assert_clean)


async def _run_and_kill(victim: Victim, rest: Rest, name: str, kills: int, chance: Random) -> None:
    run_id = await _start(rest, name, _workers(chance, CHAINS, LENGTH))

    async def kill() -> None:
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0, LONGEST_PAUSE_S))
            await victim.kill(chance.choice(KINDS), chance)

    async with asyncio.TaskGroup() as tasks, asyncio.timeout(RUN_S):
        tasks.create_task(kill())
        run = await _finished(rest, run_id)
    assert run["state"] == "SUCCEEDED", run
    _prove_run(victim.data / "artifacts", run_id, CHAINS * LENGTH)


# ---- what is run -------------------------------------------------------------------------------------------------


def _workers(chance: Random, chains: int, length: int) -> Tree:
    """Chains of tasks, each of which adds one."""
    worker = a_component(
        WORKER,
        inputs={"number": "NUMBER_INTEGER", "pause": "NUMBER_DOUBLE"},
        outputs={"result": "NUMBER_INTEGER"},
        makes={"deeds": "system.Artifact"},
    )
    tasks = {}
    for chain in range(chains):
        for place in range(length):
            number = (f"t-{chain}-{place - 1}", "result") if place else 100 * chain
            tasks[f"t-{chain}-{place}"] = a_task("worker", number=number, pause=chance.choice([0.0, 0.1, 0.5]))
    return a_pipeline({"worker": worker}, tasks, name="workers")


def _schedule() -> Tree:
    nothing = a_pipeline({"nothing": a_component("pass")}, {"once": a_task("nothing")}, name="nothing")
    return {
        "display_name": "often",
        "pipeline_spec": nothing,
        "runtime_config": {},
        "max_concurrency": "10",
        "mode": "ENABLE",
        "trigger": {"cron_schedule": {"cron": f"*/{EVERY_S} * * * * *"}},
    }


async def _start(rest: Rest, name: str, document: Tree) -> str:
    """A run that was made though its answer was lost is not made again."""
    chosen = json.dumps({"predicates": [{"key": "display_name", "operation": "EQUALS", "string_value": name}]})

    def start() -> str:
        there = rest.get("runs", filter=chosen).get("runs") or []
        return str(there[0]["run_id"]) if there else rest.start(document, display_name=name)

    return await _persist(start)


# ---- what must be ------------------------------------------------------------------------------------------------


def _prove_run(artifacts: Path, run_id: str, tasks: int) -> None:
    """Each task has one folder of deeds, and did its work there once."""
    deeds = [path for path in artifacts.rglob("deeds") if run_id in path.parts]
    assert len(deeds) == tasks, deeds
    for path in deeds:
        words = [line.split() for line in path.read_text().splitlines()]
        assert [word for word, _ in words] == ["start", "end"], (path, words)


async def _fired(rest: Rest, schedule: str) -> list[datetime]:
    """When the runs of a schedule were due, in order."""
    chosen = json.dumps({"predicates": [{"key": "recurring_run_id", "operation": "EQUALS", "string_value": schedule}]})
    found: list[Tree] = []
    token = ""
    while True:
        query = {"filter": chosen, "sort_by": "scheduled_at", "page_size": 200, "page_token": token}
        page = await _persist(partial(rest.get, "runs", **query))
        found += page.get("runs") or []
        if not (token := page.get("next_page_token", "")):
            return [parse_time(run["scheduled_at"]) for run in found]


def _prove_schedule(due: list[datetime]) -> None:
    assert due, "it never fired"
    gaps = {later - earlier for earlier, later in pairwise(due)}
    assert gaps <= {timedelta(seconds=EVERY_S)}, due


async def _finished(rest: Rest, run_id: str) -> Tree:
    while True:
        run: Tree = await _persist(lambda: rest.get(f"runs/{run_id}"))
        if run["state"] in FINISHED:
            return run
        await asyncio.sleep(0.1)


async def _persist(work: Callable[[], T]) -> T:
    """The answer, asked for again while there is nobody to give it."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            return await asyncio.to_thread(work)
        except (httpx.TransportError, AssertionError) as error:
            if asyncio.get_running_loop().time() > deadline or not _is_passing(error):
                raise
        await asyncio.sleep(0.1)


def _is_passing(error: Exception) -> bool:
    return isinstance(error, httpx.TransportError) or "ServiceUnavailable" in str(error)
