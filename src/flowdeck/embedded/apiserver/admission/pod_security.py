"""Pod Security Standards: a namespace's labels say which level its pods must keep, and what happens otherwise.

    pod-security.kubernetes.io/enforce: baseline   refuses pods that break the level
    pod-security.kubernetes.io/warn: restricted    warns, of workloads' templates too
    pod-security.kubernetes.io/audit: ...          kept for compatibility: there is no audit log to write to

The checks are in `pod_security_checks.py`. Of the versions (`enforce-version`) only `latest` is known: an older one is
judged like the latest. Source: k8s.io/pod-security-admission (admission/admission.go).
"""

from dataclasses import dataclass

from flowdeck.embedded.apiserver.admission.plugin import Plugin, is_for, is_new_pod, object_of, refusal
from flowdeck.embedded.apiserver.admission.pod_security_checks import violations
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Storage
from flowdeck.kube.kinds import NAMESPACE
from flowdeck.kube.objects import ObjectKey, Tree, get_in, labels_of

PREFIX = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")

_TEMPLATES = {
    "deployments": ("spec", "template"),
    "replicasets": ("spec", "template"),
    "statefulsets": ("spec", "template"),
    "daemonsets": ("spec", "template"),
    "jobs": ("spec", "template"),
    "replicationcontrollers": ("spec", "template"),
    "podtemplates": ("template",),
    "cronjobs": ("spec", "jobTemplate", "spec", "template"),
}
_TEMPLATE_GROUPS = ("", "apps", "batch")


@dataclass(frozen=True)
class PodSecurity(Plugin):
    storage: Storage
    name: str = "PodSecurity"

    async def validate(self, request: AdmissionRequest) -> None:
        kind = request.resource.kind
        if is_new_pod(request) or (is_for(request, "pods") and request.operation == "UPDATE"):
            if request.operation == "CREATE" or _matters(request):
                self._check_pod(request, object_of(request))
        elif kind.plural in _TEMPLATES and kind.group in _TEMPLATE_GROUPS and request.obj and not request.subresource:
            self._warn_of_template(request, get_in(request.obj, *_TEMPLATES[kind.plural]))

    def _labels(self, namespace: str) -> dict[str, str]:
        found = self.storage.get(NAMESPACE, ObjectKey("", namespace)) or {}
        return {key.removeprefix(PREFIX): value for key, value in labels_of(found).items() if key.startswith(PREFIX)}

    def _check_pod(self, request: AdmissionRequest, pod: Tree) -> None:
        labels = self._labels(request.key.namespace)
        if not labels:
            return
        told = _told(pod, labels, "enforce")
        if told:
            raise refusal(request, told)
        warning = _told(pod, labels, "warn", "would violate")
        if warning:
            request.warnings.append(warning)

    def _warn_of_template(self, request: AdmissionRequest, template: Tree | None) -> None:
        labels = self._labels(request.key.namespace)
        if not labels or not template or not template.get("spec"):
            return
        for mode in ("enforce", "warn"):
            warning = _told(template, labels, mode, "would violate")
            if warning and warning not in request.warnings:
                request.warnings.append(warning)


def _told(pod: Tree, labels: dict[str, str], mode: str, verb: str = "violates") -> str:
    """`violates PodSecurity "baseline:latest": ...`, or `""` when the pod keeps the level."""
    level = labels.get(mode, LEVELS[0])
    if level == LEVELS[0]:
        return ""
    if level not in LEVELS:
        level = LEVELS[-1]  # as upstream: what cannot be read is taken for the strictest
    broken = violations(pod, level)
    version = labels.get(f"{mode}-version", "latest")
    return f'{verb} PodSecurity "{level}:{version}": {", ".join(broken)}' if broken else ""


def _matters(request: AdmissionRequest) -> bool:
    """Of updates only those count that could change the judgement: images and the like cannot."""
    old, new = request.old or {}, object_of(request)
    return old.get("spec") != new.get("spec")
