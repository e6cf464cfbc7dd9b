"""`flowdeck manifests`, `install`, `upgrade`, `uninstall`, `operator` as people call them; no cluster is needed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flowdeck.kube import yaml_text


def run(*arguments: str, code: int = 0) -> str:
    """What a command says; fails when it ends otherwise."""
    command = [sys.executable, "-m", "flowdeck.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.mark.parametrize("command", ["manifests", "install", "upgrade", "uninstall", "operator"])
def test_help_has_an_example(command: str) -> None:
    assert f"Example: flowdeck {command}" in run(command, "--help")


def test_manifests_come_as_yaml_or_as_a_list_of_the_same_objects() -> None:
    text, listed = run("manifests"), json.loads(run("manifests", "-o", "json"))
    assert list(yaml_text.load_all(text)) == listed["items"]
    assert run("manifests") == text


def test_components_settings_and_image_are_chosen_by_options(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("leader: {lease_s: 20}\n")
    options = ["--settings", str(tmp_path / "settings.yaml"), "--disable", "jobset"]
    items = json.loads(run("manifests", *options, "--image", "me/flowdeck@sha256:0", "-o", "json"))["items"]
    found = {(item["kind"], item["metadata"]["name"]): item for item in items}
    settings = found["ConfigMap", "flowdeck"]["data"]["settings.yaml"]
    assert yaml_text.load(settings) == {"disabled": ["jobset"], "leader": {"lease_s": 20}}
    (container,) = found["Deployment", "flowdeck"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "me/flowdeck@sha256:0"
    assert ("CustomResourceDefinition", "jobsets.jobset.x-k8s.io") not in found


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--image", "me/flowdeck"), "image me/flowdeck may change by itself: give a version's tag or a digest"),
        (("--image", "localhost:5000/flowdeck:latest"), "may change by itself"),
        (("--disable", "typo"), "there is no component 'typo'; there are"),
        (("--settings", "/no/such/file"), "cannot read /no/such/file"),
        (("-o", "xml"), "unknown output 'xml': use yaml or json"),
    ],
)
def test_what_cannot_be_is_refused_in_words(arguments: tuple[str, ...], told: str) -> None:
    assert told in run("manifests", *arguments, code=1)


def test_wrong_settings_are_told_with_file_and_place(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("webhook_port: nine\n")
    for command in ("manifests", "operator"):
        more = ["--kubeconfig", _kubeconfig(tmp_path)] if command == "operator" else []
        told = run(command, "--settings", str(file), *more, code=1)
        assert f"{file}: webhook_port: must be of type int, not 'nine'" in told


def test_a_cluster_must_be_named_and_be_there(tmp_path: Path) -> None:
    assert "say which cluster with --kubeconfig" in run("install", "--kubeconfig", str(tmp_path / "none"), code=1)
    for command in (["install"], ["upgrade"], ["uninstall", "-y"]):
        assert "cannot reach https://127.0.0.1:1" in run(*command, "--kubeconfig", _kubeconfig(tmp_path), code=1)


def test_the_operator_needs_a_cluster_around_it_or_a_kubeconfig() -> None:
    assert "not inside a cluster" in run("operator", code=1)


def _kubeconfig(folder: Path) -> str:
    """Of a cluster that is not there."""
    tree = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(tree))
    return str(folder / "kubeconfig")
