"""PyTorch with torchrun."""

from flowdeck.components.training.runtimes._base import cluster_runtime, one_job
from flowdeck.kube.objects import Tree


def torch_distributed() -> Tree:
    image = "pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime"
    return cluster_runtime("torch-distributed", "torch", {"torch": {}}, one_job(image))
