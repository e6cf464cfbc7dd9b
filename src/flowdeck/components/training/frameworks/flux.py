"""Flux: every node runs a broker of one Flux instance; node 0 leads and runs the user's command in it.

Differs from upstream: a TrainJob without `spec.trainer` is refused at admission (upstream crashes), without
`numNodes` it has the runtime's; `/dev/shm` is writable, which MPI below Flux needs.

Source: kubeflow/trainer (pkg/runtime/framework/plugins/flux); file formats: flux-framework.org
"""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from string import Template

from flowdeck.components.training.draft import Draft, Wanted, container_of, find_named, pod_spec_of
from flowdeck.components.training.frameworks._base import gpus_in, policy_of, stated_resources
from flowdeck.components.training.runtime_types import FluxPolicy
from flowdeck.components.training.types import NODE
from flowdeck.components.training.upserts import (
    env_values,
    upsert_init_containers,
    upsert_mounts,
    upsert_volumes,
)
from flowdeck.kube.errors import FieldError, forbidden, invalid, required
from flowdeck.kube.kinds import CONFIG_MAP, SECRET
from flowdeck.kube.objects import ObjectKey, Tree

INSTALLER = "flux-installer"
VIEW_IMAGE = "ghcr.io/converged-computing/flux-view-ubuntu:tag-jammy"
CONFIG_DIR = "/etc/flux-config"
PORT = 8050

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

_INIT = """\
#!/bin/bash
# Hands the Flux installation of this image over to the node container.
set -eu
cp -R /opt/view /mnt/flux/view
cp -R /opt/software /mnt/flux/software
"""

_ENTRYPOINT = Template("""\
#!/bin/bash
# Starts this node's Flux broker; node 0 leads and runs the command that is the first argument.
set -u
command="$$1"
flux_root=/mnt/flux
cp -R "$$flux_root"/software/. /opt/software/
export PATH="$$flux_root/view/bin:$$PATH"
state=$$(mktemp -d)
mkdir -p "$$state/config"
install -m 0600 /curve/curve.cert "$$state/curve.cert"
flux R encode --hosts="$hosts" --cores="0-$$(($$(nproc) - 1))" $gpu_ids> "$$state/R"
cat > "$$state/config/broker.toml" << EOF
[bootstrap]
curve_cert = "$$state/curve.cert"
default_port = $port
default_bind = "tcp://$device:%p"
default_connect = "tcp://%h.$job.$namespace.svc.cluster.local:%p"
hosts = [ { host = "$hosts" } ]
[resource]
path = "$$state/R"
noverify = true
[sched-fluxion-qmanager]
queue-policy = "$queue_policy"
EOF
broker=(flux broker --config-path="$$state/config" -Sstatedir="$$state" -Stbon.fanout=256)
if [ "$$(hostname)" = "$job-node-0-0" ]; then
  exec "$${broker[@]}" flux run -N $nodes -n $tasks $gpus/bin/bash -c "$$command"
fi
# A follower whose leader is not there yet fails to connect and tries again; it leaves with the leader.
for attempt in $$(seq 60); do
  "$${broker[@]}" && exit 0
  sleep 2
done
exit 1
""")


class Flux:
    """`mlPolicy.flux`."""

    def applies(self, draft: Draft) -> bool:
        return policy_of(draft).flux is not None

    def check(self, draft: Draft) -> Sequence[FieldError]:
        errors: list[FieldError] = []
        if draft.job.spec.trainer is None:
            errors.append(required("spec.trainer", "must be set for Flux TrainJob"))
        if _processes(draft) < 1:
            detail = "must be greater than or equal to 1 for Flux TrainJob"
            errors.append(invalid("spec.trainer.numProcPerNode", _processes(draft), detail))
        job = draft.find(NODE)
        if job and find_named(pod_spec_of(job).get("initContainers"), INSTALLER):
            errors.append(forbidden("spec.runtimeRef", f"InitContainer '{INSTALLER}' is reserved"))
        return errors

    def shape(self, draft: Draft) -> None:
        job = draft.find(NODE)
        node = container_of(job, NODE) if job else None
        if job is None or node is None:
            return
        draft.counts[NODE] = draft.num_nodes
        settings = env_values(node)
        scripts = _scripts(draft, settings)
        draft.objects += [scripts, _curve(draft)]
        _install(draft, pod_spec_of(job), settings.get("FLUX_VIEW_IMAGE") or VIEW_IMAGE)
        upsert_mounts(
            node,
            [
                {"name": "flux-install", "mountPath": "/mnt/flux"},
                {"name": "spack-install", "mountPath": "/opt/software"},
                {"name": "shared-memory", "mountPath": "/dev/shm"},
                {"name": scripts.key.name, "mountPath": CONFIG_DIR, "readOnly": True},
                {"name": f"{draft.name}-flux-curve", "mountPath": "/curve", "readOnly": True},
            ],
        )
        original = " ".join([*(node.get("command") or ()), *(node.get("args") or ())])
        node["command"] = ["/bin/bash", f"{CONFIG_DIR}/entrypoint.sh", original]
        node.pop("args", None)


def _processes(draft: Draft) -> int:
    asked = draft.trainer.num_proc_per_node
    policy = policy_of(draft).flux or FluxPolicy()
    return asked if asked is not None else policy.num_proc_per_node or 1


def _install(draft: Draft, pod_spec: Tree, image: str) -> None:
    config = f"{draft.name}-flux-entrypoint"
    curve = f"{draft.name}-flux-curve"
    upsert_volumes(
        pod_spec,
        [
            {"name": "flux-install", "emptyDir": {}},
            {"name": "spack-install", "emptyDir": {}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
            {"name": config, "configMap": {"name": config, "defaultMode": 0o755}},
            {"name": curve, "secret": {"secretName": curve, "defaultMode": 0o400}},
        ],
    )
    installer = {
        "name": INSTALLER,
        "image": image,
        "command": ["/bin/bash", f"{CONFIG_DIR}/init.sh"],
        "volumeMounts": [
            {"name": "flux-install", "mountPath": "/mnt/flux"},
            {"name": config, "mountPath": CONFIG_DIR, "readOnly": True},
        ],
    }
    upsert_init_containers(pod_spec, [installer])


def _scripts(draft: Draft, settings: dict[str, str]) -> Wanted:
    key = ObjectKey(draft.namespace, f"{draft.name}-flux-entrypoint")
    tree: Tree = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": key.name, "namespace": key.namespace},
        "data": {"entrypoint.sh": _entrypoint(draft, settings), "init.sh": _INIT},
    }
    return Wanted(kind=CONFIG_MAP, key=key, make=lambda: tree)


def _entrypoint(draft: Draft, settings: dict[str, str]) -> str:
    nodes = draft.counts.get(NODE, 1)
    gpus = gpus_in(stated_resources(draft))
    return _ENTRYPOINT.substitute(
        job=draft.name,
        namespace=draft.namespace,
        hosts=f"{draft.name}-{NODE}-0-[0-{max(nodes, 1) - 1}]",
        port=PORT,
        device=settings.get("FLUX_NETWORK_DEVICE") or "eth0",
        queue_policy=settings.get("FLUX_QUEUE_POLICY") or "fcfs",
        nodes=nodes,
        tasks=nodes * _processes(draft),
        gpus=f"-g {gpus} " if gpus else "",
        gpu_ids=f"--gpus=0-{gpus - 1} " if gpus else "",
    )


def _curve(draft: Draft) -> Wanted:
    key = ObjectKey(draft.namespace, f"{draft.name}-flux-curve")
    return Wanted(kind=SECRET, key=key, make=lambda: _curve_secret(key, draft.job.metadata.uid))


def _curve_secret(key: ObjectKey, uid: str) -> Tree:
    """Keys of all brokers; the same each time for one TrainJob."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    secret = hashlib.sha256(uid.encode()).digest()
    public = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    certificate = (
        "#  ZeroMQ CURVE **Secret** Certificate\n\nmetadata\n"
        f'    keygen.hostname = "{key.name}"\ncurve\n'
        f'    public-key = "{z85(public)}"\n    secret-key = "{z85(secret)}"\n'
    )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": key.name, "namespace": key.namespace},
        "type": "Opaque",
        "data": {"curve.cert": b64encode(certificate.encode()).decode()},
    }


def z85(data: bytes) -> str:
    """ZeroMQ's base-85 text of bytes whose number is a multiple of four. Source: rfc.zeromq.org/spec/32."""
    text = []
    for at in range(0, len(data), 4):
        word = int.from_bytes(data[at : at + 4], "big")
        text += [_Z85[word // 85**power % 85] for power in (4, 3, 2, 1, 0)]
    return "".join(text)
