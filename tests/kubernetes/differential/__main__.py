"""`python -m tests.kubernetes.differential [--only GLOB] [--real KUBECONFIG]`: plays scenarios, shows differences.

`--only` takes a glob of scenario names (`apply/*`); `--all` shows listed differences as well; `--real` is the
kubeconfig of a control plane that runs already (`python -m tests.kubernetes.rig serve-api`), `--whole` of one with
controllers. `--page` writes the list of differences into docs/kubernetes-compatibility.md and does nothing else.
`--random [--steps N] [--seed S]` plays random sequences instead, and shows the shortest that differ.
"""

import argparse
import asyncio
import fnmatch
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.kubernetes.differential import listed
from tests.kubernetes.differential.scenario import Scenario
from tests.kubernetes.differential.servers import at, embedded
from tests.kubernetes.differential.shrinking import play_random
from tests.kubernetes.differential.suite import Pair, Report, play_all, told
from tests.kubernetes.differential.themes import all_scenarios
from tests.kubernetes.rig import binaries
from tests.kubernetes.rig.control_plane import control_plane


async def report_on(scenarios: Sequence[Scenario], kubeconfigs: dict[bool, Path | None], folder: Path) -> Report:
    """Plays all; those that need controllers on a pair of their own. Starts real servers that no kubeconfig names."""
    report = Report()
    for whole in (False, True):
        chosen = [scenario for scenario in scenarios if scenario.whole == whole]
        if chosen:
            async with _pair(kubeconfigs[whole], folder / f"ours-{whole}", whole=whole) as pair:
                report.played += (await play_all(chosen, pair, secrets.token_hex(2))).played
    return report


@asynccontextmanager
async def _pair(kubeconfig: Path | None, folder: Path, *, whole: bool) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        if kubeconfig is None:
            programs = binaries.ready(lambda line: print(line, flush=True))
            kubeconfig = stack.enter_context(control_plane(programs, controllers=whole)).kubeconfig
        real = await stack.enter_async_context(at("real", kubeconfig))
        yield Pair(real, await stack.enter_async_context(embedded(folder, whole=whole)))


async def random_differences(seed: int, steps: int, kubeconfig: Path | None, folder: Path) -> tuple[str, Sequence[str]]:
    async with _pair(kubeconfig, folder / "ours", whole=False) as pair:
        return await play_random(seed, steps, pair, secrets.token_hex(2))


def _play_random(options: argparse.Namespace) -> int:
    seed = options.seed if options.seed is not None else secrets.randbelow(10**6)
    with tempfile.TemporaryDirectory(prefix="differential-") as folder:
        summary, texts = asyncio.run(random_differences(seed, options.steps, options.real, Path(folder)))
    print("\n\n".join([*texts, summary]))
    return 1 if texts else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kubernetes.differential", description=__doc__)
    parser.add_argument("--only", default="*")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--real", type=Path)
    parser.add_argument("--whole", type=Path)
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    if options.page:
        listed.PAGE.write_text(listed.page_as_it_should_be())
        return 0
    if options.random:
        return _play_random(options)
    chosen = [scenario for scenario in all_scenarios() if fnmatch.fnmatchcase(scenario.name, options.only)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="differential-") as folder:
        kubeconfigs = {False: options.real, True: options.whole}
        report = asyncio.run(report_on(chosen, kubeconfigs, Path(folder)))
    shown = report.differences if options.all else report.unlisted()
    print(told(shown))
    for pattern in report.outlived():
        print(f"no longer differs, take it off the list: {pattern}")
    print(f"{report.summary()}; {time.monotonic() - began:.0f} s")
    return 1 if report.unlisted() or report.outlived() else 0


if __name__ == "__main__":
    sys.exit(main())
