"""Rules for Jobs and CronJobs.

Source: k8s.io/kubernetes (pkg/apis/batch/validation/validation.go).
"""

from typing import Any

from flowdeck.embedded.apiserver.builtin.validation.pods import validate_pod_template
from flowdeck.embedded.apiserver.builtin.validation.single_values import (
    Errors,
    immutable,
    immutable_fields,
    label_selector,
    non_negative,
    one_of,
)
from flowdeck.kube.errors import invalid, not_supported, required, too_long
from flowdeck.kube.names import dns_subdomain
from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.schedule import BadSchedule, BadTimeZone, read_schedule, read_zone
from flowdeck.kube.selectors import label_selector_of

_MAX_INDEXED_PARALLELISM = 100_000
_MAX_NAME = 52
"""Of a CronJob: its Jobs' names add eleven characters."""
_NUMBERS = (
    "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
    "backoffLimitPerIndex", "maxFailedIndexes",
)  # fmt: skip
_FIXED = ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")


def validate_job(job: Tree) -> Errors:
    spec = job["spec"]
    errors = validate_job_spec(spec, "spec")
    selector = spec.get("selector")
    if selector is None:
        return [*errors, required("spec.selector")]
    wrong = label_selector(selector, "spec.selector")
    errors += wrong
    labels = get_in(spec, "template", "metadata", "labels")
    if not wrong and not label_selector_of(selector).matches(labels or {}):
        text = "`selector` does not match template `labels`"
        errors.append(invalid("spec.template.metadata.labels", labels, text))
    return errors + _indexed_name(job)


def _indexed_name(job: Tree) -> Errors:
    """Pods of an indexed Job are named after it, with the index behind."""
    spec, name = job["spec"], job["metadata"].get("name") or ""
    if spec.get("completionMode") != "Indexed" or not (spec.get("completions") or 0) > 0:
        return []
    host = f"{name}-{spec['completions'] - 1}"
    if len(host) <= 63:
        return []
    text = "will not able to create pod with invalid DNS label: " + host
    return [invalid("metadata.name", name, text)]


def validate_job_spec(spec: Tree, path: str) -> Errors:
    """A JobSpec wherever it stands; its selector apart."""
    errors: Errors = []
    for name in _NUMBERS:
        errors += non_negative(spec.get(name), f"{path}.{name}")
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        errors.append(required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    errors += _managed_by(spec.get("managedBy"), f"{path}.managedBy")
    errors += _completion(spec, path)
    if policy := spec.get("podFailurePolicy"):
        errors += _failure_policy(policy, spec, f"{path}.podFailurePolicy")
    if (success := spec.get("successPolicy")) is not None:
        errors += _success_policy(success, spec, f"{path}.successPolicy")
    errors += _replacement(spec, path)
    errors += validate_pod_template(spec.get("template") or {}, f"{path}.template")
    return errors + _restart_policy(spec, f"{path}.template.spec.restartPolicy")


def _managed_by(value: str | None, path: str) -> Errors:
    if value is None:
        return []
    prefix, slash, name = value.partition("/")
    errors: Errors = []
    if not value:
        errors.append(required(path))
    elif not slash or not name:
        errors.append(invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")'))
    else:
        errors += [invalid(path, prefix, text) for text in dns_subdomain(prefix)]
    if len(value) > 63:
        errors.append(too_long(path, 63))
    return errors


def _completion(spec: Tree, path: str) -> Errors:
    mode, completions = spec.get("completionMode", "NonIndexed"), spec.get("completions")
    if mode not in ("NonIndexed", "Indexed"):
        return [not_supported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed"))]
    errors: Errors = []
    if mode == "NonIndexed":
        for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if name in spec:
                errors.append(invalid(f"{path}.{name}", spec[name], "requires indexed completion mode"))
        return errors
    if completions is None:
        errors.append(required(f"{path}.completions", "when completion mode is Indexed"))
    if spec.get("parallelism", 0) > _MAX_INDEXED_PARALLELISM:
        text = f"must be less than or equal to {_MAX_INDEXED_PARALLELISM} when completion mode is Indexed"
        errors.append(invalid(f"{path}.parallelism", spec["parallelism"], text))
    most = spec.get("maxFailedIndexes")
    if completions is not None and most is not None and most > completions:
        errors.append(invalid(f"{path}.maxFailedIndexes", most, "must be less than or equal to completions"))
    return errors


def _failure_policy(policy: Tree, spec: Tree, path: str) -> Errors:
    errors: Errors = []
    names = {
        container.get("name")
        for field in ("containers", "initContainers")
        for container in get_in(spec, "template", "spec", field, default=())
    }
    for index, rule in enumerate(policy.get("rules") or ()):
        at = f"{path}.rules[{index}]"
        action = rule.get("action")
        errors += one_of(action, f"{at}.action", _ACTIONS)
        if action == "FailIndex" and "backoffLimitPerIndex" not in spec:
            errors.append(invalid(f"{at}.action", action, "requires the backoffLimitPerIndex to be set"))
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
        if codes is not None:
            errors += _exit_codes(codes, names, f"{at}.onExitCodes")
        if codes is not None and conditions:
            errors.append(invalid(at, rule, "specifying both OnExitCodes and OnPodConditions is not supported"))
        if codes is None and not conditions:
            errors.append(invalid(at, rule, "specifying one of OnExitCodes and OnPodConditions is required"))
        for number, pattern in enumerate(conditions):
            status = pattern.get("status")
            errors += one_of(status, f"{at}.onPodConditions[{number}].status", ("False", "True", "Unknown"))
    return errors


def _exit_codes(codes: Tree, names: set[Any], path: str) -> Errors:
    operator, values = codes.get("operator"), codes.get("values") or []
    errors = one_of(operator, f"{path}.operator", ("In", "NotIn"))
    name = codes.get("containerName")
    if name is not None and name not in names:
        text = "must be one of the container or initContainer names in the pod template"
        errors.append(invalid(f"{path}.containerName", name, text))
    if not values:
        errors.append(invalid(f"{path}.values", values, "at least one value is required"))
    if operator == "In" and 0 in values:
        errors.append(invalid(f"{path}.values[{values.index(0)}]", 0, "must not be 0 for the In operator"))
    if list(values) != sorted(values):
        errors.append(invalid(f"{path}.values", values, "must be ordered"))
    return errors


def _success_policy(policy: Tree, spec: Tree, path: str) -> Errors:
    if spec.get("completionMode") != "Indexed":
        return [invalid(path, policy, "requires indexed completion mode")]
    rules = policy.get("rules") or []
    if not rules:
        return [required(f"{path}.rules", "at least one rules must be specified when the successPolicy is specified")]
    errors: Errors = []
    for index, rule in enumerate(rules):
        at = f"{path}.rules[{index}]"
        count = rule.get("succeededCount")
        if count is None and rule.get("succeededIndexes") is None:
            errors.append(required(at, "at least one of succeededCount or succeededIndexes must be specified"))
        errors += non_negative(count, f"{at}.succeededCount")
        if count is not None and count > (spec.get("completions") or 0):
            text = f"must be less than or equal to {spec.get('completions') or 0} (the number of specified completions)"
            errors.append(invalid(f"{at}.succeededCount", count, text))
    return errors


def _replacement(spec: Tree, path: str) -> Errors:
    policy = spec.get("podReplacementPolicy")
    if policy is None:
        return []
    allowed = ("Failed",) if spec.get("podFailurePolicy") else ("Failed", "TerminatingOrFailed")
    return [] if policy in allowed else [not_supported(f"{path}.podReplacementPolicy", policy, allowed)]


def _restart_policy(spec: Tree, path: str) -> Errors:
    policy = get_in(spec, "template", "spec", "restartPolicy", default="")
    if policy in ("", "Always"):
        return [required(path, 'valid values: "OnFailure", "Never"')]
    if policy not in ("OnFailure", "Never"):
        return [not_supported(path, policy, ("OnFailure", "Never"))]
    if spec.get("podFailurePolicy") and policy != "Never":
        return [invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


# -- changes


def validate_job_update(job: Tree, old: Tree) -> Errors:
    """A Job is what it was made; while it is suspended and has not started, how its pods are scheduled may change."""
    spec, was = job["spec"], old["spec"]
    errors = _completions_change(spec, was)
    errors += immutable_fields(spec, was, "spec", _FIXED)
    template, before = spec.get("template") or {}, was.get("template") or {}
    if template != before:
        if _is_open(old):
            before = _with_scheduling_of(before, template)
        errors += immutable(template, before, "spec.template")
    return errors


def _is_open(old: Tree) -> bool:
    return bool(old["spec"].get("suspend")) and not get_in(old, "status", "startTime")


def _with_scheduling_of(before: Tree, template: Tree) -> Tree:
    """The old template with what may change as in the new one."""
    merged: Tree = {**before, "metadata": dict(before.get("metadata") or {}), "spec": dict(before.get("spec") or {})}
    new_spec, new_meta = template.get("spec") or {}, template.get("metadata") or {}
    for holder, source, names in (
        (merged["metadata"], new_meta, ("labels", "annotations")),
        (merged["spec"], new_spec, ("nodeSelector", "tolerations", "schedulingGates")),
    ):
        for name in names:
            holder.pop(name, None)
            if name in source:
                holder[name] = source[name]
    affinity = dict(merged["spec"].get("affinity") or {})
    affinity.pop("nodeAffinity", None)
    if node := get_in(new_spec, "affinity", "nodeAffinity"):
        affinity["nodeAffinity"] = node
    merged["spec"].pop("affinity", None)
    if affinity or "affinity" in new_spec:
        merged["spec"]["affinity"] = affinity
    merged["spec"] = _with_resources_of(merged["spec"], new_spec)
    return merged


def _with_resources_of(spec: Tree, new: Tree) -> Tree:
    """Resources of containers may change as well while a Job waits."""
    result = dict(spec)
    for field in ("containers", "initContainers"):
        theirs = {container.get("name"): container for container in new.get(field) or ()}
        if field in spec:
            result[field] = [
                {**container, "resources": theirs.get(container.get("name"), container).get("resources", {})}
                for container in spec[field] or ()
            ]
    return result


def _completions_change(spec: Tree, was: Tree) -> Errors:
    new, old = spec.get("completions"), was.get("completions")
    if spec.get("completionMode") != "Indexed":
        return immutable(new, old, "spec.completions")
    if new != old and new is not None and new != spec.get("parallelism"):
        return [invalid("spec.completions", new, "can only be modified in tandem with spec.parallelism")]
    return []


# -- cron jobs


def validate_cron_job(cron_job: Tree) -> Errors:
    spec = cron_job["spec"]
    errors = _schedule(spec)
    name = cron_job["metadata"].get("name") or ""
    if len(name) > _MAX_NAME:
        errors.append(invalid("metadata.name", name, f"must be no more than {_MAX_NAME} characters"))
    errors += non_negative(spec.get("startingDeadlineSeconds"), "spec.startingDeadlineSeconds")
    errors += one_of(spec.get("concurrencyPolicy"), "spec.concurrencyPolicy", ("Allow", "Forbid", "Replace"))
    for field in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        errors += non_negative(spec.get(field), f"spec.{field}")
    zone = spec.get("timeZone")
    if zone is not None:
        errors += _time_zone(zone)
    return errors + validate_job_spec(get_in(spec, "jobTemplate", "spec", default={}), "spec.jobTemplate.spec")


def _schedule(spec: Tree) -> Errors:
    schedule = spec.get("schedule") or ""
    if not schedule:
        return [required("spec.schedule")]
    if "TZ" in schedule:
        text = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        return [invalid("spec.schedule", schedule, text)]
    try:
        read_schedule(schedule, None)
    except BadSchedule as error:
        return [invalid("spec.schedule", schedule, str(error))]
    return []


def _time_zone(zone: str) -> Errors:
    if not zone:
        return [invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string")]
    if zone.lower() == "local":
        text = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        return [invalid("spec.timeZone", zone, text)]
    try:
        read_zone(zone)
    except BadTimeZone as error:
        return [invalid("spec.timeZone", zone, str(error))]
    return []
