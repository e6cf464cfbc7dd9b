"""The artifact store is away for a while as a run goes on: the run waits, nothing is half there, nothing runs twice."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.kube.objects import Tree
from flowdeck.testing.platform import RunningPlatform
from tests.artifacts.s3 import s3_server
from tests.faults.conftest import Clean
from tests.kfp_sdk.rest import Rest, rest_of
from tests.pipelines.makers import a_component, a_pipeline, a_task
from tests.pipelines.servers import S3

AWAY_S = 30
CHAINS, LENGTH = 2, 4
LINES = 20_000
WORKER = f"""
import sys
number, result, deeds = int(sys.argv[1]), sys.argv[2], sys.argv[3]
with open(deeds, 'w') as file:
    file.writelines(f"{{number}}\\n" for _ in range({LINES}))
open(result, 'w').write(str(number + 1))
"""
READER = f"""
import sys
lines = open(sys.argv[1]).read().split()
assert len(lines) == {LINES}, len(lines)
open(sys.argv[2], 'w').write(lines[-1])
"""


class Door:
    """What leads to a server on this machine; shut, nobody answers at its port."""

    def __init__(self, endpoint: str) -> None:
        self._behind = int(endpoint.rpartition(":")[2])
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def open(self) -> str:
        """The URL, the same each time."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{self._port}"

    async def shut(self) -> None:
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._behind)
        pair = {writer, back}
        self._open |= pair
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            self._open -= pair
            for each in pair:
                each.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()


def chains() -> Tree:
    """Each task reads what the one before it has made, and makes more."""
    worker = a_component(
        WORKER, inputs={"number": "NUMBER_INTEGER"}, outputs={"result": "NUMBER_INTEGER"},
        makes={"deeds": "system.Dataset"},
    )  # fmt: skip
    reader = a_component(READER, takes={"deeds": "system.Dataset"}, outputs={"result": "NUMBER_INTEGER"})
    tasks = {}
    for chain in range(CHAINS):
        for place in range(LENGTH):
            number = (f"read-{chain}-{place - 1}", "result") if place else 100 * chain
            tasks[f"make-{chain}-{place}"] = a_task("worker", number=number)
            tasks[f"read-{chain}-{place}"] = a_task("reader", deeds=("artifact", f"make-{chain}-{place}", "deeds"))
    return a_pipeline({"worker": worker, "reader": reader}, tasks, name="chains")


@pytest.mark.timeout(900)
async def test_a_run_waits_for_a_store_that_is_away(folder: Path, assert_clean: Clean) -> None:
    running = RunningPlatform(folder / "data")
    await asyncio.to_thread(running.start, "--driver", "plain")
    try:
        with s3_server() as endpoint, rest_of(running) as rest:
            door = Door(endpoint)
            s3 = S3(await door.open())
            store = await asyncio.to_thread(S3(endpoint).bucket, "bucket")
            async with running.client() as client:
                await s3.tell(client, "kubeflow", "s3://bucket/runs")
            run_id = await asyncio.to_thread(rest.start, chains())
            await _made(store, 2, rest, run_id)
            await door.shut()
            await asyncio.sleep(AWAY_S)
            assert (await asyncio.to_thread(rest.get, f"runs/{run_id}"))["state"] == "RUNNING"
            await door.open()
            run = await asyncio.to_thread(rest.finished, run_id)
            await _prove(store, rest, run)
            await door.shut()
    finally:
        await asyncio.to_thread(running.stop)
    await asyncio.to_thread(assert_clean)


async def _made(store: Artifacts, count: int, rest: Rest, run_id: str) -> None:
    """Returns when so many artifacts are in the store."""
    while len(await _deeds(store)) < count:
        run = await asyncio.to_thread(rest.get, f"runs/{run_id}")
        assert run["state"] in ("PENDING", "RUNNING"), run
        await asyncio.sleep(0.1)


async def _deeds(store: Artifacts) -> list[str]:
    return [info.uri async for info in store.list("s3://bucket/runs") if info.uri.endswith("/deeds")]


async def _prove(store: Artifacts, rest: Rest, run: Tree) -> None:
    """Each task ran once, and each of its artifacts is whole."""
    assert run["state"] == "SUCCEEDED", run.get("error")
    outputs = {each["name"]: each.get("outputs", {}).get("parameters", []) for each in run["tasks"]}
    assert [outputs[f"read-{chain}-{LENGTH - 1}"][0]["value"] for chain in range(CHAINS)] == [
        100 * chain for chain in range(CHAINS)
    ]
    attempts = [
        each["display_name"] for each in run["run_details"]["task_details"] if "attempt" in each["display_name"]
    ]
    assert len(attempts) == 2 * CHAINS * LENGTH, attempts
    deeds = await _deeds(store)
    assert len(deeds) == CHAINS * LENGTH
    for uri in deeds:
        assert len((await store.get(uri)).split()) == LINES
