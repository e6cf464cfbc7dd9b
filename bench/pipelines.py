"""Pipelines: what steps cost beside kfp's own local runner, and lists of very many runs."""

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text
from tests.kfp_sdk.conftest import INSTEAD, KFP
from tests.sdk.conftest import environment
from tests.sql.postgresql import postgresql

from bench.report import Row, p95
from bench.side_by_side import Both
from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.store.migrations import MIGRATIONS
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.store.tables import RUNS
from flowdeck.sql.database import Database
from flowdeck.testing.platform import RunningPlatform
from flowdeck.web.listing import ListQuery

PROGRAMS = Path(__file__).with_name("kfp_programs.py")
RUNS_LISTED = 1_000_000
CHUNK = 10_000
WALKS = 6
PAGES = 10
"""Pages of each walk through a list."""
NAMESPACE = "kubeflow"
START = datetime(2026, 1, 1, tzinfo=UTC)


class CannotCompare(Exception):
    """What is compared with cannot be had on this machine."""


def steps(platform: RunningPlatform) -> Sequence[Both]:
    """The same pipelines by the same SDK: on a platform, and by its local runner, a process a step."""
    try:
        programs = _Programs(environment(*KFP, instead=INSTEAD), platform.kubeconfig)
    except pytest.skip.Exception as error:
        raise CannotCompare(str(error)) from error
    programs.seconds("flowdeck", "chain", 1, 3)  # makes the environment, and starts what is kept warm
    return [
        Both(what=what, ours=programs.seconds("flowdeck", shape, size, times), theirs=theirs(), unit="s", want=want)
        for what, shape, size, times, want, theirs in (
            (
                "one step that does nothing",
                "chain",
                1,
                10,
                "<= 0.08",
                partial(programs.seconds, "local", "chain", 1, 5),
            ),
            ("a chain of 5", "chain", 5, 5, "<= 0.5", partial(programs.seconds, "local", "chain", 5, 3)),
            ("20 steps, all cached", "cached", 20, 5, "<= 0.2", tuple),
            ("to the end of a run of 5 sleeping steps, terminated", "terminate", 5, 5, "<= 2", tuple),
            ("ParallelFor of 1,000", "loop", 1000, 1, "<= 6", tuple),
        )
    ]


@dataclass(frozen=True)
class _Programs:
    python: Path
    kubeconfig: Path

    def seconds(self, where: str, shape: str, size: int, times: int) -> Sequence[float]:
        with tempfile.TemporaryDirectory(prefix="flowdeck-bench-") as folder:
            done = subprocess.run(
                [str(self.python), "-I", "-W", "ignore", str(PROGRAMS), where, shape, str(size), str(times)],
                env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "PYTHONPATH": "", "HOME": folder},
                cwd=folder,
                capture_output=True,
                text=True,
            )
        if done.returncode:
            raise RuntimeError(f"{where} {shape} of {size} failed:\n{done.stdout}{done.stderr}")
        took: list[float] = json.loads(done.stdout.splitlines()[-1])
        return took


# ---- lists -------------------------------------------------------------------------------------------------------


def lists() -> Sequence[Row]:
    """Pages of a list of a million runs, in both databases."""
    with tempfile.TemporaryDirectory(prefix="flowdeck-bench-") as folder:
        rows = [asyncio.run(_list("SQLite", f"sqlite:///{folder}/runs.db"))]
    with postgresql() as server:
        rows.append(asyncio.run(_list("PostgreSQL", server.new_database("bench"))))
    return rows


async def _list(name: str, url: str) -> Row:
    database = Database(url)
    try:
        await MIGRATIONS.run(database)
        for first in range(0, RUNS_LISTED, CHUNK):
            await database.write(partial(_add, first=first))
        await database.write(lambda connection: connection.execute(text("ANALYZE")))
        took = [ms for walk in range(WALKS) for ms in await _walk(database, walk)]
    finally:
        await database.close()
    return Row(
        what=f"a page of {RUNS_LISTED:,} runs, {name}",
        samples=took, unit="ms", want="p95 <= 50 ms", is_met=p95(took) <= 50,
    )  # fmt: skip


def _add(connection: Connection, first: int) -> None:
    connection.execute(insert(RUNS), [_row(number) for number in range(first, first + CHUNK)])


def _row(number: int) -> dict[str, Any]:
    """Runs of ten experiments, a minute apart."""
    at = START + timedelta(minutes=number)
    run = Run(
        id=f"{Random(number).getrandbits(128):032x}",
        experiment_id=f"experiment-{number % 10}",
        namespace=NAMESPACE,
        name=f"run {number}",
        state="SUCCEEDED" if number % 20 else "FAILED",
        is_active=False,
        created_at=at,
        scheduled_at=at,
        finished_at=at + timedelta(seconds=number % 600),
        service_account="pipeline-runner",
        document="of all",
        engine={},
    )
    return vars(run)


async def _walk(database: Database, walk: int) -> Sequence[float]:
    """Milliseconds of each page, from the first one on."""
    sort, descending = (("created_at", True), ("created_at", False), ("name", True))[walk % 3]
    experiment = "experiment-3" if walk >= WALKS // 2 else ""
    took, after = [], None
    for _ in range(PAGES):
        query = ListQuery(20, sort, descending, after=after)
        began = time.perf_counter()
        page = await database.read(
            partial(_page, query=query, experiment=experiment),
        )
        took.append(1000 * (time.perf_counter() - began))
        after = page.next
    return took


def _page(connection: Connection, query: ListQuery, experiment: str) -> Any:
    return runs.listed(connection, query, namespace=NAMESPACE, experiment_id=experiment)
