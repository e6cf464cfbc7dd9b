"""Frameworks that mpirun starts: a launcher, which is a node too, reaches the others over ssh."""

from flowdeck.components.training.runtimes._base import TRAINER_VERSION, cluster_runtime, replicated_job
from flowdeck.components.training.types import LAUNCHER, NODE, Step
from flowdeck.kube.objects import Tree

_USER = 1000
_HOME = "/home/mpiuser"
_SSH_PORT = 2222


def deepspeed_distributed() -> Tree:
    return _mpi_runtime("deepspeed-distributed", "deepspeed", "ghcr.io/kubeflow/trainer/deepspeed-runtime")


def mlx_distributed() -> Tree:
    return _mpi_runtime("mlx-distributed", "mlx", "ghcr.io/kubeflow/trainer/mlx-runtime")


def _mpi_runtime(name: str, framework: str, image: str) -> Tree:
    policy = {
        "mpi": {
            "numProcPerNode": 1,
            "mpiImplementation": "OpenMPI",
            "sshAuthMountPath": f"{_HOME}/.ssh",
            "runLauncherAsNode": True,
        }
    }
    return cluster_runtime(name, framework, policy, _template(f"{image}:{TRAINER_VERSION}"))


def _template(image: str) -> Tree:
    launcher = replicated_job(LAUNCHER, _pod_spec({"name": NODE, "image": image}), step=Step.TRAINER)
    launcher["dependsOn"] = [{"name": NODE, "status": "Ready"}]
    return {
        "network": {"publishNotReadyAddresses": True},
        "successPolicy": {"operator": "All", "targetReplicatedJobs": [LAUNCHER]},
        "replicatedJobs": [replicated_job(NODE, _pod_spec(_ssh_server(image))), launcher],
    }


def _ssh_server(image: str) -> Tree:
    return {
        "name": NODE,
        "image": image,
        "command": ["/usr/sbin/sshd"],
        "args": ["-De", "-f", f"{_HOME}/.sshd_config"],
        "readinessProbe": {"tcpSocket": {"port": _SSH_PORT}, "initialDelaySeconds": 5},
    }


def _pod_spec(container: Tree) -> Tree:
    return {
        "securityContext": {"fsGroup": _USER},
        "containers": [container | {"securityContext": {"runAsUser": _USER}}],
    }
