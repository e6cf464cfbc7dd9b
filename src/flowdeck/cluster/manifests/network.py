"""The ways to the operator: Services, and who may use them."""

from collections.abc import Iterator, Sequence

from flowdeck.cluster.manifests.objects import an_object
from flowdeck.cluster.names import NAME, NAMESPACE, PODS
from flowdeck.cluster.settings import ClusterSettings
from flowdeck.components.base import Component
from flowdeck.kube.kinds import NETWORK_POLICY, SERVICE
from flowdeck.kube.objects import Tree

METRICS_LABEL = {"metrics": "enabled"}
"""Namespaces with this label may read metrics, as with other operators."""


def services(parts: Sequence[Component]) -> Iterator[Tree]:
    """One for the webhooks, and the components' fronts. A Service finds pods of its own namespace alone: from others a
    name leads here.
    """
    yield an_object(SERVICE, NAME, spec=_spec("webhooks", 443, "webhooks"))
    for front in (front for part in parts for front in part.fronts()):
        yield an_object(SERVICE, front.name, spec=_spec(front.label, front.port, front.label))
        if front.namespace != NAMESPACE:
            there = {"type": "ExternalName", "externalName": f"{front.name}.{NAMESPACE}.svc.cluster.local"}
            yield an_object(SERVICE, front.name, namespace=front.namespace, spec=there)


def _spec(label: str, port: int, target: str) -> Tree:
    ports = [{"name": label, "port": port, "protocol": "TCP", "targetPort": target}]
    return {"type": "ClusterIP", "selector": dict(PODS), "ports": ports}


def policies(settings: ClusterSettings, parts: Sequence[Component]) -> Iterator[Tree]:
    """Into the operator's pods come webhook calls, reports of pods, and who reads metrics.

    The API server calls from the nodes' network, which no selector names: the webhook port is open, and its requests
    are only answered. Ways out are not limited: only the cluster knows where its API server is.
    """
    ingress: list[Tree] = [
        {"ports": [_port(settings.webhook_port)]},
        {"ports": [_port(settings.health_port)], "from": [{"namespaceSelector": {"matchLabels": METRICS_LABEL}}]},
    ]
    fronts = [front for part in parts for front in part.fronts()]
    if fronts:
        ports = [_port(front.target_port) for front in fronts]
        ingress.append({"ports": ports, "from": [{"namespaceSelector": {}}]})
    spec = {"podSelector": {"matchLabels": dict(PODS)}, "policyTypes": ["Ingress"], "ingress": ingress}
    yield an_object(NETWORK_POLICY, NAME, spec=spec)


def _port(number: int) -> Tree:
    return {"port": number, "protocol": "TCP"}
