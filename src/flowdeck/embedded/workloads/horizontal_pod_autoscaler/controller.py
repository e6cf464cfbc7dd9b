"""Scales workloads by what their pods use.

Reads   HorizontalPodAutoscaler, the target's `scale`, Pod, metrics
Writes  the target's `scale`, HorizontalPodAutoscaler status, Events
Looks every 15 seconds at each autoscaler there is: metrics have no watch.
Source: kubernetes (pkg/controller/podautoscaler)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Result, look_again_in
from flowdeck.controller.events import Events, Happening, tell
from flowdeck.controller.status import write_status
from flowdeck.embedded.workloads.horizontal_pod_autoscaler import replicas as calculator
from flowdeck.embedded.workloads.horizontal_pod_autoscaler.behavior import Memory, bounds, limit, tolerance_of
from flowdeck.embedded.workloads.horizontal_pod_autoscaler.metrics import Metrics, NoMetrics
from flowdeck.embedded.workloads.horizontal_pod_autoscaler.replicas import Proposal, Scene
from flowdeck.embedded.workloads.horizontal_pod_autoscaler.target import Target, find_target, resize
from flowdeck.kube.conditions import Condition, set_condition
from flowdeck.kube.errors import ApiError
from flowdeck.kube.kinds import HORIZONTAL_POD_AUTOSCALER, POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in, key_of
from flowdeck.kube.quantity import Quantity, parse_quantity
from flowdeck.kube.times import format_time

SYNC_S = 15.0
NO_CUSTOM = "no known available metric versions found"


@dataclass
class Report:
    """What one look at an autoscaler found, on its way into the status."""

    autoscaler: Tree
    now: datetime
    conditions: list[Tree]
    desired: int = 0
    current: int = 0
    metrics: list[Tree] | None = None
    scaled: bool = False

    def say(self, type_: str, status: Literal["True", "False"], reason: str, message: str) -> None:
        set_condition(
            self.conditions, Condition(type=type_, status=status, reason=reason, message=message), now=self.now
        )

    def status(self) -> Tree:
        before = self.autoscaler.get("status") or {}
        return {
            "observedGeneration": self.autoscaler["metadata"].get("generation"),
            "lastScaleTime": format_time(self.now) if self.scaled else before.get("lastScaleTime"),
            "currentReplicas": self.current or None,
            "desiredReplicas": self.desired,
            "currentMetrics": before.get("currentMetrics") if self.metrics is None else self.metrics,
            "conditions": self.conditions,
        }


class Unusable(Exception):
    """A metric that gives no number: condition reason, and message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class HorizontalPodAutoscalerController:
    """Looks at autoscalers."""

    client: Client
    clock: Clock
    events: Events
    metrics: Metrics
    name: str = "horizontalpodautoscaler"
    kind: Kind = HORIZONTAL_POD_AUTOSCALER
    watches: Sequence[Maps] = ()
    _memory: dict[ObjectKey, Memory] = field(default_factory=dict)

    async def reconcile(self, key: ObjectKey) -> Result:
        autoscaler = await self.client.find(HORIZONTAL_POD_AUTOSCALER, key)
        if autoscaler is None:
            self._memory.pop(key, None)
            return DONE
        now = self.clock.now()
        memory = self._memory.setdefault(key, Memory())
        wait_s = _wait_s(autoscaler, memory, now)
        if wait_s > 0:
            return look_again_in(wait_s)
        memory.looked_at = (now, autoscaler["spec"])
        report = Report(autoscaler, now, list(get_in(autoscaler, "status", "conditions", default=[])))
        told = await self._look(report)
        await write_status(self.client, self.kind, autoscaler, report.status())
        await tell(self.events, autoscaler, told)
        return look_again_in(SYNC_S)

    async def _look(self, report: Report) -> list[Happening]:
        """One round; gives the events to send after the status."""
        try:
            target = await find_target(self.client, report.autoscaler)
        except ApiError as error:
            message = f"the HPA controller was unable to get the target's current scale: {error.message}"
            report.say("AbleToScale", "False", "FailedGetScale", message)
            before = report.autoscaler.get("status") or {}
            report.current, report.desired = before.get("currentReplicas", 0), before.get("desiredReplicas", 0)
            return [Happening("Warning", "FailedGetScale", error.message)]
        message = "the HPA controller was able to get the target's current scale"
        report.say("AbleToScale", "True", "SucceededGetScale", message)
        report.current = report.desired = target.replicas
        minimum, maximum = bounds(report.autoscaler)
        if target.replicas == 0 and minimum != 0:
            text = "scaling is disabled since the replica count of the target is zero"
            report.say("ScalingActive", "False", "ScalingDisabled", text)
            return []
        if target.replicas > maximum:
            report.desired, why = maximum, "Current number of replicas above Spec.MaxReplicas"
        elif target.replicas < minimum:
            report.desired, why = minimum, "Current number of replicas below Spec.MinReplicas"
        else:
            try:
                why = await self._by_metrics(report, target)
            except NoMetrics as error:
                report.desired = get_in(report.autoscaler, "status", "desiredReplicas", default=0)
                text = f"failed to compute desired number of replicas based on listed metrics for {_named(target)}: "
                return [Happening("Warning", "FailedComputeMetricsReplicas", f"{text}{error}")]
        return await self._rescale(report, target, why) if report.desired != target.replicas else []

    async def _rescale(self, report: Report, target: Target, why: str) -> list[Happening]:
        error = await resize(self.client, target, report.desired)
        if error is not None:
            text = f"New size: {report.desired}; reason: {why}; error: {error.message}"
            message = f"the HPA controller was unable to update the target scale: {error.message}"
            report.say("AbleToScale", "False", "FailedUpdateScale", message)
            report.desired = target.replicas
            return [Happening("Warning", "FailedRescale", text)]
        message = f"the HPA controller was able to update the target scale to {report.desired}"
        report.say("AbleToScale", "True", "SucceededRescale", message)
        memory = self._memory[key_of(report.autoscaler)]
        memory.note_change(target.replicas, report.desired, report.now)
        report.scaled = True
        return [Happening("Normal", "SuccessfulRescale", f"New size: {report.desired}; reason: {why}")]

    async def _by_metrics(self, report: Report, target: Target) -> str:
        """Sets the desired size that the metrics ask for, within all limits; gives why. Raises `NoMetrics`."""
        if not target.selector:
            text = "the HPA target's scale is missing a selector"
            report.say("ScalingActive", "False", "InvalidSelector", text)
            raise NoMetrics("selector is required")
        proposals, failures = await self._proposals(report, target)
        listed = report.autoscaler["spec"].get("metrics") or ()
        best = max(proposals, key=lambda found: found[1].replicas, default=None)
        if failures and (best is None or best[1].replicas < target.replicas):
            report.say("ScalingActive", "False", failures[0].reason, _unable(failures[0]))
            count = f"{len(failures)} invalid out of {len(listed)}"
            raise NoMetrics(f"invalid metrics ({count}), first error is: {failures[0]}")
        if best is None:
            raise NoMetrics("no metrics are listed")
        name, wanted = best[0], best[1].replicas
        text = f"the HPA was able to successfully calculate a replica count from {name}"
        report.say("ScalingActive", "True", "ValidMetricFound", text)
        memory = self._memory[key_of(report.autoscaler)]
        memory.begin(target.replicas, report.now)
        found = limit(report.autoscaler, memory, target.replicas, wanted, report.now)
        report.say("AbleToScale", "True", found.able_reason, found.able_message)
        limited: Literal["True", "False"] = "True" if found.is_limited else "False"
        report.say("ScalingLimited", limited, found.limited_reason, found.limited_message)
        report.desired = found.replicas
        return f"{name} above target" if wanted > target.replicas else "All metrics below target"

    async def _proposals(self, report: Report, target: Target) -> tuple[list[tuple[str, Proposal]], list[Unusable]]:
        proposals: list[tuple[str, Proposal]] = []
        failures: list[Unusable] = []
        report.metrics = []
        listed = await self.client.list(POD, namespace=target.key.namespace, labels=target.selector)
        for metric in report.autoscaler["spec"].get("metrics") or ():
            try:
                name, proposal = await self._proposal(report, target, metric, listed.items)
            except Unusable as error:
                failures.append(error)
                report.metrics.append({"type": ""})
            else:
                proposals.append((name, proposal))
                report.metrics.append(_metric_status(metric, proposal))
        return proposals, failures

    async def _proposal(
        self, report: Report, target: Target, metric: Tree, found: Sequence[Tree]
    ) -> tuple[str, Proposal]:
        """What one metric asks for; raises `Unusable`."""
        if metric["type"] not in ("Resource", "ContainerResource"):
            raise _custom(metric)
        source = _source(metric)
        resource, container = source["name"], source.get("container", "")
        kind = "container resource" if container else "resource"
        utilization = source["target"].get("averageUtilization")
        try:
            samples = await self.metrics.usage(target.key.namespace, target.selector, resource, container)
            scene = Scene(
                found, samples, resource, target.replicas, report.now, container, tolerance_of(report.autoscaler)
            )
            if utilization is not None:
                name = f"{resource} {kind} utilization (percentage of request)"
                return name, calculator.for_utilization(scene, int(utilization))
            target_value = parse_quantity(source["target"]["averageValue"]).milli
            return f"{resource} {kind}", calculator.for_average(scene, target_value)
        except NoMetrics as error:
            reason = "FailedGetContainerResourceMetric" if container else "FailedGetResourceMetric"
            what = f"{resource} utilization" if utilization is not None else f"{resource} {kind} metric value"
            raise Unusable(
                reason, f"failed to get {what}: unable to get metrics for resource {resource}: {error}"
            ) from error


def _wait_s(autoscaler: Tree, memory: Memory, now: datetime) -> float:
    """Our own status write is no reason to look again before the time, a changed spec is."""
    if memory.looked_at is None or memory.looked_at[1] != autoscaler["spec"]:
        return 0.0
    return SYNC_S - (now - memory.looked_at[0]).total_seconds()


def _source(metric: Tree) -> Tree:
    name = metric["type"][0].lower() + metric["type"][1:]
    source: Tree = metric[name]
    return source


def _custom(metric: Tree) -> Unusable:
    """Pods, Object and External metrics need an adapter that nobody has installed."""
    kind = metric["type"]
    name = get_in(_source(metric), "metric", "name", default="")
    api = "external metrics API" if kind == "External" else "custom metrics API"
    why = f"unable to get metric {name}: unable to fetch metrics from {api}: {NO_CUSTOM}"
    return Unusable(f"FailedGet{kind}Metric", f"failed to get {kind.lower()} metric value: {why}")


def _unable(failure: Unusable) -> str:
    return f"the HPA was unable to compute the replica count: {failure}"


def _named(target: Target) -> str:
    return f"{target.kind.kind}/{target.key.namespace}/{target.key.name}"


def _metric_status(metric: Tree, proposal: Proposal) -> Tree:
    source = _source(metric)
    current: dict[str, Any] = {"averageValue": _text(proposal.average)}
    if proposal.utilization is not None:
        current["averageUtilization"] = proposal.utilization
    shown: Tree = {"name": source["name"], "current": current}
    if source.get("container"):
        shown["container"] = source["container"]
    field_name = metric["type"][0].lower() + metric["type"][1:]
    return {"type": metric["type"], field_name: shown}


def _text(milli: int) -> str:
    return str(Quantity(parse_quantity(milli).value / 1000))
