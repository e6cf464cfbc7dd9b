"""`/metrics` in Prometheus' text format: requests, stored objects, and whatever else is registered."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flowdeck.embedded.apiserver.contract import Answer, RequestInfo
from flowdeck.embedded.store.store import Store

Collect = Callable[[], Iterable[Metric]]


@dataclass
class Metrics:
    """The counts of one API server; names as kube-apiserver has them."""

    store: Store
    requests: dict[tuple[str, str, str, int], int] = field(default_factory=dict)
    """`(verb, resource, subresource, code)` -> how many."""
    registry: CollectorRegistry = field(default_factory=lambda: CollectorRegistry(auto_describe=False))

    def __post_init__(self) -> None:
        self.add(self._collect)

    def add(self, collect: Collect) -> None:
        """Serves what `collect` gives, too."""
        self.registry.register(_Calls(collect))

    def count(self, info: RequestInfo | None, code: int) -> None:
        """Notes an answered request."""
        key = ("", "", "", code)
        if info is not None and info.resource is not None:
            subresource = info.subresource if info.subresource in info.resource.subresources else ""
            key = (info.verb, info.resource.kind.plural, subresource, code)
        elif info is not None:
            key = (info.verb, "", "", code)
        self.requests[key] = self.requests.get(key, 0) + 1

    async def handle(self, info: RequestInfo) -> Answer:
        """The handler of `/metrics`: our own counts, and those of the process-wide registry (components')."""
        text = generate_latest(self.registry) + generate_latest(REGISTRY)
        return Answer(raw=text, content_type="text/plain; version=0.0.4; charset=utf-8")

    def _collect(self) -> Iterable[Metric]:
        labels = ["verb", "resource", "subresource", "code"]
        requests = CounterMetricFamily("apiserver_request_total", "Answered requests.", labels=labels)
        for (verb, resource, subresource, code), count in self.requests.items():
            requests.add_metric([verb.upper(), resource, subresource, str(code)], count)
        yield requests
        objects = GaugeMetricFamily("apiserver_storage_objects", "Stored objects.", labels=["resource"])
        for resource, count in self.store.counts().items():
            objects.add_metric([resource], count)
        yield objects


class _Calls(Collector):
    def __init__(self, collect: Collect) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()
