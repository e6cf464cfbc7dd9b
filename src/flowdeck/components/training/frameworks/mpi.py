"""MPI (OpenMPI): keys for ssh between the pods, a host file, and the launcher's environment.

With `runLauncherAsNode` the launcher is one of the nodes, yet one node still means launcher plus one (upstream's way).

Source: kubeflow/trainer (pkg/runtime/framework/plugins/mpi)
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence

from flowdeck.components.training.draft import Draft, Wanted, container_of, pod_spec_of
from flowdeck.components.training.frameworks._base import (
    gpus_in,
    policy_of,
    reserved_names,
    stated_resources,
    value,
)
from flowdeck.components.training.runtime_types import MPIPolicy
from flowdeck.components.training.types import LAUNCHER, NODE
from flowdeck.components.training.upserts import upsert_env, upsert_mounts, upsert_volumes
from flowdeck.kube.errors import FieldError, invalid
from flowdeck.kube.kinds import CONFIG_MAP, SECRET
from flowdeck.kube.objects import ObjectKey, Tree

RESERVED = (
    "OMPI_MCA_orte_default_hostfile",
    "OMPI_MCA_plm_rsh_args",
    "OMPI_MCA_orte_keep_fqdn_hostnames",
    "OMPI_MCA_orte_set_default_slots",
)
DEFAULT_SSH_PATH = "/root/.ssh"
HOST_FILE_DIR = "/etc/mpi"
SSH_VOLUME = "mpi-ssh-auth"
HOST_FILE_VOLUME = "mpi-hostfile"


class MPI:
    """`mlPolicy.mpi`."""

    def applies(self, draft: Draft) -> bool:
        return policy_of(draft).mpi is not None

    def check(self, draft: Draft) -> Sequence[FieldError]:
        errors = [*reserved_names(draft, RESERVED)]
        if _policy(draft).run_launcher_as_node and draft.num_nodes >= 2:
            errors += [
                invalid(
                    "spec.runtimeRef",
                    {"kind": draft.job.spec.runtime_ref.kind, "name": draft.job.spec.runtime_ref.name},
                    f"must have {name} job when MPI trainJob is configured with runLauncherAsNode",
                )
                for name in (LAUNCHER, NODE)
                if draft.find(name) is None
            ]
        return errors

    def shape(self, draft: Draft) -> None:
        _count(draft)
        draft.objects += [_ssh_keys(draft), _host_file(draft)]
        for name in (NODE, LAUNCHER):
            if job := draft.find(name):
                _mount_keys(draft, job)
        if launcher := draft.find(LAUNCHER):
            _mount_host_file(draft, launcher)


def slots(draft: Draft) -> int:
    """Processes per pod: the TrainJob's, else the runtime's; the number of GPUs where that is more than a 1."""
    asked = draft.trainer.num_proc_per_node or _policy(draft).num_proc_per_node or 1
    return max(asked, gpus_in(stated_resources(draft))) if asked == 1 else asked


def _policy(draft: Draft) -> MPIPolicy:
    return policy_of(draft).mpi or MPIPolicy()


def _count(draft: Draft) -> None:
    nodes = draft.num_nodes
    if _policy(draft).run_launcher_as_node:
        nodes = max(nodes - 1, 1)
    for name, count in ((NODE, nodes), (LAUNCHER, 1)):
        if draft.find(name):
            draft.counts[name] = count


def _hosts(draft: Draft) -> Iterator[str]:
    for job in draft.jobs:
        if job["name"] == NODE or (job["name"] == LAUNCHER and _policy(draft).run_launcher_as_node):
            for endpoint in draft.endpoints(job):
                yield f"{endpoint} slots={slots(draft)}\n"


def _ssh_keys(draft: Draft) -> Wanted:
    key = ObjectKey(draft.namespace, f"{draft.name}-mpi-ssh-auth")
    return Wanted(kind=SECRET, key=key, make=lambda: _key_secret(key))


def _key_secret(key: ObjectKey) -> Tree:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP521R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    line = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": key.name, "namespace": key.namespace},
        "type": "kubernetes.io/ssh-auth",
        "immutable": True,
        "data": {
            "ssh-privatekey": b64encode(pem).decode(),
            "ssh-publickey": b64encode(line + b"\n").decode(),
        },
    }


def _host_file(draft: Draft) -> Wanted:
    key = ObjectKey(draft.namespace, f"{draft.name}-mpi-hostfile")
    tree: Tree = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": key.name, "namespace": key.namespace},
        "data": {"hostfile": "".join(_hosts(draft))},
    }
    return Wanted(kind=CONFIG_MAP, key=key, make=lambda: tree)


def _mount_keys(draft: Draft, job: Tree) -> None:
    if (container := container_of(job, NODE)) is None:
        return
    items = [
        {"key": "ssh-privatekey", "path": "id_rsa", "mode": 0o640},
        {"key": "ssh-publickey", "path": "id_rsa.pub", "mode": 0o644},
        {"key": "ssh-publickey", "path": "authorized_keys", "mode": 0o644},
    ]
    secret = {"secretName": f"{draft.name}-mpi-ssh-auth", "defaultMode": 0o400, "items": items}
    upsert_volumes(pod_spec_of(job), [{"name": SSH_VOLUME, "secret": secret}])
    path = _policy(draft).ssh_auth_mount_path or DEFAULT_SSH_PATH
    upsert_mounts(container, [{"name": SSH_VOLUME, "mountPath": path}])


def _mount_host_file(draft: Draft, job: Tree) -> None:
    if (container := container_of(job, NODE)) is None:
        return
    items = [{"key": "hostfile", "path": "hostfile", "mode": 0o444}]
    config_map = {"name": f"{draft.name}-mpi-hostfile", "items": items}
    upsert_volumes(pod_spec_of(job), [{"name": HOST_FILE_VOLUME, "configMap": config_map}])
    upsert_mounts(container, [{"name": HOST_FILE_VOLUME, "mountPath": HOST_FILE_DIR}])
    upsert_env(
        container,
        [
            value("OMPI_MCA_orte_default_hostfile", f"{HOST_FILE_DIR}/hostfile"),
            value("OMPI_MCA_orte_keep_fqdn_hostnames", "true"),
            value("OMPI_MCA_orte_set_default_slots", str(slots(draft))),
            value("OMPI_MCA_plm_rsh_args", "-o ConnectionAttempts=10"),
        ],
    )
