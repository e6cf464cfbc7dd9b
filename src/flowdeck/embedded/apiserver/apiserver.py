"""The API server, put together: store, registry, admission, who may do what, the paths that are served."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
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
from flowdeck.embedded.apiserver.pods_network import ToPod, reached_directly
from flowdeck.embedded.apiserver.rbac import FirstThatAllows, RbacAuthorizer
from flowdeck.embedded.apiserver.registry import Registry
from flowdeck.embedded.apiserver.resource_handlers import ResourceHandlers
from flowdeck.embedded.apiserver.reviews import Reviews, discovery_routes
from flowdeck.embedded.apiserver.settings import DEFAULT_WATCHES, Provider, WatchLimits
from flowdeck.embedded.apiserver.storage import StoredObjects
from flowdeck.embedded.apiserver.subresources.fronts import Fronts
from flowdeck.embedded.apiserver.subresources.nodes import Nodes
from flowdeck.embedded.apiserver.subresources.routes import Subresources
from flowdeck.embedded.apiserver.token_requests import TokenRequests
from flowdeck.embedded.apiserver.tokens import ServiceAccountTokens
from flowdeck.embedded.apiserver.verbs import Verbs
from flowdeck.embedded.apiserver.watching import Watches
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
    fronts: Fronts
    """Where other servers of this process are listed, so that they are told who asks."""
    nodes: Nodes

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
        watches: WatchLimits = DEFAULT_WATCHES,
        to_pod: ToPod = reached_directly,
    ) -> "ApiServer":
        """Opens the database (made when missing) and puts the server together.

        `rules` are the components' admission rules: what would be webhooks on a cluster. `providers` are the OpenID
        Connect issuers whose users are let in. `check` tells what the platform needs besides and has not: until it has,
        `/readyz` fails. `watches` says how many may be open. `to_pod` connects to pods.
        """
        return _Assembly(database, keys, clock, rules, providers, check, watches, to_pod).server()

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

    async def end(self) -> None:
        """Closes the connections to webhooks and nodes, and the store."""
        await self.nodes.connections.close()
        await self.pipeline.handlers.verbs.plugins.close()
        self.close()

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


@dataclass
class _Assembly:
    """The parts of one API server; each is made when the first other one asks for it."""

    database: Path | str
    keys: pki.Pki
    clock: Clock
    rules: Sequence[AdmissionRule]
    providers: Sequence[Provider]
    check: Check
    watches: WatchLimits
    to_pod: ToPod

    def server(self) -> ApiServer:
        custom_kinds = CustomKinds(self.registry, self.stored)
        custom_kinds.load()
        self.store.on_change(custom_kinds.note)
        client = DirectClient(self.verbs, self.pipeline.call, self.pipeline.ask)
        self.verbs.plugins = chain(
            self.stored,
            authorizer=self.authorizer,
            rbac=self.rbac,
            find_kind=self.registry.find_kind,
            rules=self.rules,
            reader=client,
            clock=self.clock,
            random=self.random,
            tokens=self.tokens,
            ca_file=self.keys.ca,
            to_pod=self.to_pod,
        )
        return ApiServer(self.store, self.registry, self.pipeline, client, self.fronts, self.nodes)

    # ---- what is stored -------------------------------------------------------------------------------------------

    @cached_property
    def store(self) -> Store:
        return Store(self.database)

    @cached_property
    def stored(self) -> StoredObjects:
        return StoredObjects(self.store)

    @cached_property
    def random(self) -> Random:
        return Random()

    @cached_property
    def registry(self) -> Registry:
        reviews = Reviews(tokens=self.bearer, authorizer=self.authorizer, rbac=self.rbac)
        dependencies = Dependencies(addresses=ServiceAddresses(self.stored), storage=self.stored, clock=self.clock)
        virtual = {**reviews.handlers(), "bindings": self._bind}
        metrics = MetricsApi(self.stored, self.nodes, self.clock)
        return Registry([*builtin_resources(dependencies, virtual=virtual), *metrics.resources()])

    @cached_property
    def verbs(self) -> Verbs:
        return Verbs(self.store, self.registry, self.clock, self.random)

    # ---- who may do what ------------------------------------------------------------------------------------------

    @cached_property
    def tokens(self) -> ServiceAccountTokens:
        return ServiceAccountTokens(self.keys.service_account, storage=self.stored, clock=self.clock, issuer=ISSUER)

    @cached_property
    def bearer(self) -> BearerTokens:
        return BearerTokens([self.tokens, *(Oidc(provider, self.clock) for provider in self.providers)])

    @cached_property
    def rbac(self) -> RbacAuthorizer:
        return RbacAuthorizer(self.stored)

    @cached_property
    def authorizer(self) -> FirstThatAllows:
        return FirstThatAllows([NodeAuthorizer(self.stored), self.rbac])

    # ---- what is asked --------------------------------------------------------------------------------------------

    @cached_property
    def nodes(self) -> Nodes:
        return Nodes(self.stored, tls=lambda: pki.client_context(self.keys, self.keys.kubelet_client))

    @cached_property
    def fronts(self) -> Fronts:
        return Fronts(self.clock)

    @cached_property
    def subresources(self) -> Subresources:
        return Subresources(self.verbs, self.registry, self.stored, self.clock, self.nodes, self.fronts, self.to_pod)

    async def _bind(self, info: RequestInfo) -> Answer:
        return await self.subresources.bindings(info)

    @cached_property
    def pipeline(self) -> Pipeline:
        metrics = Metrics(self.store)
        tokens = TokenRequests(tokens=self.tokens, storage=self.stored, clock=self.clock)
        watches = Watches(self.store, self.random, self.watches)
        return Pipeline(
            handlers=ResourceHandlers(self.registry, self.verbs, Negotiator(self.clock), self.clock, watches),
            metrics=metrics,
            authenticator=Union([ClientCertificates(self.clock), self.bearer]),
            authorizer=self.authorizer,
            documents=[Discovery(self.registry).answer, OpenApi(self.registry).answer],
            routes={**health.routes(self.check), "/metrics": metrics.handle, **discovery_routes(self.tokens)},
            subresources={**self.subresources.handlers(), ("serviceaccounts", "token"): tokens.handle},
            upgrades=self.subresources.upgrades(),
        )
