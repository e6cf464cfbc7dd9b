"""Fine-tuning of known models with torchtune: dataset and model are fetched first, onto one shared volume."""

from flowdeck.components.training.runtimes._base import TRAINER_VERSION, cluster_runtime, replicated_job
from flowdeck.components.training.types import INITIALIZER_VOLUME, NODE, Step
from flowdeck.kube.objects import Tree

_REGISTRY = "ghcr.io/kubeflow/trainer"
_WORKSPACE = "/workspace"
_LLAMA_TOKENIZER = [f"tokenizer.path={_WORKSPACE}/model/original/tokenizer.model"]
_QWEN_TOKENIZER = [
    f"tokenizer.path={_WORKSPACE}/model/vocab.json",
    f"tokenizer.merges_file={_WORKSPACE}/model/merges.txt",
]


def torchtune_llama_1b() -> Tree:
    return _runtime("llama3.2-1b", "meta-llama/Llama-3.2-1B-Instruct", "llama3_2/1B", _LLAMA_TOKENIZER)


def torchtune_llama_3b() -> Tree:
    return _runtime("llama3.2-3b", "meta-llama/Llama-3.2-3B-Instruct", "llama3_2/3B", _LLAMA_TOKENIZER)


def torchtune_qwen() -> Tree:
    return _runtime("qwen2.5-1.5b", "Qwen/Qwen2.5-1.5B-Instruct", "qwen2_5/1.5B", _QWEN_TOKENIZER)


def _runtime(name: str, repository: str, model: str, tokenizer: list[str]) -> Tree:
    node = replicated_job(NODE, _pod_spec(_trainer(model, tokenizer)), step=Step.TRAINER)
    node["dependsOn"] = [
        {"name": str(step), "status": "Complete"} for step in (Step.DATASET_INITIALIZER, Step.MODEL_INITIALIZER)
    ]
    template = {
        "volumeClaimPolicies": [{"templates": [_claim()]}],
        "replicatedJobs": [
            _initializer(Step.DATASET_INITIALIZER, "hf://tatsu-lab/alpaca"),
            _initializer(Step.MODEL_INITIALIZER, f"hf://{repository}"),
            node,
        ],
    }
    return cluster_runtime(f"torchtune-{name}", "torchtune", {"torch": {}}, template)


def _initializer(step: Step, uri: str) -> Tree:
    container = {
        "name": step.container,
        "image": f"{_REGISTRY}/{step}:{TRAINER_VERSION}",
        "env": [{"name": "STORAGE_URI", "value": uri}],
    }
    return replicated_job(str(step), _pod_spec(container), step=step)


def _trainer(model: str, tokenizer: list[str]) -> Tree:
    return {
        "name": NODE,
        "image": f"{_REGISTRY}/torchtune-trainer:{TRAINER_VERSION}",
        "command": [
            "tune",
            "run",
            "--rdzv_endpoint=localhost:29500",
            "full_finetune_distributed",
            "--config",
            f"{model}_full",
            "dataset=torchtune.datasets.instruct_dataset",
            "dataset.source=parquet",
            f"dataset.data_dir={_WORKSPACE}/dataset/data",
            f"output_dir={_WORKSPACE}/output",
            *tokenizer,
            f"checkpointer.checkpoint_dir={_WORKSPACE}/model",
        ],
        "resources": {"limits": {"nvidia.com/gpu": 2}},
    }


def _pod_spec(container: Tree) -> Tree:
    mounts = [{"name": INITIALIZER_VOLUME, "mountPath": _WORKSPACE}]
    return {"containers": [container | {"volumeMounts": mounts}]}


def _claim() -> Tree:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}}
    return {"metadata": {"name": INITIALIZER_VOLUME}, "spec": spec}
