"""`python -m bench [--only WORD]`: runs the benchmarks on a platform of their own, and prints the table."""

import argparse
import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.progress import Progress

from bench import api, pods, start
from bench.report import Row, show
from flowdeck.testing.platform import RunningPlatform

PARTS = ("start", "api", "pods", "imports", "scale")


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be repeated")
    chosen = parser.parse_args().only or PARTS
    with Progress() as progress, _platform() as platform:
        task = progress.add_task("measuring", total=len(chosen) + 1)
        rows = [start.starts(platform)]
        progress.advance(task)
        for part in chosen:
            progress.update(task, description=part)
            rows += _measure(part, platform)
            progress.advance(task)
    show(rows)


if __name__ == "__main__":
    main()
