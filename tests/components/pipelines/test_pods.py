"""What tasks ask for is in their pods: all that kfp-kubernetes knows, artifacts in files and in object stores.

`asks_for_everything.yaml` is what kfp-kubernetes 2.17.3 makes of a task that asks for all it knows.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flowdeck.components.pipelines.engine.instructions import StartPod
from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.ir.document import parse
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.plan.parameters import run_parameters
from flowdeck.components.pipelines.runner.carrying import Carrying
from flowdeck.components.pipelines.runner.pods import (
    PACKAGES_ANNOTATION,
    PULL_PATIENCE_S,
    Lack,
    Place,
    failure_of,
    lack_of,
    make,
    root_of,
)
from flowdeck.components.pipelines.runner.providers import Provider
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time, parse_time
from flowdeck.kube.yaml_text import load_all
from tests.components.pipelines.executor import Executor
from tests.components.pipelines.makers import a_run
from tests.pipelines.functions import command_of

HERE = Path(__file__).parent
ROOT = "/minio/mlpipeline/runs/p/r/t/u"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_start(**changes: Any) -> StartPod:
    given: dict[str, Any] = {
        "task": "t-1", "attempt": 1, "retry_index": 0, "pod_name": "p-1", "image": "alpine:3", "command": ["echo"],
        "args": ["$(HOME) $$"], "env": [], "resources": {}, "platform": {}, "constants": {},
        "executor_input": {"inputs": {}, "outputs": {"outputFile": f"{ROOT}/output_metadata.json"}},
    }  # fmt: skip
    return StartPod(**{**given, **changes})


def in_files(start: StartPod, *inputs: str) -> Place:
    return Place("run-1", "default", "runner", folder="/store", files=frozenset({root_of(start), *inputs}))


def spec_of(start: StartPod, place: Place | None = None) -> Tree:
    spec: Tree = make(start, place or in_files(start)).pod["spec"]
    return spec


def test_all_that_kfp_kubernetes_knows_is_asked_for() -> None:
    plan = compile_plan(parse((HERE / "asks_for_everything.yaml").read_text()))
    state = RunState(a_run(run_parameters(plan, {})), plan)
    executor = Executor(state, lambda label, execution, inputs: {})
    executor.start().run()
    (start,) = executor.of(StartPod)
    pod = make(start, in_files(start)).pod
    (expected,) = load_all((HERE / "asks_for_everything_pod.yaml").read_text())
    pod["metadata"].pop("name")
    assert without_what_every_pod_has(pod) == expected


@pytest.mark.parametrize(
    ("name", "resource", "node"),
    [
        ("example.com/fast", "example.com/fast", None),
        ("NVIDIA_TESLA_T4", "nvidia.com/gpu", {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}),
    ],
)
def test_a_kind_of_gpu_is_a_resource_and_the_nodes_that_have_it(name: str, resource: str, node: Tree | None) -> None:
    spec = spec_of(a_start(resources={"acceleratorType": name, "acceleratorCount": "2"}))
    assert spec["containers"][0]["resources"] == {"limits": {resource: "2"}}
    assert spec.get("nodeSelector") == node


def without_what_every_pod_has(pod: Tree) -> Tree:
    """Without artifacts, the run and the task."""
    (main,) = pod["spec"]["containers"]
    main["env"] = [each for each in main["env"] if not each["name"].startswith("KFP_")]
    for owner, key in ((main, "volumeMounts"), (pod["spec"], "volumes")):
        owner[key] = [each for each in owner[key] if each["name"] != "kfp-artifacts"]
    for key in ("labels", "annotations"):
        kept = {name: value for name, value in pod["metadata"][key].items() if "/" not in name}
        pod["metadata"][key] = kept
    return pod


@pytest.mark.parametrize(
    ("asked", "where", "expected"),
    [
        pytest.param(
            {"podAffinity": [{"matchPodLabels": {"app": "a"}, "topologyKey": "zone", "namespaces": ["x"]}]},
            "affinity",
            {
                "podAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {"labelSelector": {"matchLabels": {"app": "a"}}, "topologyKey": "zone", "namespaces": ["x"]}
                    ]
                }
            },
            id="near-pods",
        ),
        pytest.param(
            {"podAffinity": [{"matchPodLabels": {"app": "a"}, "topologyKey": "zone", "weight": 5, "anti": True}]},
            "affinity",
            {
                "podAntiAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 5,
                            "podAffinityTerm": {
                                "labelSelector": {"matchLabels": {"app": "a"}}, "topologyKey": "zone",
                            },
                        }
                    ]
                }
            },
            id="rather-away-from-pods",
        ),
        pytest.param(
            {"nodeAffinity": [{"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}]},
            "affinity",
            {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
            id="nodes-as-kubernetes-says-it",
        ),
        pytest.param(
            {"initContainers": [{"name": "side", "image": "a", "restartPolicy": "Always"}]},
            "initContainers",
            [{"name": "side", "image": "a", "restartPolicy": "Always"}],
            id="sidecar",
        ),
    ],
)  # fmt: skip
def test_fields_of_the_document_that_the_sdk_has_no_function_for(asked: Tree, where: str, expected: Any) -> None:
    assert spec_of(a_start(platform=asked))[where] == expected


def test_shared_memory_is_a_volume_in_memory() -> None:
    spec = spec_of(a_start(platform={"enabledSharedMemory": {"volumeName": "shm", "size": "1Gi"}}))
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}} in spec["volumes"]
    assert {"name": "shm", "mountPath": "/dev/shm"} in spec["containers"][0]["volumeMounts"]


def test_one_claim_at_two_paths_is_one_volume_and_names_never_clash() -> None:
    asked = {
        "pvcMount": [{"pvcName": "a", "mountPath": "/x"}, {"pvcName": "a", "mountPath": "/y", "subPath": "s"}],
        "secretAsVolume": [{"secretName": "a", "mountPath": "/z"}],
    }
    spec = spec_of(a_start(platform=asked))
    names = [volume["name"] for volume in spec["volumes"] if not volume["name"].startswith("kfp-")]
    assert len(names) == len(set(names)) == 2
    mounted = [
        each["name"] for each in spec["containers"][0]["volumeMounts"] if each["mountPath"] in ("/x", "/y", "/z")
    ]
    assert mounted == ["a", "a", names[1]]


def test_a_command_is_no_template_of_kubernetes() -> None:
    assert spec_of(a_start())["containers"][0]["command"] == ["echo", "$$(HOME) $$$$"]


def test_a_component_may_hand_its_configuration_on() -> None:
    start = a_start(
        command=["train", "{{$.inputs.parameters['config']}}"],
        args=[],
        env=[("A", "b")],
        resources={"cpuLimit": "2"},
        platform={"tolerations": [{"key": "gpu"}]},
        passthroughs=[{"field": "RESOURCES"}, {"field": "ENV", "applyToTask": True}],
        task_config_inputs=["config"],
    )
    spec = spec_of(start)
    main = spec["containers"][0]
    assert main["command"][1] == '{"resources":{"limits":{"cpu":"2"}},"env":[{"name":"A","value":"b"}]}'
    assert "resources" not in main
    assert {"name": "A", "value": "b"} in main["env"]
    assert spec["tolerations"] == [{"key": "gpu"}]


# ---- artifacts -----------------------------------------------------------------------------------------------------


def test_artifacts_that_are_files_are_mounted_where_programs_look_for_them() -> None:
    reads = {"artifacts": {"a": {"artifacts": [{"uri": "minio://mlpipeline/x"}, {"uri": "minio://mlpipeline/gone"}]}}}
    start = a_start(executor_input={"inputs": reads, "outputs": {"outputFile": f"{ROOT}/output_metadata.json"}})
    spec = spec_of(start, in_files(start, "minio://mlpipeline/x"))
    below = ROOT.removeprefix("/minio/")
    assert spec["containers"][0]["volumeMounts"] == [
        {"name": "kfp-artifacts", "mountPath": ROOT, "subPath": below},
        {"name": "kfp-artifacts", "mountPath": "/tmp/kfp/outputs", "subPath": f"{below}/.parameters"},
        {"name": "kfp-artifacts", "mountPath": "/minio/mlpipeline/x", "subPath": "mlpipeline/x", "readOnly": True},
    ]
    assert "initContainers" not in spec


def test_what_is_in_an_object_store_is_carried_and_the_program_sees_no_credentials() -> None:
    start = a_start(
        executor_input={"inputs": {}, "outputs": {"outputFile": "/s3/bucket/r/t/output_metadata.json"}},
        platform={"securityContext": {"runAsUser": 1000}},
    )
    provider = Provider({"endpoint": "http://host"}, "keys", {"access_key_id": "id"})
    carrying = Carrying("flowdeck:1", "s3://bucket/r/t", True, {"s3://bucket": provider}, ("s3",))
    spec = spec_of(start, Place("run-1", "default", "runner", carrying=carrying))
    stager, bringer = spec["initContainers"]
    assert (stager["name"], bringer["name"], bringer["restartPolicy"]) == ("kfp-stager", "kfp-bringer", "Always")
    assert stager["command"][-2:] == ["s3://bucket/r/t", "/kfp-carried"]
    secret = {"name": "keys", "key": "id"}
    variable = {"name": "KFP_PROVIDER_0_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": secret}}
    assert variable in stager["env"]
    assert variable in bringer["env"]
    assert stager["securityContext"] == {"runAsUser": 1000}
    (main,) = spec["containers"]
    assert "secretKeyRef" not in str(main)
    assert {each["mountPath"] for each in main["volumeMounts"]} == {"/s3", "/tmp/kfp/outputs"}
    assert "privileged" not in str(spec)


def test_a_model_in_an_image_is_a_volume() -> None:
    reads = {"artifacts": {"m": {"artifacts": [{"uri": "oci://ghcr.io/org/model:1"}]}}}
    start = a_start(executor_input={"inputs": reads, "outputs": {"outputFile": f"{ROOT}/output_metadata.json"}})
    spec = spec_of(start)
    assert {"name": "kfp-oci-0", "image": {"reference": "ghcr.io/org/model:1"}} in spec["volumes"]
    assert {"name": "kfp-oci-0", "mountPath": "/oci/ghcr.io_org_model:1"} in spec["containers"][0]["volumeMounts"]


def test_a_function_has_the_launcher_and_says_what_it_will_install() -> None:
    made = make(start := a_start(command=command_of("f", "def f(): pass", ["pandas>=2"]), args=[]), in_files(start))
    assert made.pod["spec"]["containers"][0]["command"][:3] == ["python3", "/kfp-launcher/launcher.py", ROOT]
    said = made.pod["metadata"]["annotations"][PACKAGES_ANNOTATION]
    assert said == '{"packages": ["pandas>=2"], "bare": ["kfp==2.17.3"]}'
    assert made.launch["command"][0] == "sh"


# ---- what pods say -------------------------------------------------------------------------------------------------


def a_pod(**status: Any) -> Tree:
    return {"metadata": {"name": "p-1", "creationTimestamp": format_time(NOW)}, "status": status}


def ended(name: str, code: int, reason: str, message: str = "") -> Tree:
    return {"name": name, "state": {"terminated": {"exitCode": code, "reason": reason, "message": message}}}


@pytest.mark.parametrize(
    ("pod", "told"),
    [
        pytest.param(
            a_pod(containerStatuses=[ended("main", 1, "Error")]),
            "pod p-1 failed with exit code 1 (Error); its log says more",
            id="program",
        ),
        pytest.param(
            a_pod(containerStatuses=[ended("main", 137, "OOMKilled")]),
            "pod p-1 failed with exit code 137 (OOMKilled); its log says more",
            id="memory",
        ),
        pytest.param(
            a_pod(reason="DeadlineExceeded", message="too long", containerStatuses=[ended("main", 143, "Error")]),
            "pod p-1 failed with exit code 143 (Error) (DeadlineExceeded: too long); its log says more",
            id="deadline",
        ),
        pytest.param(a_pod(reason="Evicted", message="no room"), "pod p-1 failed: Evicted: no room", id="evicted"),
        pytest.param(
            a_pod(initContainerStatuses=[ended("kfp-stager", 1, "Error", "no bucket")]),
            "pod p-1 failed before its program: kfp-stager failed with exit code 1 (Error): no bucket",
            id="inputs",
        ),
    ],
)
def test_why_a_pod_failed_is_told(pod: Tree, told: str) -> None:
    assert failure_of(pod) == told


@pytest.mark.parametrize(
    ("reason", "waits_s"),
    [("CreateContainerConfigError", 0), ("InvalidImageName", 0), ("ErrImageNeverPull", 0),
     ("ErrImagePull", PULL_PATIENCE_S), ("ImagePullBackOff", PULL_PATIENCE_S)],
)  # fmt: skip
def test_a_pod_that_does_not_start_says_why_and_is_given_up_some_time(reason: str, waits_s: int) -> None:
    pod = a_pod(containerStatuses=[{"name": "main", "state": {"waiting": {"reason": reason, "message": "why"}}}])
    made_at = parse_time(pod["metadata"]["creationTimestamp"]).timestamp()
    assert lack_of(pod) == Lack(f"{reason}: why", made_at + waits_s if waits_s else 0)


def test_a_pod_that_is_just_starting_lacks_nothing() -> None:
    pod = a_pod(containerStatuses=[{"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}])
    assert lack_of(pod) is None


def test_a_pod_that_fits_nowhere_waits_as_long_as_it_takes() -> None:
    why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}
    assert lack_of(a_pod(conditions=[why])) == Lack("Unschedulable: 0/1 nodes are available")
