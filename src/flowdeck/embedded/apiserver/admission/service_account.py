"""Each pod runs as a service account of its namespace, and finds a token for it in its containers.

Source: kubernetes (plugin/pkg/admission/serviceaccount).
"""

import asyncio
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from flowdeck.embedded.apiserver.admission.plugin import Plugin, is_new_pod, object_of, refusal, spec_of
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Storage
from flowdeck.embedded.apiserver.tokens import WARN_ONLY_S
from flowdeck.kube.kinds import SERVICE_ACCOUNT
from flowdeck.kube.names import generate_name
from flowdeck.kube.objects import ObjectKey, Tree, annotations_of, get_in

DEFAULT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"

_ATTEMPTS = 50
_PAUSE_S = 0.02
"""A new namespace gets its default account a moment later: a pod made at once waits for it, up to a second."""


@dataclass(frozen=True)
class ServiceAccount(Plugin):
    storage: Storage
    random: Random
    concerns: ClassVar = ("pods",)
    name: str = "ServiceAccount"

    async def mutate(self, request: AdmissionRequest) -> None:
        if not is_new_pod(request):
            return
        pod = object_of(request)
        if MIRROR_ANNOTATION in annotations_of(pod):
            return
        spec = spec_of(request)
        spec["serviceAccountName"] = spec.get("serviceAccountName") or DEFAULT
        spec["serviceAccount"] = spec["serviceAccountName"]
        account = await self._account(request, spec["serviceAccountName"])
        if _wants_token(pod, account):
            self._mount_token(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]

    async def validate(self, request: AdmissionRequest) -> None:
        if not is_new_pod(request):
            return
        pod = object_of(request)
        if MIRROR_ANNOTATION in annotations_of(pod):
            _check_mirror(request, pod)
        else:
            await self._account(request, pod["spec"].get("serviceAccountName") or DEFAULT)

    async def _account(self, request: AdmissionRequest, name: str) -> Tree:
        namespace = request.key.namespace
        for attempt in range(_ATTEMPTS if name == DEFAULT else 1):
            if attempt:
                await asyncio.sleep(_PAUSE_S)
            account = self.storage.get(SERVICE_ACCOUNT, ObjectKey(namespace, name))
            if account is not None:
                return account
        raise refusal(
            request, f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        )

    def _mount_token(self, spec: Tree) -> None:
        containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
        without = [
            container
            for container in containers
            if not any(mount.get("mountPath") == MOUNT_PATH for mount in container.get("volumeMounts") or ())
        ]
        if not without:
            return
        volumes = spec.get("volumes") or []
        name = next((volume["name"] for volume in volumes if _is_token_volume(volume)), "")
        if not name:
            name = generate_name(VOLUME_PREFIX, self.random)
            spec["volumes"] = [*volumes, _token_volume(name)]
        mount = {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}
        for container in without:
            container["volumeMounts"] = [*(container.get("volumeMounts") or ()), dict(mount)]


def _wants_token(pod: Tree, account: Tree) -> bool:
    """The pod's own word counts before the account's; both silent means yes."""
    for said in (pod["spec"].get("automountServiceAccountToken"), account.get("automountServiceAccountToken")):
        if said is not None:
            return bool(said)
    return True


def _is_token_volume(volume: Tree) -> bool:
    return str(volume.get("name", "")).startswith(VOLUME_PREFIX) and "projected" in volume


def _token_volume(name: str) -> Tree:
    namespace_file = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {
        "name": name,
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": WARN_ONLY_S, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [namespace_file]}},
            ],
        },
    }


def _check_mirror(request: AdmissionRequest, pod: Tree) -> None:
    """A mirror pod only shows what a node runs on its own: it may not use API objects."""
    if pod["spec"].get("serviceAccountName"):
        raise refusal(request, "a mirror pod may not reference service accounts")
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("secret"):
            raise refusal(request, "a mirror pod may not reference secrets")
        if any("serviceAccountToken" in source for source in get_in(volume, "projected", "sources", default=())):
            raise refusal(request, "a mirror pod may not use ServiceAccountToken volume projections")
