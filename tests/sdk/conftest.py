"""Official SDKs, unmodified, each in an environment of its own, against a platform in processes of its own.

An environment is made once per machine, in the user's cache folder. Where that cannot be done (no network, no wheels)
the tests are skipped and say why.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from uv import find_uv_bin

from flowdeck.testing.platform import RunningPlatform
from tests.conftest import OpenPlatform

TRAINER_SDK = "kubeflow==0.5.0"
RUN_TIMEOUT_S = 300
HERE = Path(__file__).parent

Run = Callable[[RunningPlatform, str], str]
"""Runs a scenario of `trainer_scenarios.py` against a platform; gives its output, fails with it."""


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "flowdeck" / "sdk"


def environment(requirement: str, *more: str, instead: Sequence[str] = ()) -> Path:
    """The Python of an environment with these packages; skips the test when it cannot be made.

    `instead` are requirements that replace what packages ask for: pins that an index may not have.
    """
    folder = _cache() / "+".join((requirement, *more))
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        install = ["pip", "install", "--quiet", "--python", str(python), requirement, *more]
        for command in (
            ["venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [*install, *(["--override", "/dev/stdin"] if instead else [])],
        ):
            done = subprocess.run([find_uv_bin(), *command], capture_output=True, text=True, input="\n".join(instead))
            if done.returncode != 0:
                pytest.skip(f"no environment with {requirement}: {done.stderr.strip()[-400:]}")
        (folder / "ready").touch()
    return python


@pytest.fixture(scope="session")
def run() -> Run:
    python = environment(TRAINER_SDK)

    def run_scenario(where: RunningPlatform, scenario: str) -> str:
        env = {**os.environ, "KUBECONFIG": str(where.kubeconfig), "PYTHONPATH": ""}
        done = subprocess.run(
            [python, str(HERE / "trainer_scenarios.py"), scenario],
            env=env,
            cwd=where.data,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run_scenario


@pytest.fixture(scope="session")
def api_only(open_platform: OpenPlatform) -> Iterator[RunningPlatform]:
    """A platform without a node: objects are made, nothing runs."""
    with open_platform(options=["--no-node"]) as running:
        yield running


@pytest.fixture(scope="session", params=["plain", "auto"])
def whole(request: pytest.FixtureRequest, open_platform: OpenPlatform) -> Iterator[RunningPlatform]:
    """A platform that runs pods: with the driver that works everywhere, and with the best that this machine can do."""
    if request.param == "plain" and request.config.getoption("--cluster") == "real":
        pytest.skip("plain pods have the machine's address, loopback in tests: a real Service leads to no such address")
    with open_platform(options=["--driver", request.param]) as running:
        yield running
