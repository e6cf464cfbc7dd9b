"""Pod Security Standards: a namespace's labels say which level its pods must keep, and what happens otherwise.

    pod-security.kubernetes.io/enforce: baseline   refuses pods that break the level
    pod-security.kubernetes.io/warn: restricted    warns, of workloads' templates too
    pod-security.kubernetes.io/audit: ...          kept for compatibility: there is no audit log to write to

The checks are in `pod_security_checks.py`. Of the versions (`enforce-version`) only `latest` is known: an older one is
judged like the latest. Source: k8s.io/pod-security-admission (admission/admission.go).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowdeck.embedded.apiserver.admission.plugin import Plugin, is_for, is_new_pod, object_of, refusal
from flowdeck.embedded.apiserver.admission.pod_security_checks import violations
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Storage
from flowdeck.kube.errors import FieldError, invalid, invalid_object
from flowdeck.kube.kinds import NAMESPACE, POD
from flowdeck.kube.objects import ObjectKey, Tree, get_in, labels_of

PREFIX = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")
_MODES = ("enforce", "audit", "warn")
_VERSION = re.compile(r"latest|v1\.\d+")

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
        if is_new_pod(request) or _is_changed_pod(request):
            self._check_pod(request, object_of(request))
        elif is_for(request, NAMESPACE.plural) and request.obj is not None:
            self._check_namespace(request, request.obj)
        elif kind.plural in _TEMPLATES and kind.group in _TEMPLATE_GROUPS and request.obj and not request.subresource:
            self._warn_of_template(request, get_in(request.obj, *_TEMPLATES[kind.plural]))

    def _labels(self, namespace: str) -> dict[str, str]:
        return _levels(self.storage.get(NAMESPACE, ObjectKey("", namespace)) or {})

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

    def _check_namespace(self, request: AdmissionRequest, namespace: Tree) -> None:
        """The labels must be readable; pods that a new level would refuse stay, and are told of."""
        labels, before = _levels(namespace), _levels(request.old or {})
        if labels == before:
            return
        errors = [error for mode, value in sorted(labels.items()) for error in _label_errors(mode, value)]
        if errors:
            raise invalid_object(NAMESPACE, request.key.name, errors)
        level = labels.get("enforce", LEVELS[0])
        if request.old is None or level == before.get("enforce", LEVELS[0]):
            return
        told = _existing(self.storage.list(POD, request.key.name), level)
        if told:
            shown = f"{level}:{labels.get('enforce-version', 'latest')}"
            request.warnings.append(
                f'existing pods in namespace "{request.key.name}" violate the new PodSecurity enforce level "{shown}"'
            )
            request.warnings.extend(told)

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


def _levels(namespace: Tree) -> dict[str, str]:
    """The labels of pod security, without their prefix."""
    return {key.removeprefix(PREFIX): value for key, value in labels_of(namespace).items() if key.startswith(PREFIX)}


def _label_errors(mode: str, value: str) -> Iterator[FieldError]:
    path = f"metadata.labels[{PREFIX}{mode}]"
    if mode in _MODES and value not in LEVELS:
        yield invalid(path, value, f"must be one of {', '.join(LEVELS)}")
    if mode.endswith("-version") and mode.removesuffix("-version") in _MODES and not _VERSION.fullmatch(value):
        yield invalid(path, value, 'must be "latest" or "v1.x"')


def _existing(pods: Sequence[Tree], level: str) -> list[str]:
    """Pods that break a level, those with the same faults together: `a (and 1 other pod): privileged, hostPort`."""
    if level == LEVELS[0]:
        return []
    by_fault: dict[str, list[str]] = {}
    for pod in pods:
        faults = ", ".join(told.partition(" (")[0] for told in violations(pod, level))
        if faults:
            by_fault.setdefault(faults, []).append(pod["metadata"]["name"])
    return [f"{names[0]}{_others(len(names) - 1)}: {faults}" for faults, names in sorted(by_fault.items())]


def _others(count: int) -> str:
    return f" (and {count} other pod{'s' if count > 1 else ''})" if count else ""


def _is_changed_pod(request: AdmissionRequest) -> bool:
    """Whether the spec of a pod changes, also by containers that are added to it to debug it."""
    kind = request.resource.kind
    if kind.plural != "pods" or kind.group or request.operation != "UPDATE":
        return False
    if request.subresource not in ("", "ephemeralcontainers"):
        return False
    return (request.old or {}).get("spec") != object_of(request).get("spec")
