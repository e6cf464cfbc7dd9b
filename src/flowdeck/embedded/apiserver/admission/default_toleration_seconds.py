"""Pods stay for five minutes on a node that is not ready or not reachable, unless they say otherwise.

Source: kubernetes (plugin/pkg/admission/defaulttolerationseconds).
"""

from dataclasses import dataclass
from typing import ClassVar

from flowdeck.embedded.apiserver.admission.plugin import Plugin, is_pod, spec_of
from flowdeck.embedded.apiserver.contract import AdmissionRequest
from flowdeck.kube.objects import Tree

SECONDS = 300
TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


@dataclass(frozen=True)
class DefaultTolerationSeconds(Plugin):
    concerns: ClassVar = ("pods",)
    name: str = "DefaultTolerationSeconds"

    async def mutate(self, request: AdmissionRequest) -> None:
        if not is_pod(request):
            return
        spec = spec_of(request)
        had = spec.get("tolerations") or []
        missing = [_toleration(taint) for taint in TAINTS if not any(_tolerates(item, taint) for item in had)]
        if missing:
            spec["tolerations"] = [*had, *missing]


def _toleration(taint: str) -> Tree:
    return {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}


def _tolerates(toleration: Tree, taint: str) -> bool:
    return toleration.get("key") in (taint, None, "") and toleration.get("effect") in ("NoExecute", None, "")
