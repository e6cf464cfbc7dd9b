"""What a JobSet is filled up with, and what is wrong with it.

Source: kubernetes-sigs/jobset (pkg/webhooks/jobset_webhook.go).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from flowdeck.kube.job_set.names import job_name, pod_name
from flowdeck.kube.objects import Tree, copy_of, get_in

JOB_FAILURE_REASONS: Final = (
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "FailedIndexes",
    "MaxFailedIndexesExceeded",
    "PodFailurePolicy",
)
_MAX_INT32 = 2**31 - 1
_LABEL_LIMIT = 63
_NAME_TOO_LONG = "JobSet name is too long, {} names generated for this JobSet will exceed 63 characters"
_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_RULE_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")
_NOT_A_LABEL = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_NOT_A_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def default(job_set: Tree) -> None:
    """Fills the defaults of creation and update in, in place; those of the schema are filled in as well."""
    spec = job_set.setdefault("spec", {})
    spec.setdefault("successPolicy", {"operator": "All"})
    spec.setdefault("startupPolicy", {"startupPolicyOrder": "AnyOrder"})
    network = spec.setdefault("network", {})
    network.setdefault("enableDNSHostnames", True)
    network.setdefault("publishNotReadyAddresses", True)
    for replicated in spec.get("replicatedJobs") or ():
        replicated.setdefault("groupName", "default")
        replicated.setdefault("replicas", 1)
        job = replicated.setdefault("template", {}).setdefault("spec", {})
        job.setdefault("completionMode", "Indexed")
        pod = job.setdefault("template", {}).setdefault("spec", {})
        pod["restartPolicy"] = pod.get("restartPolicy") or "OnFailure"
    _default_failure_policy(spec)
    for policy in spec.get("volumeClaimPolicies") or ():
        policy.setdefault("retentionPolicy", {}).setdefault("whenDeleted", "Delete")


def _default_failure_policy(spec: Tree) -> None:
    policy = spec.get("failurePolicy")
    if policy is None:
        return
    policy.setdefault("restartStrategy", "Recreate")
    for number, rule in enumerate(policy.get("rules") or ()):
        rule["name"] = rule.get("name") or f"failurePolicyRule{number}"


def validate(job_set: Tree) -> list[str]:
    """What is wrong with a new JobSet that carries its defaults, in upstream's words and order."""
    return list(_errors(job_set["metadata"].get("name") or "", job_set.get("spec") or {}))


def _errors(name: str, spec: Tree) -> Iterator[str]:
    replicated_jobs = spec.get("replicatedJobs") or []
    names = [replicated["name"] for replicated in replicated_jobs]
    if replicated_jobs and replicated_jobs[0].get("dependsOn"):
        yield "DependsOn can't be set for the first ReplicatedJob"
    yield from _subdomain_errors(get_in(spec, "network", "subdomain", default=""))
    yield from _manager_errors(spec.get("managedBy"))
    for position, replicated in enumerate(replicated_jobs):
        yield from _replicated_job_errors(name, replicated, names[:position])
    for target in get_in(spec, "successPolicy", "targetReplicatedJobs", default=()):
        if target not in names:
            yield f"invalid replicatedJob name '{target}' does not appear in .spec.ReplicatedJobs"
    yield from _failure_policy_errors(get_in(spec, "failurePolicy", "rules", default=()), names)
    yield from _coordinator_errors(spec.get("coordinator"), replicated_jobs)
    yield from _claim_errors(name, spec)


def _subdomain_errors(subdomain: str) -> Iterator[str]:
    if not subdomain:
        return
    if len(subdomain) > 253:
        yield "must be no more than 253 characters"
    if not _SUBDOMAIN.fullmatch(subdomain):
        yield _NOT_A_SUBDOMAIN
    yield from _label_errors(subdomain, ".spec.network.subdomain is too long, must be less than 63 characters")


def _label_errors(text: str, too_long: str) -> Iterator[str]:
    if len(text) > _LABEL_LIMIT:
        yield too_long
    if not _LABEL.fullmatch(text):
        yield _NOT_A_LABEL


def _manager_errors(manager: str | None) -> Iterator[str]:
    if manager is None:
        return
    path = "spec.managedBy"
    if not manager:
        yield f"{path}: Required value"
        return
    domain, slash, rest = manager.partition("/")
    if not slash or not domain or not rest:
        shown = msgspec.json.encode(manager).decode()
        yield f'{path}: Invalid value: {shown}: must be a domain-prefixed path (such as "acme.io/foo")'
    else:
        if not _SUBDOMAIN.fullmatch(domain):
            yield f'{path}: Invalid value: "{domain}": {_NOT_A_SUBDOMAIN}'
        if not _PATH.fullmatch(rest):
            yield f"{path}: Invalid value: \"{rest}\": Invalid path (regex used for validation is '{_PATH.pattern}')"
    if len(manager) > _LABEL_LIMIT:
        yield f"{path}: Too long: may not be more than {_LABEL_LIMIT} bytes"


def _replicated_job_errors(job_set: str, replicated: Tree, earlier: Sequence[str]) -> Iterator[str]:
    name, replicas = replicated["name"], replicated.get("replicas", 1)
    job = get_in(replicated, "template", "spec", default={})
    parallelism = job["parallelism"] if job.get("parallelism") is not None else 1
    if parallelism * replicas > _MAX_INT32:
        yield f"the product of replicas and parallelism must not exceed {_MAX_INT32} for replicatedJob '{name}'"
    group_too_long = ".spec.replicatedJob[].groupName is too long, must be less than 63 characters"
    yield from _label_errors(replicated.get("groupName", "default"), group_too_long)
    yield from _label_errors(job_name(job_set, name, replicas - 1), _NAME_TOO_LONG.format("job"))
    if job.get("completionMode") == "Indexed" and job.get("completions") is not None:
        longest = longest_pod_name(job_set, replicated)
        yield from _label_errors(longest, _NAME_TOO_LONG.format("pod"))
    for dependency in replicated.get("dependsOn") or ():
        if dependency["name"] not in earlier:
            yield f"replicatedJob: {name} cannot depend on replicatedJob: {dependency['name']}"


def longest_pod_name(job_set: str, replicated: Tree) -> str:
    """The longest name among the pods of a replicated job, with five letters for what is made up."""
    completions = get_in(replicated, "template", "spec", "completions", default=1)
    return pod_name(job_set, replicated["name"], replicated.get("replicas", 1) - 1, completions - 1) + "-abcde"


def _failure_policy_errors(rules: Sequence[Tree], names: Sequence[str]) -> Iterator[str]:
    by_name = defaultdict(list)
    for number, rule in enumerate(rules):
        name = rule.get("name") or ""
        by_name[name].append(number)
        if not 1 <= len(name) <= 128:
            yield (
                f"invalid failure policy rule name of length {len(name)}, the rule name must be at least 1 characters "
                "long and at most 128 characters long"
            )
        if not _RULE_NAME.fullmatch(name):
            yield (
                f"invalid failure policy rule name '{name}', a failure policy rule name must start with an alphabetic "
                "character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an "
                "alphanumeric character or '_'"
            )
        for target in rule.get("targetReplicatedJobs") or ():
            if target not in names:
                yield (
                    f"invalid replicatedJob name '{target}' in failure policy does not appear in .spec.ReplicatedJobs"
                )
        for reason in rule.get("onJobFailureReasons") or ():
            if reason not in JOB_FAILURE_REASONS:
                yield (
                    f"invalid job failure reason '{reason}' in failure policy is not a recognized job failure reason"
                )
        yield from _pattern_errors(rule.get("onJobFailureMessagePatterns") or ())
    for name, numbers in by_name.items():
        if len(numbers) > 1:
            shown = " ".join(map(str, numbers))
            yield f"rule names are not unique, rules with indices [{shown}] all have the same name '{name}'"


def _pattern_errors(patterns: Sequence[str]) -> Iterator[str]:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            yield f"invalid job failure message pattern '{pattern}' in failure policy: {error}"


def _coordinator_errors(coordinator: Tree | None, replicated_jobs: Sequence[Tree]) -> Iterator[str]:
    if coordinator is None:
        return
    name = coordinator["replicatedJob"]
    replicated = next((job for job in replicated_jobs if job["name"] == name), None)
    job_index, pod_index = coordinator.get("jobIndex", 0), coordinator.get("podIndex", 0)
    if replicated is None:
        yield f"coordinator replicatedJob {name} does not exist"
        return
    job = get_in(replicated, "template", "spec", default={})
    if not 0 <= job_index < replicated.get("replicas", 1):
        yield f"coordinator job index {job_index} is invalid for replicatedJob {name}"
    elif job.get("completionMode") != "Indexed":
        yield "job for coordinator pod must be indexed completion mode"
    elif not 0 <= pod_index < (job.get("completions") or 1):
        yield f"coordinator pod index {pod_index} is invalid for replicatedJob {name} job index {job_index}"


def _claim_errors(job_set: str, spec: Tree) -> Iterator[str]:
    templates = [t for policy in spec.get("volumeClaimPolicies") or () for t in policy.get("templates") or ()]
    names = [get_in(template, "metadata", "name", default="") for template in templates]
    pods = [get_in(r, "template", "spec", "template", "spec", default={}) for r in spec.get("replicatedJobs") or ()]
    mounted, volumes = set().union(*map(_mounts, pods)), {v["name"] for pod in pods for v in pod.get("volumes") or ()}
    for position, name in enumerate(names):
        if name in names[:position]:
            yield f"duplicate VolumeClaimPolicies template name '{name}'"
        if name not in mounted:
            yield f"VolumeClaimPolicies template '{name}' is not mounted by any container of the JobSet"
        if name in volumes:
            yield f"VolumeClaimPolicies template '{name}' conflicts with a volume of the same name in a pod template"
        if len(name) + 1 + len(job_set) > 253:
            yield f"the name of the PersistentVolumeClaim for template '{name}' will exceed 253 characters"


def _mounts(pod: Tree) -> set[str]:
    containers = [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]
    return {mount["name"] for container in containers for mount in container.get("volumeMounts") or ()}


def claim_conflict(template: Tree, retention: str, existing: Tree) -> str:
    """Why an existing PersistentVolumeClaim can't stand for a template, or `""`."""
    name = existing["metadata"]["name"]
    if retention != "Retain":
        return f"PersistentVolumeClaim '{name}' exists already: only policies with retention Retain may reuse it"
    wanted = template.get("spec") or {}
    if any(existing["spec"].get(field) != value for field, value in wanted.items()):
        return f"PersistentVolumeClaim '{name}' exists already with another spec"
    return ""


def validate_update(job_set: Tree, old: Tree) -> list[str]:
    """What may not change; while it is suspended, pod templates may be prepared for their place."""
    new_spec, old_spec = job_set.get("spec") or {}, old.get("spec") or {}
    new_jobs, old_jobs = (
        copy_of({"jobs": new_spec.get("replicatedJobs") or []})["jobs"],
        old_spec.get("replicatedJobs") or [],
    )
    if (new_spec.get("suspend") or old_spec.get("suspend")) and len(new_jobs) == len(old_jobs):
        for new, was in zip(new_jobs, old_jobs, strict=True):
            _take_back_scheduling(new, was)
    errors = []
    for field, new_value, old_value in (
        ("replicatedJobs", new_jobs, old_jobs),
        ("managedBy", new_spec.get("managedBy"), old_spec.get("managedBy")),
    ):
        if new_value != old_value:
            shown = msgspec.json.encode(new_value).decode()
            errors.append(f"spec.{field}: Invalid value: {shown}: field is immutable")
    return errors


SCHEDULING_FIELDS: Final = ("nodeSelector", "tolerations", "schedulingGates")
"""Of a pod's spec: what may change while suspended, and is carried over to the Jobs on resume."""


def _take_back_scheduling(new: Tree, old: Mapping[str, Any]) -> None:
    """Makes the fields that may change while suspended those of the old one."""
    pod, old_pod = new["template"]["spec"]["template"], old["template"]["spec"]["template"]
    _replace(pod, old_pod, "metadata", ("labels", "annotations"))
    _replace(pod, old_pod, "spec", SCHEDULING_FIELDS)


def _replace(new: Tree, old: Mapping[str, Any], part: str, fields: Sequence[str]) -> None:
    inside = dict(new.get(part) or {})
    for field in fields:
        inside.pop(field, None)
        if field in (old.get(part) or {}):
            inside[field] = old[part][field]
    if inside or part in old:
        new[part] = inside
    else:
        new.pop(part, None)
