"""`python -m bench [--only WORD]`: runs the benchmarks on a platform of their own, and prints the tables.

`kubernetes` measures a real control plane beside ours; it is built first where it is missing, which needs Go.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.progress import Progress
from tests.kubernetes.rig.binaries import CannotBuild

from bench import api, cluster_pipelines, kubernetes, pipelines, pods, start
from bench.report import Row, show
from bench.side_by_side import show_both
from flowdeck.testing.platform import RunningPlatform

PARTS = ("start", "api", "pods", "imports", "scale")
TRAIN_JOBS = (200,)


@contextmanager
def _platform() -> Iterator[RunningPlatform]:
    with tempfile.TemporaryDirectory(prefix="flowdeck-bench-", ignore_cleanup_errors=True) as folder:
        platform = RunningPlatform(Path(folder))
        platform.start()
        platform.stop()
        try:
            yield platform
        finally:
            platform.stop()


def _measure(part: str, platform: RunningPlatform) -> Sequence[Row]:
    match part:
        case "start":
            return start.at_rest(platform)
        case "api":
            return asyncio.run(api.measure(platform))
        case "pods":
            return asyncio.run(pods.measure(platform))
        case "imports":
            return asyncio.run(pods.measure_imports(platform))
    return asyncio.run(pods.measure_scale(platform))


def _own(parts: Sequence[str]) -> None:
    """Measures on one platform, part by part; what was measured is shown even if a part fails."""
    rows: list[Row] = []
    try:
        with Progress() as progress, _platform() as platform:
            task = progress.add_task("measuring", total=len(parts) + 1)
            rows.append(start.starts(platform))
            progress.advance(task)
            for part in parts:
                progress.update(task, description=part)
                rows += _measure(part, platform)
                progress.advance(task)
    finally:
        show(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    choices = (*PARTS, "runs", "pipelines", "kubernetes", "cluster-pipelines")
    parser.add_argument("--only", choices=choices, action="append", help="only this part; may be repeated")
    parser.add_argument(
        "--train-jobs", type=int, action="append", help="how many at once, in the part kubernetes; may be repeated"
    )
    given = parser.parse_args()
    chosen = given.only or choices
    if own := [part for part in chosen if part in PARTS]:
        _own(own)
    if "runs" in chosen:
        show(pipelines.lists())
    if "pipelines" in chosen:
        try:
            with _platform() as platform:
                platform.start()
                show_both(pipelines.steps(platform), "kfp's local runner")
        except pipelines.CannotCompare as error:
            sys.exit(f"bench: no kfp to compare with: {error}")
    if "kubernetes" in chosen:
        try:
            show_both(kubernetes.measure(given.train_jobs or TRAIN_JOBS), "kube-apiserver + etcd")
        except CannotBuild as error:
            sys.exit(f"bench: no real Kubernetes to compare with: {error}")
    if "cluster-pipelines" in chosen:
        try:
            show_both(cluster_pipelines.measure(), "on a real cluster")
        except CannotBuild as error:
            sys.exit(f"bench: no real Kubernetes to compare with: {error}")


if __name__ == "__main__":
    main()
