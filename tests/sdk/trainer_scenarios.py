"""What `test_trainer_sdk.py` runs inside the SDK's environment: one function a scenario, named on the command line."""

import logging
import sys
import time
from typing import Any

from kubeflow.trainer import (
    BuiltinTrainer,
    CustomTrainer,
    CustomTrainerContainer,
    DataCacheInitializer,
    DataFormat,
    DataType,
    HuggingFaceDatasetInitializer,
    HuggingFaceModelInitializer,
    Initializer,
    LoraConfig,
    Loss,
    S3DatasetInitializer,
    S3ModelInitializer,
    TorchTuneConfig,
    TorchTuneInstructDataset,
    TrainerClient,
)
from kubeflow.trainer.options import (
    ActiveDeadlineSeconds,
    Annotations,
    ContainerPatch,
    JobSetSpecPatch,
    JobSetTemplatePatch,
    JobSpecPatch,
    JobTemplatePatch,
    Labels,
    Name,
    PodSpecPatch,
    PodTemplatePatch,
    ReplicatedJobPatch,
    RuntimePatch,
    TrainerArgs,
    TrainerCommand,
    TrainingRuntimeSpecPatch,
)
from kubernetes import client, config

GROUP, VERSION = "trainer.kubeflow.org", "v1alpha1"
IMAGE = f"python:{sys.version_info.major}.{sys.version_info.minor}"
SMALL = {"cpu": 0.1, "memory": "64Mi"}


def objects(plural: str, group: str = GROUP, version: str = VERSION) -> Any:
    """The raw objects behind the SDK."""
    config.load_kube_config()
    return client.CustomObjectsApi(), (group, version, "default", plural)


def stored(name: str) -> dict[str, Any]:
    api, where = objects("trainjobs")
    return api.get_namespaced_custom_object(*where, name)


def job_set(name: str) -> dict[str, Any]:
    api, where = objects("jobsets", "jobset.x-k8s.io", "v1alpha2")
    for _ in range(200):
        try:
            return api.get_namespaced_custom_object(*where, name)
        except client.ApiException as error:
            if error.status != 404:
                raise
            time.sleep(0.05)
    raise AssertionError(f"no JobSet {name}")


def container_of(name: str, job: str, container: str) -> dict[str, Any]:
    for replicated in job_set(name)["spec"]["replicatedJobs"]:
        if replicated["name"] == job:
            for item in replicated["template"]["spec"]["template"]["spec"]["containers"]:
                if item["name"] == container:
                    return item
    raise AssertionError(f"no container {container} in {job} of {name}")


def env_of(name: str, job: str, container: str) -> dict[str, str]:
    return {item["name"]: item.get("value") for item in container_of(name, job, container)["env"]}


def own_runtime(trainer: TrainerClient) -> Any:
    """A runtime of our own that runs plain Python, without retries."""
    api, where = objects("trainingruntimes")
    pod = {"containers": [{"name": "node", "image": IMAGE}], "restartPolicy": "Never"}
    job = {
        "name": "node",
        "template": {
            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
            "spec": {"backoffLimit": 0, "template": {"spec": pod}},
        },
    }
    runtime = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainingRuntime",
        "metadata": {"name": "plain-python", "labels": {"trainer.kubeflow.org/framework": "plain"}},
        "spec": {"mlPolicy": {"numNodes": 1}, "template": {"spec": {"replicatedJobs": [job]}}},
    }
    try:
        api.create_namespaced_custom_object(*where, runtime)
    except client.ApiException as error:
        if error.status != 409:
            raise
    return trainer.get_runtime("plain-python")


def hello(who: str) -> None:
    import os
    import time

    print(f"hello {who} from {os.environ['JOB_COMPLETION_INDEX']}", flush=True)
    time.sleep(2)
    print("bye", flush=True)


def failing() -> None:
    raise SystemExit("this was not to be")


# ---- objects only ---------------------------------------------------------------------------------------------------


def constructor_is_content_with_the_version() -> None:
    told: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    ear = Ear(level=logging.WARNING)
    logging.getLogger().addHandler(ear)
    logging.getLogger("kubeflow").addHandler(ear)
    TrainerClient()
    assert not told, told


def runtimes_are_listed_and_read() -> None:
    trainer = TrainerClient()
    found = {runtime.name: runtime for runtime in trainer.list_runtimes()}
    frameworks = {name: runtime.trainer.framework for name, runtime in found.items()}
    assert (
        frameworks.items()
        >= {
            "torch-distributed": "torch",
            "jax-distributed": "jax",
            "xgboost-distributed": "xgboost",
            "deepspeed-distributed": "deepspeed",
            "mlx-distributed": "mlx",
            "torchtune-llama3.2-1b": "torchtune",
            "torchtune-llama3.2-3b": "torchtune",
            "torchtune-qwen2.5-1.5b": "torchtune",
        }.items()
    ), frameworks
    runtime = trainer.get_runtime("torchtune-llama3.2-1b")
    assert (runtime.trainer.device, runtime.trainer.device_count) == ("gpu", "2.0"), runtime
    assert own_runtime(trainer).kind.value == "TrainingRuntime"


def no_trainer_at_all() -> None:
    name = TrainerClient().train()
    assert "trainer" not in stored(name)["spec"]
    assert env_of(name, "node", "node")["PET_NNODES"] == "1"


def every_option_arrives() -> None:
    trainer = TrainerClient()
    pod = PodSpecPatch(
        node_selector={"pool": "a"},
        tolerations=[{"key": "gpu", "operator": "Exists"}],
        service_account_name="default",
        volumes=[{"name": "data", "emptyDir": {}}],
        containers=[ContainerPatch(name="node", volume_mounts=[{"name": "data", "mountPath": "/data"}])],
    )
    job = JobTemplatePatch(
        metadata={"labels": {"at": "job"}},
        spec=JobSpecPatch(template=PodTemplatePatch(metadata={"labels": {"at": "pod"}}, spec=pod)),
    )
    patch = TrainingRuntimeSpecPatch(
        template=JobSetTemplatePatch(
            metadata={"labels": {"at": "set"}},
            spec=JobSetSpecPatch(replicated_jobs=[ReplicatedJobPatch(name="node", template=job)]),
        )
    )
    name = trainer.train(
        runtime="torch-distributed",
        trainer=CustomTrainerContainer(image=IMAGE, num_nodes=2, resources_per_node=SMALL, env={"A": "b"}),
        options=[
            Name("my-name"),
            Labels({"team": "x"}),
            Annotations({"note": "y"}),
            ActiveDeadlineSeconds(600),
            TrainerCommand(["python", "-c"]),
            TrainerArgs(["print(1)"]),
            RuntimePatch(training_runtime_spec=patch),
        ],
    )
    assert name == "my-name"
    tree = stored(name)
    assert tree["metadata"]["labels"]["team"] == "x"
    assert tree["metadata"]["annotations"]["note"] == "y"
    assert tree["spec"]["activeDeadlineSeconds"] == 600
    assert tree["spec"]["trainer"]["resourcesPerNode"]["limits"] == {"cpu": "100m", "memory": "64Mi"}
    (applied,) = tree["spec"]["runtimePatches"]
    assert applied["manager"] == "trainer.kubeflow.org/kubeflow-sdk"
    assert applied["time"]
    (replicated,) = job_set(name)["spec"]["replicatedJobs"]
    assert job_set(name)["metadata"]["labels"]["at"] == "set"
    assert replicated["template"]["metadata"]["labels"]["at"] == "job"
    template = replicated["template"]["spec"]["template"]
    assert template["metadata"]["labels"]["at"] == "pod"
    assert template["spec"]["nodeSelector"] == {"pool": "a"}
    assert template["spec"]["containers"][0]["volumeMounts"][0]["mountPath"] == "/data"
    assert template["spec"]["containers"][0]["command"] == ["python", "-c"]
    assert template["spec"]["containers"][0]["args"] == ["print(1)"]
    assert env_of(name, "node", "node").items() >= {"A": "b", "PET_NNODES": "2"}.items()


def every_initializer_arrives() -> None:
    trainer = TrainerClient()
    runtime = trainer.get_runtime("torchtune-llama3.2-1b")
    keys = {"endpoint": "http://s3:9000", "access_key_id": "id", "secret_access_key": "secret", "region": "r"}
    for dataset, model, uris in (
        (
            HuggingFaceDatasetInitializer(storage_uri="hf://a/b", access_token="t"),
            HuggingFaceModelInitializer(storage_uri="hf://c/d", access_token="t"),
            ("hf://a/b", "hf://c/d"),
        ),
        (
            S3DatasetInitializer(storage_uri="s3://bucket/data", **keys),
            S3ModelInitializer(storage_uri="s3://bucket/model", **keys),
            ("s3://bucket/data", "s3://bucket/model"),
        ),
        (
            DataCacheInitializer(storage_uri="cache://schema/table", metadata_loc="s3://x", num_data_nodes=2),
            None,
            ("cache://schema/table", "hf://meta-llama/Llama-3.2-1B-Instruct"),
        ),
    ):
        name = trainer.train(
            runtime=runtime,
            initializer=Initializer(dataset=dataset, model=model),
            trainer=BuiltinTrainer(config=TorchTuneConfig(resources_per_node={"gpu": 1})),
        )
        first = env_of(name, "dataset-initializer", "dataset-initializer")
        second = env_of(name, "model-initializer", "model-initializer")
        assert (first["STORAGE_URI"], second["STORAGE_URI"]) == uris
        expected = {"hf": {"ACCESS_TOKEN": "t"}, "s3": {"ENDPOINT": "http://s3:9000"}, "cache": {"CLUSTER_SIZE": "3"}}
        assert first.items() >= expected[uris[0].partition(":")[0]].items(), first
        trainer.delete_job(name)


def torchtune_gets_its_recipe() -> None:
    trainer = TrainerClient()
    tune = TorchTuneConfig(
        dtype=DataType.BF16,
        batch_size=4,
        epochs=1,
        loss=Loss.CEWithChunkedOutputLoss,
        dataset_preprocess_config=TorchTuneInstructDataset(source=DataFormat.PARQUET, split="train"),
        resources_per_node={"gpu": 1},
    )
    name = trainer.train(runtime="torchtune-qwen2.5-1.5b", trainer=BuiltinTrainer(config=tune))
    node = container_of(name, "node", "node")
    command = " ".join(node["command"])
    assert command.startswith("tune run full_finetune_single_device --config qwen2_5/1.5B_full_single_device "), command
    assert "tokenizer.merges_file=/workspace/model/merges.txt" in command
    assert {"dtype=bf16", "batch_size=4", "epochs=1"} <= set(node["args"])
    assert {step.name for step in trainer.get_job(name).steps} <= {"dataset-initializer", "model-initializer", "node-0"}
    trainer.delete_job(name)


def lora_arguments_arrive() -> None:
    trainer = TrainerClient()
    tune = TorchTuneConfig(peft_config=LoraConfig(lora_rank=8, lora_alpha=16), resources_per_node={"gpu": 2})
    name = trainer.train(runtime="torchtune-llama3.2-1b", trainer=BuiltinTrainer(config=tune))
    command = container_of(name, "node", "node")["command"]
    assert command[3] == "lora_finetune_distributed", command
    assert command[2] == f"--rdzv_endpoint={name}-node-0-0.{name}:29500"
    trainer.delete_job(name)


def jobs_are_listed_and_deleted() -> None:
    trainer = TrainerClient()
    torch, jax = trainer.get_runtime("torch-distributed"), trainer.get_runtime("jax-distributed")
    one = trainer.train(runtime=torch, trainer=CustomTrainer(func=failing))
    other = trainer.train(runtime=jax, trainer=CustomTrainer(func=failing))
    assert {one, other} <= {job.name for job in trainer.list_jobs()}
    assert other not in {job.name for job in trainer.list_jobs(runtime=torch)}
    assert trainer.get_job(one).status == "Created"
    trainer.delete_job(one)
    trainer.delete_job(other)
    assert not {one, other} & {job.name for job in trainer.list_jobs()}


def errors_are_told() -> None:
    trainer = TrainerClient()
    for action, text in (
        (lambda: trainer.get_runtime("gone"), "not found"),
        (lambda: trainer.get_job("gone"), "not found"),
        (lambda: trainer.delete_job("gone"), "not found"),
        (lambda: trainer.train(options=[Name("a_b")]), "metadata.name must match RFC 1035 DNS label format"),
        (
            lambda: trainer.train(trainer=CustomTrainerContainer(image=IMAGE, env={"PET_NNODES": "1"})),
            "must not have reserved envs",
        ),
    ):
        told = refusal(action)
        assert text in told, told
    trainer.train(options=[Name("twice")])
    assert "already exists" in refusal(lambda: trainer.train(options=[Name("twice")]))


def refusal(action: Any) -> str:
    """What a call was refused with."""
    try:
        action()
    except (RuntimeError, ValueError) as error:
        return f"{error} {error.__cause__}"
    return "nothing was refused"


# ---- with a node ----------------------------------------------------------------------------------------------------


def function_runs_on_two_nodes() -> None:
    trainer = TrainerClient()
    name = trainer.train(
        runtime=own_runtime(trainer),
        trainer=CustomTrainer(func=hello, func_args={"who": "you"}, num_nodes=2, resources_per_node=SMALL),
    )
    assert trainer.wait_for_job_status(name, {"Created", "Running"}, timeout=60, polling_interval=1)
    assert trainer.wait_for_job_status(name, {"Running"}, timeout=120, polling_interval=1).status == "Running"
    job = trainer.wait_for_job_status(name, {"Complete"}, timeout=60, polling_interval=1)
    assert {step.name: (step.status, step.device) for step in job.steps} == {
        "node-0": ("Succeeded", "cpu"),
        "node-1": ("Succeeded", "cpu"),
    }
    for index in (0, 1):
        assert list(trainer.get_job_logs(name, step=f"node-{index}")) == [f"hello you from {index}", "bye"]
    reasons = {event.reason for event in trainer.get_job_events(name)}
    assert {"Pulled", "Started"} <= reasons, reasons  # no "Scheduled": the SDK passes by what kube-scheduler tells
    trainer.delete_job(name)


def logs_are_followed() -> None:
    trainer = TrainerClient()
    name = trainer.train(runtime=own_runtime(trainer), trainer=CustomTrainer(func=hello, func_args={"who": "you"}))
    trainer.wait_for_job_status(name, {"Running"}, timeout=120, polling_interval=1)
    assert list(trainer.get_job_logs(name, follow=True)) == ["hello you from 0", "bye"]
    trainer.wait_for_job_status(name, timeout=30, polling_interval=1)


def container_image_runs() -> None:
    trainer = TrainerClient()
    name = trainer.train(
        runtime=own_runtime(trainer),
        trainer=CustomTrainerContainer(image=IMAGE, env={"WHO": "me"}),
        options=[TrainerCommand(["python", "-c"]), TrainerArgs(["import os; print(os.environ['WHO'])"])],
    )
    trainer.wait_for_job_status(name, timeout=120, polling_interval=1)
    assert list(trainer.get_job_logs(name)) == ["me"]


def failure_is_told() -> None:
    trainer = TrainerClient()
    name = trainer.train(runtime=own_runtime(trainer), trainer=CustomTrainer(func=failing))
    job = trainer.wait_for_job_status(name, {"Failed"}, timeout=120, polling_interval=1)
    assert job.status == "Failed"
    assert "this was not to be" in list(trainer.get_job_logs(name))


def suspended_job_is_created() -> None:
    trainer = TrainerClient()
    name = trainer.train(runtime=own_runtime(trainer), trainer=CustomTrainer(func=hello, func_args={"who": "you"}))
    trainer.wait_for_job_status(name, {"Running"}, timeout=120, polling_interval=1)
    api, where = objects("trainjobs")
    api.patch_namespaced_custom_object(*where, name, {"spec": {"suspend": True}})
    for _ in range(200):
        if not trainer.get_job(name).steps:
            break
        time.sleep(0.1)
    assert not trainer.get_job(name).steps
    assert trainer.get_job(name).status == "Created"
    api.patch_namespaced_custom_object(*where, name, {"spec": {"suspend": False}})
    assert trainer.wait_for_job_status(name, {"Complete"}, timeout=120, polling_interval=1).status == "Complete"


def packages_of_a_runtime_are_listed() -> None:
    trainer = TrainerClient()
    trainer.get_runtime_packages(own_runtime(trainer))


def report() -> None:
    import json
    import os
    import ssl
    import urllib.request

    with open(os.environ["KUBEFLOW_TRAINER_SERVER_TOKEN"]) as file:
        headers = {"Authorization": "Bearer " + file.read(), "Content-Type": "application/json"}
    status = {"progressPercentage": 42, "lastUpdatedTime": "2026-01-01T00:00:00Z"}
    body = json.dumps({"trainerStatus": status}).encode()
    request = urllib.request.Request(os.environ["KUBEFLOW_TRAINER_SERVER_URL"], body, headers)
    tls = ssl.create_default_context(cafile=os.environ["KUBEFLOW_TRAINER_SERVER_CA_CERT"])
    urllib.request.urlopen(request, context=tls).read()


def progress_is_reported() -> None:
    trainer = TrainerClient()
    name = trainer.train(runtime=own_runtime(trainer), trainer=CustomTrainer(func=report))
    trainer.wait_for_job_status(name, timeout=120, polling_interval=1)
    assert stored(name)["status"]["trainerStatus"]["progressPercentage"] == 42


if __name__ == "__main__":
    globals()[sys.argv[1]]()
