"""LimitRanges: default requests and limits of containers; minima, maxima and ratios of containers, pods, claims.

Source: kubernetes (plugin/pkg/admission/limitranger).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from flowdeck.embedded.apiserver.admission.plugin import Plugin, is_for, is_new_pod, joined, object_of, refusal, spec_of
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Storage
from flowdeck.kube.kinds import LIMIT_RANGE
from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.pod_resources import Amounts, amounts_of, pod_limits, pod_requests
from flowdeck.kube.quantity import Quantity

ANNOTATION = "kubernetes.io/limit-ranger"


@dataclass(frozen=True)
class LimitRanger(Plugin):
    storage: Storage
    concerns: ClassVar = ("pods", "persistentvolumeclaims")
    name: str = "LimitRanger"

    async def mutate(self, request: AdmissionRequest) -> None:
        if not is_new_pod(request):
            return
        pod = object_of(request)
        spec_of(request)
        for item in self._items(request.key.namespace, "Container"):
            _set_defaults(pod, item)

    async def validate(self, request: AdmissionRequest) -> None:
        if is_new_pod(request):
            errors = self._pod_errors(request.key.namespace, object_of(request))
        elif is_for(request, "persistentvolumeclaims") and request.operation in ("CREATE", "UPDATE"):
            errors = self._claim_errors(request.key.namespace, object_of(request))
        else:
            return
        if errors:
            raise refusal(request, joined(errors))

    def _items(self, namespace: str, type_: str) -> Iterator[Tree]:
        for limit_range in self.storage.list(LIMIT_RANGE, namespace):
            for item in get_in(limit_range, "spec", "limits", default=()):
                if item.get("type") == type_:
                    yield item

    def _pod_errors(self, namespace: str, pod: Tree) -> list[str]:
        errors: list[str] = []
        for item in self._items(namespace, "Container"):
            for container in _containers(pod):
                resources = container.get("resources") or {}
                requests, limits = amounts_of(resources.get("requests")), amounts_of(resources.get("limits"))
                errors.extend(_broken(item, "Container", requests, limits))
        for item in self._items(namespace, "Pod"):
            errors.extend(_broken(item, "Pod", pod_requests(pod), pod_limits(pod)))
        return errors

    def _claim_errors(self, namespace: str, claim: Tree) -> list[str]:
        requests = amounts_of(get_in(claim, "spec", "resources", "requests"))
        errors: list[str] = []
        for item in self._items(namespace, "PersistentVolumeClaim"):
            for name, bound in amounts_of(item.get("min")).items():
                errors.extend(_below(name, "PersistentVolumeClaim", bound, requests.get(name), None))
            for name, bound in amounts_of(item.get("max")).items():
                errors.extend(_above(name, "PersistentVolumeClaim", bound, requests.get(name)))
        return errors


def _containers(pod: Tree) -> Iterable[Tree]:
    return [*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())]


def _set_defaults(pod: Tree, item: Tree) -> None:
    limits: Mapping[str, str] = item.get("default") or item.get("max") or {}
    requests: Mapping[str, str] = {**limits, **(item.get("defaultRequest") or {})}
    told = []
    for list_name, word in (("containers", "container"), ("initContainers", "init container")):
        for container in pod["spec"].get(list_name) or ():
            resources = container["resources"] = dict(container.get("resources") or {})
            for values, kind in ((requests, "request"), (limits, "limit")):
                had = resources.get(f"{kind}s") or {}
                new = {name: value for name, value in values.items() if name not in had}
                if new:
                    resources[f"{kind}s"] = {**had, **new}
                    names = ", ".join(sorted(new))
                    told.append(f"{names} {kind} for {word} {container.get('name', '')}")
    if told:
        annotations = pod["metadata"].get("annotations") or {}
        pod["metadata"]["annotations"] = annotations | {ANNOTATION: f"LimitRanger plugin set: {'; '.join(told)}"}


def _broken(item: Tree, type_: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, bound in amounts_of(item.get("min")).items():
        yield from _below(name, type_, bound, requests.get(name), limits.get(name))
    for name, bound in amounts_of(item.get("max")).items():
        yield from _over(name, type_, bound, requests.get(name), limits.get(name))
    for name, ratio in amounts_of(item.get("maxLimitRequestRatio")).items():
        yield from _ratio(name, type_, ratio, requests.get(name), limits.get(name))


def _below(name: str, type_: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    told = f"minimum {name} usage per {type_} is {bound}"
    if request is None:
        yield f"{told}.  No request is specified"
    elif request < bound:
        yield f"{told}, but request is {request}"
    elif limit is not None and limit < bound:
        yield f"{told}, but limit is {limit}"


def _over(name: str, type_: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    told = f"maximum {name} usage per {type_} is {bound}"
    if limit is None:
        yield f"{told}.  No limit is specified"
    elif bound < limit:
        yield f"{told}, but limit is {limit}"
    elif request is not None and bound < request:
        yield f"{told}, but request is {request}"


def _above(name: str, type_: str, bound: Quantity, request: Quantity | None) -> Iterator[str]:
    told = f"maximum {name} usage per {type_} is {bound}"
    if request is None:
        yield f"{told}.  No request is specified"
    elif bound < request:
        yield f"{told}, but request is {request}"


def _ratio(name: str, type_: str, ratio: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    told = f"{name} max limit to request ratio per {type_} is {ratio}"
    if request is None or not request.value:
        yield f"{told}, but no request is specified or request is 0"
    elif limit is None or not limit.value:
        yield f"{told}, but no limit is specified or limit is 0"
    elif limit.value / request.value > ratio.value:
        yield f"{told}, but provided ratio is {float(limit.value / request.value):f}"
