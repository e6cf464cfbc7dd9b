"""The API server, put together: store, registry, admission, who may do what, the paths that are served."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from flowdeck.controller.clock import Clock
from flowdeck.embedded.apiserver import bootstrap_roles, pki, rbac
from flowdeck.embedded.apiserver.authentication import BearerTokens, ClientCertificates, Union
from flowdeck.embedded.apiserver.builtin.addresses import ServiceAddresses
from flowdeck.embedded.apiserver.builtin.resources import builtin_resources
from flowdeck.embedded.apiserver.builtin.rules import Dependencies
from flowdeck.embedded.apiserver.contract import AdmissionPlugin, Answer, RequestInfo
from flowdeck.embedded.apiserver.direct_client import DirectClient
from flowdeck.embedded.apiserver.discovery import Discovery
from flowdeck.embedded.apiserver.node_authorizer import NodeAuthorizer
from flowdeck.embedded.apiserver.openapi import OpenApi
from flowdeck.embedded.apiserver.pipeline import Metrics, Pipeline
from flowdeck.embedded.apiserver.registry import Registry
from flowdeck.embedded.apiserver.resource_handlers import ResourceHandlers
from flowdeck.embedded.apiserver.storage import StoredObjects
from flowdeck.embedded.apiserver.tokens import ServiceAccountTokens
from flowdeck.embedded.apiserver.verbs import Verbs
from flowdeck.embedded.store.store import Store
from flowdeck.kube.errors import ApiError
from flowdeck.kube.objects import Tree

ISSUER = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True)
class ApiServer:
    """A whole API server, without its HTTP port."""

    store: Store
    registry: Registry
    pipeline: Pipeline
    client: DirectClient
    """For the platform's own controllers."""

    @classmethod
    def open(cls, database: Path | str, keys: pki.Pki, clock: Clock) -> "ApiServer":
        """Opens the database (made when missing) and puts the server together."""
        store = Store(database)
        stored = StoredObjects(store)
        random = Random()
        registry = Registry(builtin_resources(Dependencies(addresses=ServiceAddresses(stored))))
        plugins: Sequence[AdmissionPlugin] = ()
        verbs = Verbs(store, registry, plugins, clock, random)
        tokens = ServiceAccountTokens(keys.service_account, storage=stored, clock=clock, issuer=ISSUER)
        handlers = ResourceHandlers(registry, verbs, _NoTables(), clock, random)
        discovery, openapi = Discovery(registry), OpenApi(registry)
        metrics = Metrics()
        pipeline = Pipeline(
            handlers=handlers,
            authenticator=Union([ClientCertificates(clock), BearerTokens([tokens])]),
            authorizer=rbac.FirstThatAllows([NodeAuthorizer(stored), rbac.RbacAuthorizer(stored)]),
            documents=[discovery.answer, openapi.answer],
            routes={path: _healthy for path in ("/readyz", "/livez", "/healthz")},
            metrics=metrics,
        )
        return cls(store, registry, pipeline, DirectClient(verbs, pipeline.call))

    async def bootstrap(self) -> None:
        """Creates what must exist before anybody asks: namespaces, default roles."""
        for obj in [*_namespaces(), *bootstrap_roles.bootstrap_objects()]:
            resource = self.registry.by_kind(obj["apiVersion"].rpartition("/")[0], obj["kind"])
            assert resource is not None
            try:
                await self.client.create(resource.kind, obj)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise

    def close(self) -> None:
        self.store.close()


class _NoTables:
    def table(self, resource: Any, objects: Sequence[Tree], *, include: str, metadata: Tree, version: str) -> Tree:
        raise NotImplementedError


async def _healthy(info: RequestInfo) -> Answer:
    return Answer(raw=b"ok", content_type="text/plain; charset=utf-8")


def _namespaces() -> Sequence[Tree]:
    names = ("default", "kube-system", "kube-public", "kube-node-lease")
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names]
