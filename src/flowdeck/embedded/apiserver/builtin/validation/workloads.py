"""Rules for Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers.

Source: k8s.io/kubernetes (pkg/apis/apps/validation/validation.go).
"""

from collections.abc import Callable

from flowdeck.embedded.apiserver.builtin.validation.pods import spec_warnings, validate_pod_template
from flowdeck.embedded.apiserver.builtin.validation.single_values import (
    Errors,
    count_or_percent,
    immutable,
    is_zero,
    label_selector,
    non_negative,
    one_of,
)
from flowdeck.kube.errors import forbidden, invalid, not_supported, required
from flowdeck.kube.objects import Tree, get_in, labels_of
from flowdeck.kube.selectors import label_selector_of

_STATEFUL_UPDATABLE = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_STATEFUL_MUTABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "minReadySeconds",
    "persistentVolumeClaimRetentionPolicy",
)  # fmt: skip


def _common(spec: Tree, *numbers: str) -> Errors:
    errors: Errors = []
    for name in numbers:
        errors += non_negative(spec.get(name), f"spec.{name}")
    return errors


def _selector(spec: Tree, kind: str = "deployment") -> Errors:
    """A selector that is there, selects something, and selects the template's pods. Sets of replicas are told of as
    deployments."""
    selector, template = spec.get("selector"), spec.get("template") or {}
    text = "`selector` does not match template `labels`"
    if selector is None:
        wrong = invalid("spec.template.metadata.labels", get_in(template, "metadata", "labels"), text)
        return [required("spec.selector"), wrong]
    errors = label_selector(selector, "spec.selector")
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        errors.append(invalid("spec.selector", selector, f"empty selector is invalid for {kind}"))
    elif not errors and not label_selector_of(selector).matches(labels_of(template)):
        errors.append(invalid("spec.template.metadata.labels", get_in(template, "metadata", "labels"), text))
    return errors


def _selector_and_template(spec: Tree) -> Errors:
    """The template of a selector that is wrong is not looked at."""
    if label_selector(spec.get("selector"), "spec.selector"):
        return [*_selector(spec), invalid("spec.selector", spec["selector"], "invalid label selector")]
    return _selector(spec) + _template(spec)


def _template(spec: Tree) -> Errors:
    errors = validate_pod_template(spec.get("template") or {}, "spec.template")
    policy = get_in(spec, "template", "spec", "restartPolicy")
    if policy != "Always":
        errors.append(not_supported("spec.template.spec.restartPolicy", policy, ("Always",)))
    if get_in(spec, "template", "spec", "activeDeadlineSeconds") is not None:
        path = "spec.template.spec.activeDeadlineSeconds"
        errors.append(forbidden(path, "activeDeadlineSeconds in ReplicaSet is not Supported"))
    return errors


def validate_deployment(deployment: Tree) -> Errors:
    spec = deployment["spec"]
    errors = _common(spec, "replicas") + _selector_and_template(spec)
    errors += _deployment_strategy(spec.get("strategy") or {})
    errors += _common(spec, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        errors.append(invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return errors


def _deployment_strategy(strategy: Tree) -> Errors:
    errors: Errors = []
    if strategy.get("type") not in (types := ("Recreate", "RollingUpdate")):
        errors.append(not_supported("spec.strategy", _as_struct(strategy), types))
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate" and rolling is not None:
        text = "may not be specified when strategy `type` is 'Recreate'"
        errors.append(forbidden("spec.strategy.rollingUpdate", text))
    if strategy.get("type") == "RollingUpdate" and rolling is not None:
        errors += _rolling(rolling, "spec.strategy.rollingUpdate")
    return errors


def _as_struct(strategy: Tree) -> Tree:
    """A strategy as upstream shows it: with the names of Go's fields."""
    rolling = strategy.get("rollingUpdate")
    shown = rolling and {name[:1].upper() + name[1:]: rolling.get(name, 0) for name in ("maxUnavailable", "maxSurge")}
    return {"Type": strategy.get("type") or "", "RollingUpdate": shown}


def _rolling(rolling: Tree, path: str) -> Errors:
    errors: Errors = []
    for name in ("maxUnavailable", "maxSurge"):
        errors += count_or_percent(rolling.get(name, 0), f"{path}.{name}")
    if is_zero(rolling.get("maxUnavailable", 0)) and is_zero(rolling.get("maxSurge", 0)):
        value = rolling.get("maxUnavailable", 0)
        errors.append(invalid(f"{path}.maxUnavailable", value, "may not be 0 when `maxSurge` is 0"))
    return errors


def validate_replica_set(replica_set: Tree) -> Errors:
    spec = replica_set["spec"]
    return _common(spec, "replicas", "minReadySeconds") + _selector_and_template(spec)


def validate_replication_controller(controller: Tree) -> Errors:
    spec = controller["spec"]
    errors = _common(spec, "replicas", "minReadySeconds")
    if not spec.get("selector"):
        errors.append(required("spec.selector"))
    if not spec.get("template"):
        errors.append(required("spec.template"))
        return errors
    labels = get_in(spec, "template", "metadata", "labels")
    if any((labels or {}).get(key) != value for key, value in (spec.get("selector") or {}).items()):
        text = "`selector` does not match template `labels`"
        errors.append(invalid("spec.template.metadata.labels", labels, text))
    return errors + _template(spec)


def validate_stateful_set(stateful_set: Tree) -> Errors:
    spec = stateful_set["spec"]
    errors = _common(spec, "replicas", "minReadySeconds", "revisionHistoryLimit")
    errors += one_of(spec.get("podManagementPolicy"), "spec.podManagementPolicy", ("OrderedReady", "Parallel"))
    strategy = spec.get("updateStrategy") or {}
    errors += one_of(strategy.get("type"), "spec.updateStrategy.type", ("OnDelete", "RollingUpdate"))
    partition = get_in(strategy, "rollingUpdate", "partition")
    errors += non_negative(partition, "spec.updateStrategy.rollingUpdate.partition")
    for name in ("whenDeleted", "whenScaled"):
        value = get_in(spec, "persistentVolumeClaimRetentionPolicy", name)
        errors += one_of(value, f"spec.persistentVolumeClaimRetentionPolicy.{name}", ("Delete", "Retain"))
    errors += non_negative(get_in(spec, "ordinals", "start"), "spec.ordinals.start")
    # Claims become volumes of the pods, so mounts may name them.
    claims = [
        {"name": get_in(claim, "metadata", "name", default=""), "persistentVolumeClaim": {"claimName": "claim"}}
        for claim in spec.get("volumeClaimTemplates") or ()
    ]
    template = spec.get("template") or {}
    pod_spec = template.get("spec") or {}
    own = {claim["name"] for claim in claims}
    volumes = [volume for volume in pod_spec.get("volumes") or () if volume.get("name") not in own] + claims
    filled = {**spec, "template": {**template, "spec": {**pod_spec, "volumes": volumes}}}
    errors += _selector(spec, "statefulset")
    if label_selector(spec.get("selector"), "spec.selector"):  # then the template is not looked at
        return [*errors, invalid("spec.selector", spec["selector"])]
    return errors + _template(filled)


def validate_stateful_set_update(new: Tree, old: Tree) -> Errors:
    spec, was = new["spec"], old["spec"]
    if any(spec.get(name) != was.get(name) for name in spec.keys() | was.keys() if name not in _STATEFUL_MUTABLE):
        return [forbidden("spec", _STATEFUL_UPDATABLE)]
    return []


def validate_daemon_set(daemon_set: Tree) -> Errors:
    spec = daemon_set["spec"]
    errors = _common(spec, "minReadySeconds", "revisionHistoryLimit")
    errors += _selector(spec, "daemonset") + _template(spec)
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") not in (types := ("RollingUpdate", "OnDelete")):
        errors.append(not_supported("spec.updateStrategy", _as_struct(strategy), types))
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "RollingUpdate" and rolling is not None:
        path = "spec.updateStrategy.rollingUpdate"
        unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
        errors += count_or_percent(unavailable, f"{path}.maxUnavailable") + count_or_percent(surge, f"{path}.maxSurge")
        if not is_zero(unavailable) and not is_zero(surge):
            text = "may not be set when maxUnavailable is non-zero"
            errors.append(invalid(f"{path}.maxSurge", surge, text))
        elif is_zero(unavailable) and is_zero(surge):
            text = "cannot be 0 when maxSurge is 0"
            errors.append(invalid(f"{path}.maxUnavailable", unavailable, text))
    return errors


def validate_selector_kept(new: Tree, old: Tree) -> Errors:
    """The selector of a workload never changes."""
    return immutable(new["spec"].get("selector"), old["spec"].get("selector"), "spec.selector")


def validate_revision(revision: Tree) -> Errors:
    return non_negative(revision.get("revision"), "revision")


def validate_revision_update(new: Tree, old: Tree) -> Errors:
    return immutable(new.get("data"), old.get("data"), "data")


def validate_pod_template_object(template: Tree) -> Errors:
    """The PodTemplate kind."""
    return validate_pod_template(template.get("template") or {}, "template")


def template_warnings(*path: str) -> Callable[[Tree, Tree | None], list[str]]:
    """Warnings about the pod template that stands at a path."""

    def warnings(obj: Tree, old: Tree | None) -> list[str]:
        if old is not None and get_in(old, "metadata", "generation") == get_in(obj, "metadata", "generation"):
            return []
        template = get_in(obj, *path, default={})
        return spec_warnings(template.get("spec") or {}, ".".join((*path, "spec")), template)

    return warnings
