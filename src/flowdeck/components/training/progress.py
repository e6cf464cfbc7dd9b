"""Tells training containers where to report their progress, and with what right.

Source: kubeflow/trainer (pkg/runtime/framework/plugins/trainjobstatus)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flowdeck.components.training.draft import Draft, Wanted, containers_of, pod_spec_of
from flowdeck.components.training.frameworks._base import value
from flowdeck.components.training.types import GROUP, TRAIN_JOB, VERSION, Step
from flowdeck.components.training.upserts import upsert_env, upsert_mounts, upsert_volumes
from flowdeck.kube.errors import FieldError
from flowdeck.kube.kinds import CONFIG_MAP
from flowdeck.kube.objects import ObjectKey, Tree

VOLUME = "kubeflow-trainer-token"
MOUNT_PATH = "/var/run/secrets/kubeflow/trainer"
TOKEN_LIFE_S = 3600


def audience_of(key: ObjectKey) -> str:
    """What a token must be made for, to report on one TrainJob."""
    return f"{GROUP}/{VERSION}/namespaces/{key.namespace}/{TRAIN_JOB.plural}/{key.name}/status"


def path_of(key: ObjectKey) -> str:
    """The URL path at which a TrainJob's progress is taken."""
    return f"/apis/{audience_of(key)}"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Gives every container of the trainer's pods the server's address, its authority and a token."""

    url: str
    """`https://host:port` of the progress server."""
    authority: Callable[[], str]
    """PEM of the certificate authority to trust, as it is now."""

    def applies(self, draft: Draft) -> bool:
        return draft.ancestor(Step.TRAINER) is not None

    def check(self, draft: Draft) -> Sequence[FieldError]:
        return ()

    def shape(self, draft: Draft) -> None:
        job = draft.ancestor(Step.TRAINER)
        if job is None:
            return
        config_map = f"{draft.name}-tls-config"
        for container in containers_of(job):
            upsert_env(
                container,
                [
                    value("KUBEFLOW_TRAINER_SERVER_URL", self.url + path_of(draft.job.key)),
                    value("KUBEFLOW_TRAINER_SERVER_CA_CERT", f"{MOUNT_PATH}/ca.crt"),
                    value("KUBEFLOW_TRAINER_SERVER_TOKEN", f"{MOUNT_PATH}/token"),
                ],
            )
            upsert_mounts(container, [{"name": VOLUME, "mountPath": MOUNT_PATH, "readOnly": True}])
        upsert_volumes(pod_spec_of(job), [_volume(draft, config_map)])
        draft.objects.append(self._authority(ObjectKey(draft.namespace, config_map)))

    def _authority(self, key: ObjectKey) -> Wanted:
        tree: Tree = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": key.name, "namespace": key.namespace},
            "data": {"ca.crt": self.authority()},
        }
        return Wanted(kind=CONFIG_MAP, key=key, make=lambda: tree)


def _volume(draft: Draft, config_map: str) -> Tree:
    token = {"audience": audience_of(draft.job.key), "expirationSeconds": TOKEN_LIFE_S, "path": "token"}
    authority = {"name": config_map, "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    return {"name": VOLUME, "projected": {"sources": [{"serviceAccountToken": token}, {"configMap": authority}]}}
