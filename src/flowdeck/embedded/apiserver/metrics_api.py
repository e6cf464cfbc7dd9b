"""`metrics.k8s.io`: what nodes and pods use right now, asked of the nodes. For `kubectl top` and autoscalers.

Source: kubernetes-sigs/metrics-server (pkg/api).
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.builtin.strategy import BuiltinStrategy, Rules
from flowdeck.embedded.apiserver.contract import Answer, Handler, RequestInfo, Resource, Storage
from flowdeck.embedded.apiserver.subresources.nodes import Nodes
from flowdeck.kube.errors import ApiError, MethodNotAllowed, not_found
from flowdeck.kube.kinds import NODE, NODE_METRICS, POD, POD_METRICS
from flowdeck.kube.names import dns_subdomain
from flowdeck.kube.objects import Kind, ObjectKey, Tree, key_of, labels_of
from flowdeck.kube.schema import Schema
from flowdeck.kube.selectors import parse_label_selector
from flowdeck.kube.times import format_time

WINDOW = "10s"
ASK_S = 5.0
"""How long a node may take to answer; without an answer its metrics are left out."""


@dataclass(frozen=True)
class MetricsApi:
    """Answers for both kinds."""

    storage: Storage
    nodes: Nodes
    clock: Clock

    def resources(self) -> Sequence[Resource]:
        return [_resource(NODE_METRICS, self._of_nodes), _resource(POD_METRICS, self._of_pods)]

    async def _of_nodes(self, info: RequestInfo) -> Answer:
        nodes = self._asked_for(info, NODE)
        summaries = await self._summaries(node["metadata"]["name"] for node in nodes)
        items = [
            self._item(NODE_METRICS, node, {"usage": _usage(summary["node"])})
            for node in nodes
            if (summary := summaries.get(node["metadata"]["name"]))
        ]
        return _answer(info, NODE_METRICS, items)

    async def _of_pods(self, info: RequestInfo) -> Answer:
        pods = [pod for pod in self._asked_for(info, POD) if (pod.get("status") or {}).get("phase") == "Running"]
        summaries = await self._summaries({node for pod in pods if (node := pod["spec"].get("nodeName"))})
        used = {pod["podRef"]["uid"]: pod for summary in summaries.values() for pod in summary["pods"]}
        items = [
            self._item(POD_METRICS, pod, {"containers": _containers(used[uid])})
            for pod in pods
            if (uid := pod["metadata"]["uid"]) in used and used[uid]["containers"]
        ]
        return _answer(info, POD_METRICS, items)

    def _asked_for(self, info: RequestInfo, kind: Kind) -> Sequence[Tree]:
        if info.verb not in ("get", "list"):
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        assert info.key is not None
        if info.key.name:
            found = self.storage.get(kind, info.key)
            if found is None:
                raise not_found(kind, info.key.name)
            return [found]
        selector = parse_label_selector(info.query.get("labelSelector", ""))
        return [obj for obj in self.storage.list(kind, info.key.namespace) if selector.matches(labels_of(obj))]

    async def _summaries(self, nodes: Iterable[str]) -> dict[str, Tree]:
        names = list(nodes)
        found = await asyncio.gather(*(self._summary(name) for name in names))
        return {name: summary for name, summary in zip(names, found, strict=True) if summary}

    async def _summary(self, node: str) -> Tree | None:
        try:
            async with asyncio.timeout(ASK_S):
                answer = await self.nodes.ask_node(node, "/stats/summary")
                assert answer.stream is not None
                summary: Tree = orjson.loads(b"".join([piece async for piece in answer.stream]))
                return summary
        except (ApiError, TimeoutError):
            return None

    def _item(self, kind: Kind, about: Tree, numbers: Tree) -> Tree:
        key: ObjectKey = key_of(about)
        now = format_time(self.clock.now())
        meta: Tree = {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
        meta |= {"creationTimestamp": now, **({"labels": dict(labels_of(about))} if labels_of(about) else {})}
        head = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta}
        return {**head, "timestamp": now, "window": WINDOW, **numbers}


def _resource(kind: Kind, handler: Handler) -> Resource:
    return Resource(
        kind=kind,
        singular="",
        verbs=("get", "list"),
        schema=Schema.compile({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        strategy=BuiltinStrategy(kind, Rules(name=dns_subdomain)),
        storage_version=kind.version,
        virtual=handler,
    )


def _containers(pod: Tree) -> Sequence[Tree]:
    return [{"name": container["name"], "usage": _usage(container)} for container in pod["containers"]]


def _usage(numbers: Tree) -> Tree:
    """CPU in nanocores and memory in KiB, as metrics-server writes them."""
    return {
        "cpu": f"{numbers['cpu']['usageNanoCores']}n",
        "memory": f"{numbers['memory']['workingSetBytes'] // 1024}Ki",
    }


def _answer(info: RequestInfo, kind: Kind, items: Sequence[Tree]) -> Answer:
    if info.key is not None and info.key.name:
        if not items:
            raise not_found(kind, info.key.name)
        return Answer(obj=items[0])
    return Answer(
        obj={"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": {}, "items": list(items)}
    )
