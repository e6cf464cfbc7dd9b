"""How each framework tells its processes where the others are."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from flowdeck.components.training.draft import Draft, container_of
from flowdeck.components.training.frameworks import FRAMEWORKS
from flowdeck.components.training.frameworks.flux import z85
from flowdeck.components.training.frameworks.torchtune import model_of
from flowdeck.components.training.merge import build
from flowdeck.components.training.runtime_types import runtime_of
from flowdeck.components.training.runtimes.torchtune import torchtune_llama_1b
from flowdeck.components.training.types import train_job_of
from flowdeck.kube.kinds import SECRET
from flowdeck.kube.objects import Tree, by_name
from tests.components.training.makers import a_job, a_runtime, a_train_job


def built(runtime: Tree, job: Tree) -> Draft:
    return build(train_job_of(job), runtime_of(runtime), FRAMEWORKS)


def node_of(draft: Draft, job: str = "node") -> Tree:
    found = draft.find(job)
    assert found is not None
    container = container_of(found, "node")
    assert container is not None
    return container


def env_of(draft: Draft, job: str = "node") -> dict[str, Any]:
    return {
        name: item.get("value", item.get("valueFrom")) for name, item in by_name(node_of(draft, job)["env"]).items()
    }


def gpus(count: int) -> Tree:
    return {"limits": {"nvidia.com/gpu": count}}


# ---- torch ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trainer", "container", "expected"),
    [
        pytest.param({"numProcPerNode": 4}, {}, "4", id="as-asked"),
        pytest.param({}, {"resources": gpus(2)}, "auto", id="gpus-of-the-runtime"),
        pytest.param({"resourcesPerNode": gpus(2)}, {}, "auto", id="gpus-of-the-job"),
        pytest.param(
            {"resourcesPerNode": {"requests": {"example.com/gpu-slice": 1}}}, {}, "auto", id="any-name-with-gpu"
        ),
        pytest.param({"resourcesPerNode": {"limits": {"nvidia.com/gpu": 0, "cpu": 3}}}, {}, "3", id="no-gpus"),
        pytest.param({"resourcesPerNode": {"limits": {"cpu": "2500m"}}}, {}, "3", id="cpus-rounded-up"),
        pytest.param(
            {"resourcesPerNode": {"limits": {"cpu": 8}, "requests": {"cpu": 2.0}}}, {}, "2", id="requests-first"
        ),
        pytest.param({"resourcesPerNode": {"limits": {"cpu": "100m"}}}, {}, "1", id="at-least-one"),
        pytest.param({}, {}, "1", id="nothing-said"),
        pytest.param(
            {"resourcesPerNode": {"limits": {"memory": "1Gi"}}},
            {"resources": gpus(2)},
            "1",
            id="differ-11-the-job-s-block-alone-is-looked-at",
        ),
    ],
)
def test_torch_processes_per_node(trainer: Tree, container: Tree, expected: str) -> None:
    runtime = a_runtime({"torch": {}}, jobs=[a_job(container=container)])
    assert env_of(built(runtime, a_train_job(trainer=trainer)))["PET_NPROC_PER_NODE"] == expected


def test_differ_4_torch_env_is_set_without_a_trainer_block() -> None:
    env = env_of(built(a_runtime({"torch": {}, "numNodes": 2}), a_train_job()))
    assert env == {
        "PET_NNODES": "2",
        "PET_NPROC_PER_NODE": "1",
        "PET_NODE_RANK": {
            "fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"}
        },
        "PET_MASTER_ADDR": "train-node-0-0.train",
        "PET_MASTER_PORT": "29500",
    }


def test_torch_env_goes_into_the_other_targets_too() -> None:
    policy = {"torch": {"envInjection": {"targets": [{"jobName": "eval", "containerNames": ["node"]}]}}}
    draft = built(a_runtime(policy, jobs=[a_job(), a_job("eval", step="")]), a_train_job(trainer={"numNodes": 2}))
    assert env_of(draft, "eval") == env_of(draft)


def test_the_node_count_of_a_job_without_policy_is_the_runtime_s_parallelism() -> None:
    job = a_job()
    job["template"]["spec"]["parallelism"] = 4
    assert built(a_runtime(None, jobs=[job]), a_train_job(trainer={"numNodes": 2})).counts == {"node": 4}
    assert built(a_runtime({}, jobs=[job]), a_train_job(trainer={"numNodes": 2})).counts == {"node": 2}
    assert built(a_runtime({}, jobs=[job]), a_train_job()).counts == {"node": 1}


# ---- torchtune ------------------------------------------------------------------------------------------------------

LORA = ["model.lora_attn_modules=[q_proj]"]
QLORA = [*LORA, "model.quantize_base=True"]


@pytest.mark.parametrize(
    ("trainer", "recipe", "config", "endpoint"),
    [
        ({"numProcPerNode": 1}, "full_finetune_single_device", "_full_single_device", True),
        ({"resourcesPerNode": gpus(1)}, "full_finetune_single_device", "_full_single_device", False),
        ({"resourcesPerNode": gpus(1), "args": LORA}, "lora_finetune_single_device", "_lora_single_device", False),
        ({"resourcesPerNode": gpus(1), "args": QLORA}, "lora_finetune_single_device", "_qlora_single_device", False),
        ({"resourcesPerNode": gpus(2)}, "full_finetune_distributed", "_full", True),
        ({"resourcesPerNode": gpus(2), "args": LORA}, "lora_finetune_distributed", "_lora", True),
        ({"resourcesPerNode": gpus(2), "args": QLORA}, "lora_finetune_distributed", "_qlora", True),
        (
            {"resourcesPerNode": gpus(2), "args": [*QLORA, "model.use_dora=True"]},
            "lora_finetune_distributed",
            "_lora",
            True,
        ),
        ({"numNodes": 2}, "full_finetune_distributed", "_full_multinode", True),
    ],
)
def test_torchtune_recipe_and_config(trainer: Tree, recipe: str, config: str, endpoint: bool) -> None:
    job = a_train_job(runtime="torchtune-llama3.2-1b", trainer={"command": ["tune", "run"]} | trainer)
    draft = built(torchtune_llama_1b(), job)
    assert node_of(draft)["command"] == [
        "tune",
        "run",
        *(["--rdzv_endpoint=train-node-0-0.train:29500"] if endpoint else []),
        recipe,
        "--config",
        f"llama3_2/1B{config}",
        "output_dir=/workspace/output",
        "tokenizer.path=/workspace/model/original/tokenizer.model",
        "checkpointer.checkpoint_dir=/workspace/model",
    ]
    assert node_of(draft).get("args") == trainer.get("args")
    assert set(env_of(draft)) == {"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK"}


@pytest.mark.parametrize(
    ("runtime", "model"),
    [
        ("torchtune-llama3.2-1b", "llama3_2/1B"),
        ("torchtune-qwen2.5-1.5b", "qwen2_5/1.5B"),
        ("torch-distributed", ""),
        ("a-b-c-d", ""),
    ],
)
def test_torchtune_model_of_a_runtime_name(runtime: str, model: str) -> None:
    assert model_of(runtime) == model


# ---- jax, xgboost ---------------------------------------------------------------------------------------------------


def test_jax_is_told_its_coordinator() -> None:
    env = env_of(built(a_runtime({"jax": {}}), a_train_job(trainer={"numNodes": 3})))
    assert env["JAX_NUM_PROCESSES"] == "3"
    assert env["JAX_COORDINATOR_ADDRESS"] == "train-node-0-0.train:29500"
    assert "fieldRef" in env["JAX_PROCESS_ID"]


@pytest.mark.parametrize(("resources", "workers"), [({}, "3"), (gpus(2), "6")])
def test_xgboost_counts_a_worker_for_each_gpu(resources: Tree, workers: str) -> None:
    trainer = {"numNodes": 3, "resourcesPerNode": resources}
    env = env_of(built(a_runtime({"xgboost": {}}), a_train_job(trainer=trainer)))
    assert env["DMLC_NUM_WORKER"] == workers
    assert (env["DMLC_TRACKER_URI"], env["DMLC_TRACKER_PORT"]) == ("train-node-0-0.train", "29500")


# ---- mpi ------------------------------------------------------------------------------------------------------------


def an_mpi_runtime(**policy: Any) -> Tree:
    launcher_step, node_step = ("trainer", "") if policy.get("runLauncherAsNode") else ("", "trainer")
    jobs = [a_job("node", step=node_step), a_job("launcher", step=launcher_step)]
    return a_runtime({"mpi": policy}, jobs=jobs)


def host_file(draft: Draft) -> str:
    tree = next(wanted.make() for wanted in draft.objects if wanted.key.name == "train-mpi-hostfile")
    return str(tree["data"]["hostfile"])


@pytest.mark.parametrize(
    ("as_node", "nodes", "pods", "hosts"),
    [
        (False, 2, {"node": 2, "launcher": 1}, ["node-0-0", "node-0-1"]),
        (True, 3, {"node": 2, "launcher": 1}, ["node-0-0", "node-0-1", "launcher-0-0"]),
        pytest.param(
            True, 1, {"node": 1, "launcher": 1}, ["node-0-0", "launcher-0-0"], id="differ-14-one-node-is-two-pods"
        ),
    ],
)
def test_mpi_pods_and_hosts(as_node: bool, nodes: int, pods: dict[str, int], hosts: list[str]) -> None:
    draft = built(an_mpi_runtime(runLauncherAsNode=as_node), a_train_job(trainer={"numNodes": nodes}))
    assert draft.counts == pods
    assert host_file(draft) == "".join(f"train-{host}.train slots=1\n" for host in hosts)


@pytest.mark.parametrize(
    ("policy", "trainer", "slots"),
    [
        ({}, {}, "1"),
        ({"numProcPerNode": 3}, {}, "3"),
        ({"numProcPerNode": 3}, {"numProcPerNode": 2}, "2"),
        ({}, {"resourcesPerNode": gpus(4)}, "4"),
        ({"numProcPerNode": 3}, {"resourcesPerNode": gpus(4)}, "3"),
    ],
)
def test_mpi_slots(policy: Tree, trainer: Tree, slots: str) -> None:
    draft = built(an_mpi_runtime(**policy), a_train_job(trainer=trainer))
    assert env_of(draft, "launcher")["OMPI_MCA_orte_set_default_slots"] == slots
    assert host_file(draft).endswith(f"slots={slots}\n")


def test_mpi_endpoints_are_under_the_template_s_subdomain() -> None:
    runtime = an_mpi_runtime()
    runtime["spec"]["template"]["spec"]["network"] = {"subdomain": "net"}
    assert host_file(built(runtime, a_train_job())) == "train-node-0-0.net slots=1\n"


def test_mpi_keys_are_made_once_and_open_each_other() -> None:
    draft = built(an_mpi_runtime(), a_train_job())
    wanted = next(wanted for wanted in draft.objects if wanted.key.name == "train-mpi-ssh-auth")
    assert wanted.kind == SECRET
    secret = wanted.make()
    pem = base64.b64decode(secret["data"]["ssh-privatekey"])
    assert pem.startswith(b"-----BEGIN EC PRIVATE KEY-----")
    key = load_pem_private_key(pem, None)
    assert getattr(key, "curve").name == "secp521r1"  # noqa: B009 - its static type has no curve
    assert base64.b64decode(secret["data"]["ssh-publickey"]).startswith(b"ecdsa-sha2-nistp521 ")


# ---- flux -----------------------------------------------------------------------------------------------------------


def a_flux_job(**trainer: Any) -> Draft:
    return built(a_runtime({"flux": {"numProcPerNode": 2}}), a_train_job(trainer=trainer))


def flux_script(draft: Draft) -> str:
    tree = next(wanted.make() for wanted in draft.objects if wanted.key.name == "train-flux-entrypoint")
    return str(tree["data"]["entrypoint.sh"])


def test_flux_wraps_the_command_and_leads_from_node_0() -> None:
    draft = a_flux_job(numNodes=2, command=["python", "train.py"], args=["--epochs", "3"])
    node = node_of(draft)
    assert node["command"] == ["/bin/bash", "/etc/flux-config/entrypoint.sh", "python train.py --epochs 3"]
    assert "args" not in node
    script = flux_script(draft)
    assert "flux run -N 2 -n 4 /bin/bash" in script
    assert 'hosts = [ { host = "train-node-0-[0-1]" } ]' in script
    assert "tcp://%h.train.default.svc.cluster.local:%p" in script
    assert '"tcp://eth0:%p"' in script


def test_flux_takes_its_settings_from_the_environment() -> None:
    env = [
        {"name": "FLUX_NETWORK_DEVICE", "value": "ib0"},
        {"name": "FLUX_QUEUE_POLICY", "value": "easy"},
        {"name": "FLUX_VIEW_IMAGE", "value": "view:1"},
    ]
    draft = a_flux_job(env=env, resourcesPerNode=gpus(2))
    script = flux_script(draft)
    assert '"tcp://ib0:%p"' in script
    assert 'queue-policy = "easy"' in script
    assert "-g 2 /bin/bash" in script
    found = draft.find("node")
    assert found is not None
    (installer,) = found["template"]["spec"]["template"]["spec"]["initContainers"]
    assert (installer["name"], installer["image"]) == ("flux-installer", "view:1")


def test_flux_keys_are_the_same_each_time() -> None:
    def certificate() -> str:
        tree = next(w.make() for w in a_flux_job().objects if w.key.name == "train-flux-curve")
        return base64.b64decode(tree["data"]["curve.cert"]).decode()

    assert certificate() == certificate()
    assert certificate().count('-key = "') == 2


def test_z85_is_zeromq_s() -> None:
    assert z85(bytes([0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B])) == "HelloWorld"
