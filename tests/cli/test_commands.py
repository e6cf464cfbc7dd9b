"""What people type, and what they see, on a running platform."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowdeck.cli.cluster import read_objects
from flowdeck.cli.refusal import Refusal
from flowdeck.testing.platform import RunningPlatform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(180)]

JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: hello}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "python:3.11", command: [python, -c, "print('hello from the pod')"]}]
"""

JOB_SET = """
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata: {name: hello}
spec:
  replicatedJobs:
  - name: node
    template:
      spec:
        template:
          spec:
            restartPolicy: Never
            containers: [{name: node, image: "python:3.11", command: [python, -c, "print('hello from the pod')"]}]
"""


def run(*arguments: str, code: int = 0, text: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "flowdeck.cli.main", *arguments], capture_output=True, text=True, input=text
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def run_until(told: str, *arguments: str, within_s: float = 60) -> None:
    """Again and again until the output has that in it; "": until there is none."""
    deadline = time.monotonic() + within_s
    while not (told in (seen := run(*arguments)) if told else (seen := run(*arguments)) == ""):
        assert time.monotonic() < deadline, seen


@pytest.fixture
def data(flowdeck: RunningPlatform) -> list[str]:
    return ["--data", str(flowdeck.data)]


@pytest.fixture
def namespace(data: list[str], request: pytest.FixtureRequest) -> list[str]:
    name = f"cli-{abs(hash(request.node.name)) % 10**8}"
    obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    run("apply", "-f", "-", *data, text=json.dumps(obj))
    return ["-n", name]


def test_status_tells_scripts_what_they_need(flowdeck: RunningPlatform, data: list[str]) -> None:
    facts = json.loads(run("status", "-o", "json", *data))
    assert facts["ready"] is True
    assert facts["server"] == flowdeck.server
    assert facts["kubeconfig"] == str(flowdeck.kubeconfig)
    assert set(facts["pids"]) == {"api", "node"}
    assert facts["components"] == ["jobset", "pipelines", "training"]


def test_a_job_is_applied_waited_for_read_and_deleted(data: list[str], namespace: list[str]) -> None:
    assert "jobs.batch/hello applied" in run("apply", "-f", "-", *data, *namespace, text=JOB)
    run("wait", "job", "hello", "--for", "condition=Complete", "--timeout", "100", *data, *namespace)
    assert "1/1" in run("get", "jobs", *data, *namespace)
    assert "1/1" in run("get", "jobs.batch/hello", *data, *namespace), "as apply prints it"
    assert json.loads(run("get", "job", "hello", "-o", "json", *data, *namespace))["kind"] == "Job"
    pod = run("get", "po", "-l", "job-name=hello", "-o", "name", *data, *namespace).strip().removeprefix("pods/")
    assert "hello from the pod" in run("logs", pod, "--follow", *data, *namespace)
    assert "hello from the pod" in run("logs", "job/hello", "--follow", *data, *namespace), "the first of its pods"
    assert "serviceaccount/default has no pods" in run("logs", "serviceaccount/default", *data, *namespace, code=1)
    assert 'jobs.batch "hello" deleted' in run("delete", "job", "hello", *data, *namespace)
    run("wait", "pod", pod, "--for", "deleted", "--timeout", "100", *data, *namespace)
    assert "hello from the pod" in run("logs", pod, "-c", "main", *data, *namespace), "kept after the pod is gone"


def test_what_is_not_there_is_refused_in_words(data: list[str], namespace: list[str]) -> None:
    assert 'pods "nobody" not found' in run("get", "pod", "nobody", *data, *namespace, code=1)
    assert "doesn't have a resource type" in run("get", "dragons", *data, code=1)
    assert 'pods "nobody" not found' in run("logs", "nobody", *data, *namespace, code=1)
    assert "does not exist" in run("apply", "-f", "/nowhere.yaml", *data, code=1)
    assert "is not fetched" in run("apply", "-f", "https://example.com/x.yaml", *data, code=1)
    unknown = "{apiVersion: x/v1, kind: Y, metadata: {name: z}}"
    assert "no matches for kind" in run("apply", "-f", "-", *data, code=1, text=unknown)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"- a\n- b\n", "every object needs apiVersion and kind"),
        (b"apiVersion: v1\nkind: List\nitems: 3\n", "a List has no metadata.name"),
        (b"apiVersion: v1\nkind: Pod\n", "a Pod has no metadata.name"),
        (b"metadata: {name: [}\n", "is not YAML"),
        (b"\xff\xfe\x00", "cannot read"),
        (b"", "has no objects in it"),
    ],
)
def test_a_file_that_is_none_is_refused_in_words(tmp_path: Path, text: bytes, told: str) -> None:
    (tmp_path / "bad.yaml").write_bytes(text)
    with pytest.raises(Refusal, match=told):
        read_objects(str(tmp_path / "bad.yaml"))


def test_following_the_log_of_a_job_waits_for_its_pod_to_start(data: list[str], namespace: list[str]) -> None:
    run("apply", "-f", "-", *data, *namespace, text=JOB_SET)
    assert "hello from the pod" in run("logs", "jobset/hello", "--follow", *data, *namespace)
    assert "not found" in run("logs", "jobset/nobody", "--follow", *data, *namespace, code=1)


FAILING = """
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {name: fails}
spec:
  runtimeRef: {name: xgboost-distributed}
  trainer: {image: "python:3.11", command: [python, -c, "raise SystemExit('a mistake of mine')"]}
"""


def test_a_job_that_has_failed_still_tells_what_its_program_printed(data: list[str], namespace: list[str]) -> None:
    run("apply", "-f", "-", *data, *namespace, text=FAILING)
    told = run("wait", "trainjob/fails", "--for", "Complete", "--timeout", "100", *data, *namespace, code=1)
    assert 'trainjobs.trainer.kubeflow.org "fails" failed instead of becoming Complete: FailedJobs: ' in told
    run_until("", "get", "pods", "-o", "name", *data, *namespace)
    assert "a mistake of mine" in run("logs", "trainjob/fails", "--follow", *data, *namespace)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"containers": [{"name": "c", "image": "ghcr.io/nobody/nothing:v1"}]}, "does not know the image"),
        ({"nodeSelector": {"a": "b"}, "containers": [{"name": "c", "image": "busybox"}]}, "0/1 nodes are available"),
    ],
)
def test_the_log_of_a_pod_that_cannot_start_says_why(
    data: list[str], namespace: list[str], spec: dict[str, object], why: str
) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stuck"}, "spec": spec}
    run("apply", "-f", "-", *data, *namespace, text=json.dumps(pod))
    run_until(why, "get", "pod", "stuck", "-o", "json", *data, *namespace)
    assert why in run("logs", "stuck", *data, *namespace, code=1)


def test_what_is_refused_of_one_object_keeps_nobody_from_the_others(data: list[str], namespace: list[str]) -> None:
    def config(name: str) -> dict[str, object]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}

    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [config("Bad"), config("good")]})
    told = run("apply", "-f", "-", *data, *namespace, code=1, text=text)
    assert "configmaps/good applied" in told
    assert "configmaps/Bad: Error from server (Invalid)" in told
    told = run("delete", "-f", "-", *data, *namespace, code=1, text=text)
    assert 'configmaps "good" deleted' in told
    assert "configmaps/Bad: Error from server (NotFound)" in told


def test_nothing_is_installed_on_a_platform_that_has_it_all(flowdeck: RunningPlatform) -> None:
    assert "runs training already" in run("install", "--kubeconfig", str(flowdeck.kubeconfig), code=1)


def test_a_folder_in_use_is_refused(flowdeck: RunningPlatform, data: list[str]) -> None:
    told = run("up", "--port", "0", "--detach", *data, code=1)
    assert f"a platform is running on {flowdeck.data} already" in told
    assert "a platform is running on" in run("up", "--port", "0", *data, code=1)


def test_without_a_platform_commands_say_how_to_get_one(tmp_path: Path) -> None:
    nothing = ["--data", str(tmp_path / "nothing")]
    assert "start one with `flowdeck up`" in run("get", "pods", *nothing, code=1)
    assert "not running" in run("status", *nothing, code=1)
    assert json.loads(run("status", "-o", "json", *nothing, code=1))["ready"] is False
    assert "no platform is running" in run("down", *nothing, code=1)
    assert "no platform is running" in run("down", "--pods", *nothing, code=1), "a wrong folder is no success"


def test_images_are_added_listed_and_removed(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path)]
    assert "known now" in run("image", "add", "example.com/mine:v1", "--package", "numpy", *data)
    listed = json.loads(run("image", "list", "-o", "json", *data))
    assert listed[0]["references"] == ["example.com/mine:v1"]
    assert listed[0]["origin"] == "user"
    run("image", "remove", "example.com/mine:v1", *data)
    assert "not in your table" in run("image", "remove", "example.com/mine:v1", *data, code=1)
    assert "say what the image is" in run("image", "add", "example.com/mine:v1", *data, code=1)


def test_an_archive_is_found_from_everywhere_and_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["image", "add", "mine:v1", "--archive", "image.tar", "--data", str(tmp_path / "data")]
    assert "there is no archive" in run(*words, code=1)
    (tmp_path / "image.tar").touch()
    run(*words)
    listed = json.loads(run("image", "list", "-o", "json", "--data", str(tmp_path / "data")))
    assert listed[0]["is"] == str(tmp_path / "image.tar")


def test_environments_that_nobody_uses_are_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    old = tmp_path / "flowdeck" / "environments" / ("a" * 64)
    (old / "bin").mkdir(parents=True)
    (old / "bin" / "python").touch()
    mark = {"python": "3.11", "packages": ["torch"], "sources": {}, "installed": {}, "sizeBytes": 1 << 20}
    (old / "flowdeck.json").write_text(json.dumps(mark))
    assert "0 environments" in run("image", "prune", "--data", str(tmp_path))
    os.utime(old / "flowdeck.json", (0, 0))
    assert "removed Python 3.11, torch (1 MiB)" in run("image", "prune", "--data", str(tmp_path))
    assert not old.exists()


def test_versions_are_told() -> None:
    assert json.loads(run("version", "-o", "json"))["kubernetes"] == "v1.36.2"


@pytest.mark.parametrize(
    "command",
    ["up", "down", "status", "demo", "apply", "get", "delete", "logs", "wait", "node", "version", "image"],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    names = [command] if command != "image" else [command, "add"]
    assert "Example: flowdeck" in run(*names, "--help")
