"""Gives each namespace its `default` service account and the certificate of the cluster's authority.

Reads   Namespace, ServiceAccount, ConfigMap
Writes  ServiceAccount `default`, ConfigMap `kube-root-ca.crt`
Source: Kubernetes (pkg/controller/serviceaccount, pkg/controller/certificates/rootcacertpublisher).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flowdeck.client.base import Client
from flowdeck.controller.contract import DONE, Maps, Result
from flowdeck.kube.errors import AlreadyExists
from flowdeck.kube.kinds import CONFIG_MAP, NAMESPACE, SERVICE_ACCOUNT
from flowdeck.kube.objects import Kind, ObjectKey, Tree, annotations_of, is_being_deleted

ACCOUNT = "default"
ROOT_CA = "kube-root-ca.crt"
_KEY = "ca.crt"
_ANNOTATIONS = {
    "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when using "
    "internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across "
    "distributions of Kubernetes clusters."
}


def _of_account(account: Tree) -> Iterable[ObjectKey]:
    if account["metadata"]["name"] == ACCOUNT:
        yield ObjectKey("", account["metadata"]["namespace"])


def _of_root_ca(config_map: Tree) -> Iterable[ObjectKey]:
    if config_map["metadata"]["name"] == ROOT_CA:
        yield ObjectKey("", config_map["metadata"]["namespace"])


@dataclass(frozen=True, kw_only=True)
class ServiceAccountController:
    client: Client
    root_ca: str
    """The certificate of the authority that signed the API server's, in PEM."""
    name: str = "serviceaccount"
    kind: Kind = NAMESPACE
    watches: Sequence[Maps] = (Maps(SERVICE_ACCOUNT, _of_account), Maps(CONFIG_MAP, _of_root_ca))

    async def reconcile(self, key: ObjectKey) -> Result:
        namespace = await self.client.find(NAMESPACE, key)
        if namespace is None or is_being_deleted(namespace):
            return DONE
        await self._ensure_account(key.name)
        await self._ensure_root_ca(key.name)
        return DONE

    async def _ensure_account(self, namespace: str) -> None:
        if await self.client.find(SERVICE_ACCOUNT, ObjectKey(namespace, ACCOUNT)) is None:
            await self._create(SERVICE_ACCOUNT, {"metadata": {"name": ACCOUNT, "namespace": namespace}})

    async def _ensure_root_ca(self, namespace: str) -> None:
        key, data = ObjectKey(namespace, ROOT_CA), {_KEY: self.root_ca}
        found = await self.client.find(CONFIG_MAP, key)
        if found is None:
            metadata = {"name": ROOT_CA, "namespace": namespace, "annotations": dict(_ANNOTATIONS)}
            await self._create(CONFIG_MAP, {"metadata": metadata, "data": data})
        elif found.get("data") != data or _ANNOTATIONS.items() - annotations_of(found).items():
            replaced = {name: None for name in found.get("data") or () if name != _KEY}
            patch = {"metadata": {"annotations": dict(_ANNOTATIONS)}, "data": {**replaced, **data}}
            await self.client.patch(CONFIG_MAP, key, patch)

    async def _create(self, kind: Kind, obj: Tree) -> None:
        try:
            await self.client.create(kind, {"apiVersion": kind.api_version, "kind": kind.kind, **obj})
        except AlreadyExists:
            return
