"""JAX with its own coordinator."""

from flowdeck.components.training.runtimes._base import cluster_runtime, one_job
from flowdeck.kube.objects import Tree


def jax_distributed() -> Tree:
    return cluster_runtime("jax-distributed", "jax", {"jax": {}}, one_job("nvcr.io/nvidia/jax:25.10-py3"))
