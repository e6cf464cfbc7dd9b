"""Upstream's pipelines for its local runner give the same outputs on Flowdeck as with `kfp.local`.

Their functions name the SDK that made them; here, both run them with the one that is installed.
"""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flowdeck.kube.objects import Tree
from flowdeck.testing.platform import RunningPlatform
from tests.components.pipelines.golden import WHY, files
from tests.kfp_sdk.conftest import HERE, KFP
from tests.kfp_sdk.long.test_shared_pipelines import runs_here
from tests.kfp_sdk.outputs import outputs_of, same
from tests.kfp_sdk.rest import Rest, document_in

ALONE = "local_execution_pipeline_with_retry.yaml"
"""Its attempts share a file of the machine, which pods do not have."""
ARGUMENTS: Mapping[str, Tree] = {
    "local_execution_pipeline_with_ignore_upstream_failure.yaml": {"marker_path": "/tmp/flowdeck-marker"}
}
PATHS = [path for path in files("local_execution") if runs_here(path) and path.name != ALONE]
TIMEOUT_S = 600

pytestmark = [
    pytest.mark.xdist_group("kfp"),
    pytest.mark.timeout(TIMEOUT_S + 300),
    pytest.mark.skipif(not PATHS, reason=WHY),
]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipelines, with another SDK."""
    folder = tmp_path_factory.mktemp("local")
    for path in PATHS:
        (folder / path.name).write_text(re.sub(r"kfp==[\d.]+", KFP[0], path.read_text()))
    return folder


@pytest.fixture(scope="session")
def local(kfp_python: Path, folder: Path) -> Mapping[str, Any]:
    """What the local runner gave, by the file's name: outputs, or why there are none."""
    given = {str(folder / path.name): ARGUMENTS.get(path.name, {}) for path in PATHS}
    command = [str(kfp_python), "-W", "ignore", str(HERE / "local_files.py"), str(folder), json.dumps(given)]
    env = {"PATH": f"{kfp_python.parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return {Path(path).name: told for path, told in json.loads((folder / "outputs.json").read_text()).items()}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_the_outputs_are_those_of_the_local_runner(
    local: Mapping[str, Any], folder: Path, rest: Rest, pipelines: RunningPlatform, path: Path
) -> None:
    run = rest.finished(rest.start(document_in(folder / path.name), ARGUMENTS.get(path.name, {})))
    expected = local[path.name]
    if isinstance(expected, str):
        assert run["state"] == "FAILED", expected
        return
    assert run["state"] == "SUCCEEDED", run.get("error")
    found = outputs_of(pipelines, run)
    assert expected.keys() == found.keys()
    assert [key for key in expected if not same(expected[key], found[key])] == [], (expected, found)
