"""The official SDK of pipelines, unmodified, in an environment of its own, against a platform in processes of its own.

A scenario is a function of a script here: `run("client_scenarios.py", "two_steps")`. It has the kubeconfig and nothing
else: `kfp.Client()` without arguments.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowdeck.testing.platform import RunningPlatform
from tests.conftest import OpenPlatform
from tests.kfp_sdk.rest import Rest, rest_of
from tests.sdk.conftest import environment

KFP = ("kfp==2.17.3", "kfp-kubernetes==2.17.3", "pip")
"""With pip, which the `kfp.local` runner wants."""
INSTEAD = ("certifi>=2024", "requests>=2.32")
"""Newest versions that the SDK pins, and that an index may not have yet."""
RUN_TIMEOUT_S = 600
HERE = Path(__file__).parent

Run = Callable[..., str]
"""`run(script, *arguments, where=platform)` gives the script's output, and fails with it."""


@pytest.fixture(scope="session")
def kfp_python() -> Path:
    """The Python of the environment."""
    return environment(*KFP, instead=INSTEAD)


@pytest.fixture(scope="session")
def pipelines(open_platform: OpenPlatform) -> Iterator[RunningPlatform]:
    """A platform that runs pods."""
    with open_platform() as running:
        yield running


@pytest.fixture(scope="session")
def rest(pipelines: RunningPlatform) -> Iterator[Rest]:
    """Its REST surface, as the administrator."""
    with rest_of(pipelines) as rest:
        yield rest


@pytest.fixture
def run(kfp_python: Path, pipelines: RunningPlatform, tmp_path: Path) -> Run:
    def run_script(script: str, *arguments: str, where: RunningPlatform = pipelines, **more: str) -> str:
        env = {**os.environ, "KUBECONFIG": str(where.kubeconfig), "PYTHONPATH": "", "HOME": str(tmp_path), **more}
        command = [str(kfp_python), "-W", "ignore", str(HERE / script), *arguments]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=RUN_TIMEOUT_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run_script
