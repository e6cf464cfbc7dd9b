"""The SDK's bootstrap is known word by word, and paths that are elsewhere are told to programs and turned back."""

import json
from pathlib import Path
from typing import Any

import pytest

from flowdeck.components.pipelines.runner.launcher import Moves, are_there, bootstrap_of, finish
from flowdeck.kube.yaml_text import load_all
from tests.components.pipelines.golden import VALID, WHY
from tests.pipelines.functions import command_of

SOURCE = "def f(): pass"


def test_what_a_function_installs_is_read_from_its_command() -> None:
    found = bootstrap_of(command_of("f", SOURCE, ["pandas>=2", "scikit-learn"]))
    assert found is not None
    assert (found.packages, found.bare) == (["pandas>=2", "scikit-learn"], ["kfp==2.17.3"])
    assert found.source.endswith(f"{SOURCE}\n")
    assert found.arguments == ["--executor_input", "{{$}}", "--function_to_execute", "f"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('&& "$0"', '&& rm -r x && "$0"', id="another-step"),
        pytest.param("pip install --quiet", "pip install --upgrade --quiet", id="another-option"),
        pytest.param("'kfp==2.17.3'", "--index-url https://own 'kfp==2.17.3'", id="an-index-of-its-own"),
        pytest.param("mktemp -d", "mktemp -d -p /data", id="another-program"),
        pytest.param("apt-get install python3-pip", "true", id="another-head"),
        pytest.param("'kfp==2.17.3'", "'kfp==2.17.3' 'unclosed", id="no-words"),
    ],
)
def test_anything_else_is_run_as_it_stands(old: str, new: str) -> None:
    assert bootstrap_of([word.replace(old, new) for word in command_of("f", SOURCE)]) is None


@pytest.mark.skipif(not VALID, reason=WHY)
def test_all_bootstraps_of_upstreams_pipelines_are_known_but_those_in_an_environment_of_their_own() -> None:
    unknown = set()
    for path in VALID:
        for document in load_all(path.read_text()):
            executors = (document or {}).get("deploymentSpec", {}).get("executors", {})
            for executor in executors.values():
                command = executor.get("container", {}).get("command", [])
                if "kfp.dsl.executor_main" in str(command) and command[0] == "sh":
                    known = bootstrap_of([*command, *executor["container"].get("args", [])])
                    unknown |= {path.name} if known is None else set()
    assert unknown == {"component_with_pip_install_in_venv.yaml"}


@pytest.mark.parametrize(
    ("requirement", "there"),
    [
        ("pytest", True),
        ("PyTest", True),
        ("pytest==0.0.1", False),
        ("no-such-package", False),
        ("pytest[dev]", False),
    ],
)
def test_what_is_installed_is_looked_up(requirement: str, there: bool) -> None:
    assert are_there([requirement]) is there


def a_launch(tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {
        "paths": ["/minio/b/task", "/tmp/kfp/outputs"],
        "uris": {"minio://b/task": "/minio/b/task"},
        "outputFile": "/minio/b/task/output_metadata.json",
        "artifacts": {"model": [{"uri": "minio://b/task/model", "path": "/minio/b/task/model"}]},
        **more,
    }


def test_paths_and_uris_that_are_elsewhere_are_told_to_the_program(tmp_path: Path) -> None:
    moves = Moves(a_launch(tmp_path), ["/data/7", "/data/7/.parameters"])
    told = moves.there('{"uri":"minio://b/task/model","outputFile":"/tmp/kfp/outputs/x"} /minio/b/task2 a/minio/b/task')
    assert told == '{"uri":"/data/7/model","outputFile":"/data/7/.parameters/x"} /minio/b/task2 a/minio/b/task'
    assert moves.uri("/data/7/model") == "minio://b/task/model"
    assert moves.uri("s3://other") == "s3://other"


def test_nothing_moves_where_volumes_are_at_their_paths(tmp_path: Path) -> None:
    launch = a_launch(tmp_path)
    assert Moves(launch, launch["paths"]).there("minio://b/task /minio/b/task") == "minio://b/task /minio/b/task"


def test_what_lies_elsewhere_is_put_where_it_was_announced(tmp_path: Path) -> None:
    place, custom = tmp_path / "task", tmp_path / "custom"
    place.mkdir()
    custom.write_text("weights")
    written = {"artifacts": {"model": {"artifacts": [{"uri": f"{place}/model", "custom_path": str(custom)}]}}}
    (place / "output_metadata.json").write_text(json.dumps(written))
    launch = a_launch(tmp_path)
    finish(launch, Moves(launch, [str(place), str(place / ".parameters")]))
    assert (place / "model").read_text() == "weights"
    output = json.loads((place / "output_metadata.json").read_text())
    assert output["artifacts"]["model"]["artifacts"][0]["uri"] == "minio://b/task/model"
