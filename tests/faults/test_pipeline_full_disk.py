"""The disk is full for a while as a pipeline runs: what fails says so, nothing is damaged, and then it goes on."""

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path

import pytest

from flowdeck.testing.platform import RunningPlatform
from tests.faults.conftest import Clean
from tests.faults.test_full_disk import fill, small_disk
from tests.faults.test_pipeline_store import chains
from tests.kfp_sdk.rest import FINISHED, rest_of

__all__ = ["small_disk"]
FULL_S = 5


@pytest.mark.timeout(900)
@pytest.mark.parametrize("driver", ["plain", "namespaces"])
async def test_a_run_gets_over_a_full_disk(folder: Path, small_disk: Path, assert_clean: Clean, driver: str) -> None:
    running = RunningPlatform(small_disk / "data")
    await asyncio.to_thread(running.start, "--driver", driver)
    try:
        await asyncio.to_thread(_run_while_full, running, small_disk)
        await asyncio.to_thread(running.stop, pods=False)
        for database in ("store.db", "flowdeck.db"):
            _is_sound(running.data / database)
        await asyncio.to_thread(running.start, "--driver", driver)
        with rest_of(running) as rest:
            ended = await asyncio.to_thread(rest.get, "runs", page_size=200)
            assert {run["state"] for run in ended["runs"]} == {"SUCCEEDED"}
    finally:
        await asyncio.to_thread(running.stop)
    await asyncio.to_thread(assert_clean)


def _run_while_full(running: RunningPlatform, small_disk: Path) -> None:
    with rest_of(running) as rest:
        rest.finished(rest.start(chains()))  # what is needed for it is there now
        run_id = rest.start(chains())
        while not _artifacts(running, run_id):
            assert rest.get(f"runs/{run_id}")["state"] not in FINISHED
        filler = fill(small_disk)
        refused = rest.http.post("/apis/v2beta1/runs", json={"display_name": "late", "pipeline_spec": chains()})
        time.sleep(FULL_S)  # pods end, and runs go on or not
        seen = rest.get(f"runs/{run_id}")
        filler.unlink()
        assert refused.status_code in (500, 503), refused.text
        assert "full" in refused.text
        run = rest.finished(run_id)
        print(f"while full: {seen['state']}; then: {run['state']} {run.get('error', {}).get('message', '')}")
        if run["state"] == "FAILED":
            assert 'task "' in run["error"]["message"]
            rest.post(f"runs/{run_id}:retry")
            run = rest.finished(run_id)
        assert run["state"] == "SUCCEEDED", run.get("error")
        again = rest.finished(rest.start(chains()))
        assert again["state"] == "SUCCEEDED", again.get("error")


def _artifacts(running: RunningPlatform, run_id: str) -> list[Path]:
    return [path for path in (running.data / "artifacts").rglob("deeds") if run_id in path.parts]


def _is_sound(database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
