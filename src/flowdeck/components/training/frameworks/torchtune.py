"""torchtune: a TrainJob whose command is exactly `tune run` on a torch runtime gets recipe and config chosen for it.

Source: kubeflow/trainer (pkg/runtime/framework/plugins/torch/torchtune.go)
"""

from collections.abc import Iterator, Sequence

from flowdeck.components.training.draft import Draft, find_named
from flowdeck.components.training.frameworks._base import gpus_in, stated_resources
from flowdeck.components.training.types import NODE, PORT, Step
from flowdeck.kube.errors import FieldError, invalid
from flowdeck.kube.objects import Tree, get_in

COMMAND = ["tune", "run"]
LLAMA_3_3_70B = "llama3_3/70B"
QWEN_2_5 = "qwen2_5/1.5B"
SMALL_LLAMAS = ("llama3_2/1B", "llama3_2/3B")
MODELS = (*SMALL_LLAMAS, LLAMA_3_3_70B, QWEN_2_5)
MANAGED = ("output_dir", "tokenizer.path", "checkpointer.checkpoint_dir", "tokenizer.merges_file")
"""Config keys that the runtime sets and a TrainJob must not."""


def is_used(draft: Draft) -> bool:
    return draft.trainer.command == COMMAND


def model_of(runtime_name: str) -> str:
    """`torchtune-llama3.2-1b` is `llama3_2/1B`; `""` for a name that is not made of three parts."""
    parts = runtime_name.split("-")
    return f"{parts[1].replace('.', '_')}/{parts[2].upper()}" if len(parts) == 3 else ""


def check(draft: Draft) -> Iterator[FieldError]:
    runtime = draft.job.spec.runtime_ref.name
    model = model_of(runtime)
    if model not in MODELS:
        detail = f"must have a supported pretrained model, invalid model configured: {model}"
        yield invalid("spec.runtimeRef.name", runtime, detail)
    if draft.num_nodes > 1 and model != LLAMA_3_3_70B:
        yield invalid("spec.trainer.numNodes", draft.num_nodes, f"must be 1 for {model} model")
    yield from _check_lora(draft, model)
    for item in draft.trainer.args or ():
        key = item.partition("=")[0]
        if key in MANAGED:
            detail = f'must not set immutable config "{key}" in trainer args; it is managed by the runtime'
            yield invalid("spec.trainer.args", item, detail)


def shape(draft: Draft, node: Tree) -> None:
    """Writes the node container's command; its args stay the TrainJob's."""
    recipe, suffix = _recipe(draft)
    command = [*COMMAND]
    if draft.num_nodes > 1 or (draft.trainer.num_proc_per_node or 0) > 1 or _gpus(draft) > 1:
        command.append(f"--rdzv_endpoint={draft.first_node}:{PORT}")
    command += [recipe, "--config", model_of(draft.job.spec.runtime_ref.name) + suffix]
    command += [item for item in _runtime_command(draft) if _is_managed(item)]
    node["command"] = command


def _check_lora(draft: Draft, model: str) -> Iterator[FieldError]:
    args = draft.trainer.args
    if _is_qlora(draft):
        if model == QWEN_2_5:
            yield invalid("spec.trainer.args", args, f"QLoRA is not supported for {model} model")
        if model in SMALL_LLAMAS and not _is_single_device(draft):
            yield invalid("spec.trainer.args", args, f"Distributed QLoRA is not supported for {model} model")
    if _is_lora(draft) and draft.num_nodes > 1:
        detail = "LoRA fine-tuning is not supported for multi-node training in TorchTune"
        yield invalid("spec.trainer.args", args, detail)


def _recipe(draft: Draft) -> tuple[str, str]:
    """The recipe and what is appended to the model to name its config."""
    kind = "qlora" if _is_qlora(draft) else "lora" if _is_lora(draft) else "full"
    recipe = "full_finetune" if kind == "full" else "lora_finetune"
    if draft.num_nodes > 1:
        return "full_finetune_distributed", "_full_multinode"
    if _is_single_device(draft):
        return f"{recipe}_single_device", f"_{kind}_single_device"
    return f"{recipe}_distributed", f"_{kind}"


def _is_single_device(draft: Draft) -> bool:
    return draft.num_nodes == 1 and (draft.trainer.num_proc_per_node == 1 or _gpus(draft) == 1)


def _is_lora(draft: Draft) -> bool:
    return any("model.lora_attn_modules" in item for item in draft.trainer.args or ())


def _is_qlora(draft: Draft) -> bool:
    args = draft.trainer.args or ()
    return _is_lora(draft) and "model.quantize_base=True" in args and "model.use_dora=True" not in args


def _gpus(draft: Draft) -> int:
    return gpus_in(stated_resources(draft))


def _is_managed(item: str) -> bool:
    key, sign, _ = item.partition("=")
    return bool(sign) and key in MANAGED


def _runtime_command(draft: Draft) -> Sequence[str]:
    """The command that the runtime itself has, which the TrainJob's `tune run` took the place of."""
    original = Draft(draft.job, draft.runtime, draft.runtime.spec.template).ancestor(Step.TRAINER)
    containers = get_in(original, "template", "spec", "template", "spec", "containers", default=[])
    return (find_named(containers, NODE) or {}).get("command") or ()
