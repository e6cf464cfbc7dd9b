"""The runtimes that a fresh install has, as data.

To add one: a function in the file of its framework, and a line in `SHIPPED`.
"""

from collections.abc import Callable, Sequence

from flowdeck.components.training.runtimes.jax import jax_distributed
from flowdeck.components.training.runtimes.mpi import deepspeed_distributed, mlx_distributed
from flowdeck.components.training.runtimes.torch import torch_distributed
from flowdeck.components.training.runtimes.torchtune import torchtune_llama_1b, torchtune_llama_3b, torchtune_qwen
from flowdeck.components.training.runtimes.xgboost import xgboost_distributed
from flowdeck.kube.objects import Tree

SHIPPED: Sequence[Callable[[], Tree]] = (
    torch_distributed,
    jax_distributed,
    xgboost_distributed,
    deepspeed_distributed,
    mlx_distributed,
    torchtune_llama_1b,
    torchtune_llama_3b,
    torchtune_qwen,
)


def shipped_runtimes() -> Sequence[Tree]:
    """All of them, as ClusterTrainingRuntimes."""
    return [make() for make in SHIPPED]
