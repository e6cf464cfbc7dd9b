"""The API server, put together: store, registry, admission, who may do what, the paths that are served."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from flowdeck.clock import Clock
from flowdeck.controller.admission import AdmissionRule
from flowdeck.embedded.apiserver import bootstrap_roles, health, pki
from flowdeck.embedded.apiserver.admission.chain import chain
from flowdeck.embedded.apiserver.authentication import BearerTokens, ClientCertificates, Union
from flowdeck.embedded.apiserver.builtin.addresses import ServiceAddresses
from flowdeck.embedded.apiserver.builtin.resources import builtin_resources
from flowdeck.embedded.apiserver.builtin.rules import Dependencies
from flowdeck.embedded.apiserver.contract import Answer, RequestInfo
from flowdeck.embedded.apiserver.crds import CustomKinds
from flowdeck.embedded.apiserver.direct_client import DirectClient
from flowdeck.embedded.apiserver.discovery import Discovery
from flowdeck.embedded.apiserver.forms import Negotiator
from flowdeck.embedded.apiserver.health import Check, all_is_well
from flowdeck.embedded.apiserver.metrics import Metrics
from flowdeck.embedded.apiserver.metrics_api import MetricsApi
from flowdeck.embedded.apiserver.node_authorizer import NodeAuthorizer
from flowdeck.embedded.apiserver.oidc import Oidc
from flowdeck.embedded.apiserver.openapi import OpenApi
from flowdeck.embedded.apiserver.pipeline import Pipeline
from flowdeck.embedded.apiserver.rbac import FirstThatAllows, RbacAuthorizer
from flowdeck.embedded.apiserver.registry import Registry
from flowdeck.embedded.apiserver.resource_handlers import ResourceHandlers
from flowdeck.embedded.apiserver.reviews import Reviews, discovery_routes
from flowdeck.embedded.apiserver.settings import Provider
from flowdeck.embedded.apiserver.storage import StoredObjects
from flowdeck.embedded.apiserver.subresources.nodes import Nodes
from flowdeck.embedded.apiserver.subresources.routes import Subresources
from flowdeck.embedded.apiserver.token_requests import TokenRequests
from flowdeck.embedded.apiserver.tokens import ServiceAccountTokens
from flowdeck.embedded.apiserver.verbs import Verbs
from flowdeck.embedded.store.store import Store
from flowdeck.kube.errors import NotFound
from flowdeck.kube.objects import Kind, Tree, key_of

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
    def open(
        cls,
        database: Path | str,
        keys: pki.Pki,
        clock: Clock,
        *,
        rules: Sequence[AdmissionRule] = (),
        providers: Sequence[Provider] = (),
        check: Check = all_is_well,
    ) -> "ApiServer":
        """Opens the database (made when missing) and puts the server together.

        `rules` are the components' admission rules: what would be webhooks on a cluster. `providers` are the OpenID
        Connect issuers whose users are let in. `check` tells what the platform needs besides and has not: until it has,
        `/readyz` fails.
        """
        store = Store(database)
        stored = StoredObjects(store)
        random = Random()
        tokens = ServiceAccountTokens(keys.service_account, storage=stored, clock=clock, issuer=ISSUER)
        bearer = BearerTokens([tokens, *(Oidc(provider, clock) for provider in providers)])
        rbac = RbacAuthorizer(stored)
        authorizer = FirstThatAllows([NodeAuthorizer(stored), rbac])
        reviews = Reviews(tokens=bearer, authorizer=authorizer, rbac=rbac)
        addresses = ServiceAddresses(stored)
        dependencies = Dependencies(addresses=addresses, storage=stored, clock=clock)

        async def bind(info: RequestInfo) -> Answer:
            return await subresources.bindings(info)

        nodes = Nodes(stored, tls=lambda: pki.client_context(keys, keys.kubelet_client))
        registry = Registry(
            [
                *builtin_resources(dependencies, virtual={**reviews.handlers(), "bindings": bind}),
                *MetricsApi(stored, nodes, clock).resources(),
            ]
        )
        custom_kinds = CustomKinds(registry, stored)
        custom_kinds.load()
        store.on_change(custom_kinds.note)
        verbs = Verbs(store, registry, clock, random)
        subresources = Subresources(verbs, registry, stored, clock, nodes)
        handlers = ResourceHandlers(registry, verbs, Negotiator(clock), clock, random)
        metrics = Metrics(store)
        pipeline = Pipeline(
            handlers=handlers,
            metrics=metrics,
            authenticator=Union([ClientCertificates(clock), bearer]),
            authorizer=authorizer,
            documents=[Discovery(registry).answer, OpenApi(registry).answer],
            routes={
                **health.routes(check),
                "/metrics": metrics.handle,
                **discovery_routes(tokens),
            },
            subresources={
                **subresources.handlers(),
                ("serviceaccounts", "token"): TokenRequests(tokens=tokens, storage=stored, clock=clock).handle,
            },
            upgrades=subresources.upgrades(),
        )
        client = DirectClient(verbs, pipeline.call)
        verbs.plugins = chain(
            stored,
            authorizer=authorizer,
            rbac=rbac,
            find_kind=registry.find_kind,
            rules=rules,
            reader=client,
            clock=clock,
            random=random,
            tokens=tokens,
            ca_file=keys.ca,
        )
        return cls(store, registry, pipeline, client)

    def kind_of(self, obj: Tree) -> Kind:
        """The kind that an object's `apiVersion` and `kind` name. Raises `NotFound` when it is not served."""
        group, _, version = obj["apiVersion"].rpartition("/")
        resource = self.registry.by_kind(group, obj["kind"], version)
        if resource is None:
            raise NotFound(f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"')
        return resource.kind

    async def bootstrap(self) -> None:
        """Creates what must exist before anybody asks: namespaces, default roles."""
        for obj in [*_namespaces(), *bootstrap_roles.bootstrap_objects()]:
            kind, key = self.kind_of(obj), key_of(obj)
            stored = await self.client.find(kind, key)
            if stored is None:
                await self.client.create(kind, obj)
            elif patch := bootstrap_roles.what_is_missing(stored, obj):
                await self.client.patch(kind, key, patch)

    def close(self) -> None:
        self.store.close()


def _namespaces() -> Sequence[Tree]:
    """The namespaces that always are, each with its default account, so that pods can be made at once."""
    names = ("default", "kube-system", "kube-public", "kube-node-lease")
    namespaces: list[Tree] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names]
    accounts: list[Tree] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        for name in names
    ]
    return [*namespaces, *accounts]
