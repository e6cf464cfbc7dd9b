"""Where an autoscaler learns what pods use."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import orjson

from flowdeck.client.base import Client
from flowdeck.kube.errors import ApiError
from flowdeck.kube.kinds import POD_METRICS
from flowdeck.kube.objects import Tree
from flowdeck.kube.quantity import Quantity, parse_quantity
from flowdeck.kube.times import parse_time


class NoMetrics(Exception):
    """The numbers cannot be had; says why in upstream's words."""


@dataclass(frozen=True)
class Sample:
    """What one pod uses."""

    value: int
    """Thousandths: of a core, of a byte."""
    at: datetime
    window_s: float


class Metrics(Protocol):
    """A source of pod metrics."""

    async def usage(self, namespace: str, selector: str, resource: str, container: str = "") -> Mapping[str, Sample]:
        """By pod name: a resource's use, of one container or of all. Raises `NoMetrics`."""
        ...


@dataclass(frozen=True)
class MetricsApi:
    """`metrics.k8s.io` of the API server."""

    client: Client

    async def usage(self, namespace: str, selector: str, resource: str, container: str = "") -> Mapping[str, Sample]:
        try:
            answer = await self.client.raw(
                "GET", POD_METRICS.url(namespace=namespace), query={"labelSelector": selector}
            )
        except ApiError as error:
            raise NoMetrics(f"unable to fetch metrics from resource metrics API: {error.message}") from error
        items = orjson.loads(answer).get("items") or ()
        if not items:
            raise NoMetrics("no metrics returned from resource metrics API")
        found = {item["metadata"]["name"]: _sample(item, resource, container) for item in items}
        return {name: sample for name, sample in found.items() if sample is not None}


def _sample(item: Tree, resource: str, container: str) -> Sample | None:
    """The sum over the pod's containers; None where one of them has no number for the resource."""
    containers = [c for c in item.get("containers") or () if not container or c["name"] == container]
    amounts = [parse_quantity(c["usage"][resource]) for c in containers if resource in (c.get("usage") or {})]
    if not amounts or len(amounts) < len(containers):
        return None
    total = sum((amount.value for amount in amounts[1:]), amounts[0].value)
    return Sample(Quantity(total).milli, parse_time(item["timestamp"]), _seconds(item.get("window", "0s")))


def _seconds(duration: str) -> float:
    """A Go duration as the metrics API writes it: `10.02s`, `1m0s`."""
    total, digits = 0.0, ""
    for char in duration:
        if char.isdigit() or char == ".":
            digits += char
        elif digits:
            total += float(digits) * {"h": 3600.0, "m": 60.0, "s": 1.0}.get(char, 0.0)
            digits = ""
    return total
