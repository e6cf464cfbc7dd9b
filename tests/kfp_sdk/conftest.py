"""The official SDK of pipelines, unmodified, in an environment of its own, against a platform in processes of its own.

What asks by REST alone runs on a real cluster as well (`--cluster real`).

A scenario is a function of a script here: `run("client_scenarios.py", "two_steps")`. It has the kubeconfig and nothing
else: `kfp.Client()` without arguments.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.testing.platform import RunningPlatform, platform
from tests.kfp_sdk.rest import Rest, rest_of, rest_on
from tests.sdk.conftest import environment

if TYPE_CHECKING:
    from tests.kubernetes.installed import InstalledPlatform

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
def is_real(request: pytest.FixtureRequest) -> bool:
    """Whether the platform is installed on a real cluster."""
    return bool(request.config.getoption("--cluster") == "real")


@pytest.fixture(scope="session")
def served(is_real: bool) -> "Iterator[tuple[RunningPlatform | InstalledPlatform, Rest, Artifacts]]":
    """A platform that runs pods, its REST surface, and where it keeps artifacts."""
    if is_real:
        from tests.kubernetes.installed import installed

        with installed(stores=True) as there, rest_on(there.cluster) as rest:
            assert there.artifacts is not None
            yield there, rest, there.artifacts
        return
    with platform() as running, rest_of(running) as rest:
        yield running, rest, Artifacts(ArtifactSettings(), running.data / "artifacts")


@pytest.fixture(scope="session")
def pipelines(served: Any, is_real: bool) -> RunningPlatform:
    """The platform, embedded."""
    if is_real:
        pytest.skip("`kfp.Client()` without arguments goes through the API server's proxy, which takes tokens off")
    running: RunningPlatform = served[0]
    return running


@pytest.fixture(scope="session")
def rest(served: Any) -> Rest:
    """Its REST surface."""
    found: Rest = served[1]
    return found


@pytest.fixture(scope="session")
def store(served: Any) -> Artifacts:
    """Where it keeps artifacts."""
    found: Artifacts = served[2]
    return found


@pytest.fixture
def run(kfp_python: Path, pipelines: RunningPlatform, tmp_path: Path) -> Run:
    def run_script(script: str, *arguments: str, where: RunningPlatform = pipelines, **more: str) -> str:
        env = {**os.environ, "KUBECONFIG": str(where.kubeconfig), "PYTHONPATH": "", "HOME": str(tmp_path), **more}
        command = [str(kfp_python), "-W", "ignore", str(HERE / script), *arguments]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=RUN_TIMEOUT_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run_script
