"""PyTorch: what torchrun reads from `PET_*`.

Differs from upstream: the variables are set also when the TrainJob has no trainer block, so that a multi-node runtime
always meets. `PET_NPROC_PER_NODE` looks at the TrainJob's resources alone where it states any (upstream's way).

Source: kubeflow/trainer (pkg/runtime/framework/plugins/torch)
"""

from collections.abc import Iterator, Sequence

from flowdeck.components.training.draft import Draft, container_of
from flowdeck.components.training.frameworks import torchtune
from flowdeck.components.training.frameworks._base import (
    cpus_in,
    from_index,
    gpus_in,
    policy_of,
    reserved_names,
    stated_resources,
    value,
)
from flowdeck.components.training.runtime_types import EnvTarget
from flowdeck.components.training.types import PORT
from flowdeck.components.training.upserts import open_port, upsert_env
from flowdeck.kube.errors import FieldError, invalid
from flowdeck.kube.objects import Tree

RESERVED = ("PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT")


class Torch:
    """`mlPolicy.torch`."""

    def applies(self, draft: Draft) -> bool:
        return policy_of(draft).torch is not None

    def check(self, draft: Draft) -> Sequence[FieldError]:
        errors = [*reserved_names(draft, RESERVED), *_missing_targets(draft)]
        if torchtune.is_used(draft):
            errors += torchtune.check(draft)
        return errors

    def shape(self, draft: Draft) -> None:
        env = _environment(draft)
        for target in _targets(draft):
            job = draft.find(target.job_name)
            for name in target.container_names:
                if job and (container := container_of(job, name)):
                    upsert_env(container, env)
        node = draft.node_container
        if node is None:
            return
        if torchtune.is_used(draft):
            torchtune.shape(draft, node)
            env = env[:3]
        upsert_env(node, env)
        open_port(node, PORT)


def processes_per_node(draft: Draft) -> str:
    """`PET_NPROC_PER_NODE`: as asked, `auto` where there are GPUs, else one for each CPU."""
    if draft.trainer.num_proc_per_node is not None:
        return str(draft.trainer.num_proc_per_node)
    resources = stated_resources(draft)
    if gpus_in(resources):
        return "auto"
    return str(max(1, cpus_in(resources).whole))


def _environment(draft: Draft) -> list[Tree]:
    return [
        value("PET_NNODES", str(draft.num_nodes)),
        value("PET_NPROC_PER_NODE", processes_per_node(draft)),
        from_index("PET_NODE_RANK"),
        value("PET_MASTER_ADDR", draft.first_node),
        value("PET_MASTER_PORT", str(PORT)),
    ]


def _targets(draft: Draft) -> Sequence[EnvTarget]:
    policy = policy_of(draft).torch
    injection = policy.env_injection if policy else None
    return (injection.targets if injection else None) or ()


def _missing_targets(draft: Draft) -> Iterator[FieldError]:
    path = "spec.mlPolicy.torch.envInjection.targets"
    for index, target in enumerate(_targets(draft)):
        job = draft.find(target.job_name)
        if job is None:
            yield invalid(f"{path}[{index}].jobName", target.job_name, "must be a replicated job of the runtime")
            continue
        for place, name in enumerate(target.container_names):
            if container_of(job, name) is None:
                detail = f"must be a container of the replicated job {target.job_name}"
                yield invalid(f"{path}[{index}].containerNames[{place}]", name, detail)
