"""What TrainJobs and runtimes are filled up with, and what is wrong with them. Pure, but for the rules at the end,
which look up the objects that the answer depends on.

What the schemas say already (types, bounds, CEL) is not repeated here.

Source: kubeflow/trainer (pkg/webhooks, pkg/runtime/framework/plugins)
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flowdeck.client.base import Reader
from flowdeck.clock import Clock
from flowdeck.components.training.draft import (
    Draft,
    Plugin,
    ancestor_of,
    container_of,
    find_named,
)
from flowdeck.components.training.gang.volcano import priority_classes
from flowdeck.components.training.merge import draft_of, finish, job_set_of
from flowdeck.components.training.runtime_types import Runtime, runtime_of
from flowdeck.components.training.snapshot import read_snapshot, snapshot_key
from flowdeck.components.training.types import (
    CLUSTER_TRAINING_RUNTIME,
    INITIALIZER_VOLUME,
    SUPPORT_LABEL,
    TRAIN_JOB,
    TRAINING_RUNTIME,
    WEBHOOK_LABEL,
    Step,
    TrainJob,
    train_job_of,
)
from flowdeck.controller.admission import AdmissionRule, Review
from flowdeck.kube.errors import ApiError, FieldError, forbidden, invalid, required
from flowdeck.kube.job_set import admission as job_set_rules
from flowdeck.kube.kinds import CONFIG_MAP, JOB_SET, PRIORITY_CLASS
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in, labels_of
from flowdeck.kube.quantity import canonical, is_quantity
from flowdeck.kube.times import format_time

_DEPRECATED = (
    "is deprecated and will be removed in a future release of Kubeflow Trainer. See runtime deprecation policy: "
    "https://trainer.kubeflow.org/en/latest/operator-guides/runtime.html#runtime-deprecation-policy"
)
_SYSTEM_PRIORITIES = ("system-node-critical", "system-cluster-critical")
_PATCHES = "spec.runtimePatches"
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NOT_A_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    f"'{_SUBDOMAIN.pattern}')"
)
_URL_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")


# ---- TrainJob: defaults ---------------------------------------------------------------------------------------------


def default_train_job(obj: Tree, old: Tree | None, *, now: datetime) -> None:
    """Fills in, in place, what a schema cannot.

    Each runtime patch is stamped with the time at which its manager last changed it. Quantities that come as JSON
    numbers (the SDK sends `2.0`, or `0.5`, which no schema lets through) are stored as canonical text.
    """
    _stamp_patches(obj, old, now)
    for part in ("limits", "requests"):
        amounts = get_in(obj, "spec", "trainer", "resourcesPerNode", part, default={})
        for name, amount in amounts.items():
            if isinstance(amount, int | float) and is_quantity(amount):
                amounts[name] = canonical(amount)


def _stamp_patches(obj: Tree, old: Tree | None, now: datetime) -> None:
    before = {patch["manager"]: patch for patch in get_in(old, "spec", "runtimePatches", default=[])}
    for patch in get_in(obj, "spec", "runtimePatches", default=[]):
        earlier = before.get(patch["manager"])
        if earlier is not None and _timeless(earlier) == _timeless(patch):
            if "time" in earlier:
                patch["time"] = earlier["time"]
        elif earlier is not None or not patch.get("time"):
            patch["time"] = format_time(now)


def _timeless(patch: Tree) -> Tree:
    return {name: value for name, value in patch.items() if name != "time"}


# ---- runtimes -------------------------------------------------------------------------------------------------------


def validate_runtime(runtime: Tree) -> Iterator[FieldError]:
    """Whether the jobs that a TrainJob's blocks feed can be fed."""
    path = "spec.template.spec.replicatedJobs"
    for index, job in enumerate(get_in(runtime, "spec", "template", "spec", "replicatedJobs", default=[])):
        if ancestor_of(job) not in tuple(Step):
            continue
        step = Step(ancestor_of(job))
        if (replicas := job.get("replicas", 1)) != 1:
            yield invalid(f"{path}[{index}].replicas", replicas, "always must be 1")
        containers = get_in(job, "template", "spec", "template", "spec", "containers", default=[])
        if find_named(containers, step.container) is None:
            detail = f"must contain the required container for the ancestor: {step.container}"
            yield invalid(f"{path}[{index}].template.spec.template.spec.containers", containers, detail)


def deprecation_of(runtime: Tree, prefix: str = "") -> list[str]:
    """The warning for a runtime that goes away."""
    if labels_of(runtime).get(SUPPORT_LABEL) != "deprecated":
        return []
    return [f'{prefix}{runtime["kind"]} "{runtime["metadata"]["name"]}" {_DEPRECATED}']


# ---- TrainJob -------------------------------------------------------------------------------------------------------


def validate_train_job(
    job: TrainJob, runtime: Runtime, plugins: Sequence[Plugin], *, missing_priorities: Sequence[str] = ()
) -> list[str]:
    """Everything that is wrong with a TrainJob on its runtime, as text."""
    errors: list[FieldError] = [*_check_patches(job, runtime), *_check_sources(job, runtime)]
    if errors:
        return [str(error) for error in errors]
    draft = draft_of(job, runtime)
    used = [plugin for plugin in plugins if plugin.applies(draft)]
    errors += [error for plugin in used for error in plugin.check(draft)]
    errors += [_no_priority_class(name) for name in missing_priorities]
    if errors:
        return [str(error) for error in errors]
    for plugin in used:
        plugin.shape(draft)
    finish(draft)
    return _check_job_set(draft)


def validate_change(job: Tree, old: Tree, job_set: Tree | None) -> Iterator[FieldError]:
    """Runtime patches may change only while the TrainJob stands still."""
    if get_in(job, "spec", "runtimePatches", default=[]) == get_in(old, "spec", "runtimePatches", default=[]):
        return
    if not (get_in(job, "spec", "suspend") or get_in(old, "spec", "suspend")):
        detail = "RuntimePatches can only be modified when the TrainJob is suspended before or after the update"
        yield forbidden(_PATCHES, detail)
    for counted in get_in(job_set, "status", "replicatedJobsStatus", default=[]):
        if counted.get("active"):
            name = counted["name"]
            detail = f"RuntimePatches cannot be modified when the JobSet's ReplicatedJob {name} is still active"
            yield forbidden(_PATCHES, detail)


def missing_runtime(job: TrainJob, kind: Kind) -> FieldError:
    name = kind.kind[0].lower() + kind.kind[1:]
    ref = job.spec.runtime_ref
    shown = {"name": ref.name, "apiGroup": ref.api_group, "kind": ref.kind}
    return invalid("spec.runtimeRef", shown, f"specified {name} must be created before the TrainJob is created")


def _check_patches(job: TrainJob, runtime: Runtime) -> Iterator[FieldError]:
    template = Draft(job, runtime, {"spec": {}} | runtime.spec.template)
    for index, patch in enumerate(job.spec.runtime_patches or ()):
        path = f"{_PATCHES}[{index}]"
        yield from _check_manager(f"{path}.manager", patch.manager)
        jobs = get_in(patch.training_runtime_spec, "template", "spec", "replicatedJobs", default=[])
        for place, patched in enumerate(jobs):
            inner = f"{path}.trainingRuntimeSpec.template.spec.replicatedJobs[{place}]"
            target = template.find(patched["name"])
            if target is None:
                detail = "must not have replicated job that doesn't exist in the runtime job template"
                yield invalid(f"{inner}.name", patched["name"], detail)
            else:
                yield from _check_patched_pod(f"{inner}.template.spec.template.spec", patched, target)


def _check_patched_pod(path: str, patched: Tree, target: Tree) -> Iterator[FieldError]:
    pod_spec = get_in(target, "template", "spec", "template", "spec", default={})
    for list_name, noun in (("initContainers", "initContainer"), ("containers", "container")):
        patches = get_in(patched, "template", "spec", "template", "spec", list_name, default=[])
        for index, container in enumerate(patches):
            name = container["name"]
            if find_named(pod_spec.get(list_name), name) is None:
                detail = f"must not have {noun} that doesn't exist in the runtime job {target['name']}"
                yield invalid(f"{path}.{list_name}[{index}].name", name, detail)
            elif container.get("env") and noun == "container" and name in {step.container for step in Step}:
                detail = "must not have envs for the dataset-initializer, model-initializer, node containers"
                yield forbidden(f"{path}.{list_name}[{index}].env", detail)


def _check_manager(path: str, manager: str) -> Iterator[FieldError]:
    """A domain-prefixed path. Source: k8s.io/apimachinery (pkg/util/validation)."""
    domain, slash, rest = manager.partition("/")
    if not manager:
        yield required(path)
    elif not (slash and domain and rest):
        yield invalid(path, manager, 'must be a domain-prefixed path (such as "acme.io/foo")')
    else:
        if not _SUBDOMAIN.fullmatch(domain):
            yield invalid(path, domain, _NOT_A_SUBDOMAIN)
        if not _URL_PATH.fullmatch(rest):
            yield invalid(path, rest, f"Invalid path (regex used for validation is '{_URL_PATH.pattern}')")


def _check_sources(job: TrainJob, runtime: Runtime) -> Iterator[FieldError]:
    initializer = job.spec.initializer
    if initializer is None:
        return
    template = Draft(job, runtime, {"spec": {}} | runtime.spec.template)
    for source, step, config in (
        (initializer.dataset, Step.DATASET_INITIALIZER, "datasetConfig"),
        (initializer.model, Step.MODEL_INITIALIZER, "modelConfig"),
    ):
        if source is not None and (detail := _why_not_fed(template, step, config)):
            ref = job.spec.runtime_ref
            yield invalid("spec.runtimeRef", {"name": ref.name, "apiGroup": ref.api_group, "kind": ref.kind}, detail)


def _why_not_fed(template: Draft, step: Step, config: str) -> str:
    """Why a source block would go nowhere with this runtime, or `""`."""
    job = template.ancestor(step)
    if job is None:
        return f"must have {step} job when trainJob is configured with input {config}"
    container = container_of(job, step.container)
    if container is None:
        return f"must have container with name - {step} in the {step} job"
    if find_named(container.get("volumeMounts"), INITIALIZER_VOLUME) is None:
        return f"must have volumeMount with name - {INITIALIZER_VOLUME} in container {step} of the {step} job"
    return ""


def _check_job_set(draft: Draft) -> list[str]:
    """What JobSet would say; a name that is too long is refused now, with the longest name that it would lead to."""
    job_set = job_set_of(draft)
    job_set_rules.default(job_set)
    errors = job_set_rules.validate(job_set)
    if not any("name is too long" in error for error in errors):
        return errors
    longest = max((job_set_rules.longest_pod_name(draft.name, job) for job in draft.jobs), key=len)
    return [*errors, f"metadata.name: the longest pod name would be {longest} ({len(longest)} characters)"]


def _no_priority_class(name: str) -> FieldError:
    detail = f'PriorityClass "{name}" doesn\'t exist: priorityclasses.scheduling.k8s.io "{name}" not found'
    return invalid("spec.template.spec.replicatedJobs", name, detail)


# ---- rules ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainJobDefaulter:
    """Reviewer of `defaulter.trainjob.trainer.kubeflow.org`."""

    async def __call__(self, obj: Tree, old: Tree | None, *, reader: Reader, clock: Clock) -> Review:
        default_train_job(obj, old, now=clock.now())
        return Review(obj=obj)


@dataclass(frozen=True)
class TrainJobValidator:
    """Reviewer of `validator.trainjob.trainer.kubeflow.org`."""

    plugins: Sequence[Plugin] = field(default_factory=tuple)

    async def __call__(self, obj: Tree, old: Tree | None, *, reader: Reader, clock: Clock) -> Review:
        job = train_job_of(obj)
        kind = job.runtime_kind
        if kind is None or (old is not None and old.get("spec") == obj.get("spec")):
            return Review(obj=obj)
        runtime = await _runtime_of(obj, job, kind, is_new=old is None, reader=reader)
        if runtime is None:
            return Review(obj=obj, errors=[str(missing_runtime(job, kind))])
        errors = validate_train_job(
            job, runtime_of(runtime), self.plugins, missing_priorities=await _missing_priorities(runtime, reader)
        )
        if old is None:
            return Review(obj=obj, errors=_aggregate(errors), warnings=deprecation_of(runtime, "Referenced "))
        changes = validate_change(obj, old, await reader.find(JOB_SET, job.key))
        return Review(obj=obj, errors=_aggregate([*errors, *map(str, changes)]))


@dataclass(frozen=True)
class RuntimeValidator:
    """Reviewer of the runtime kinds' validators."""

    async def __call__(self, obj: Tree, old: Tree | None, *, reader: Reader, clock: Clock) -> Review:
        errors = _aggregate([str(error) for error in validate_runtime(obj)])
        return Review(obj=obj, errors=errors, warnings=deprecation_of(obj))


def rules(plugins: Sequence[Plugin]) -> Sequence[AdmissionRule]:
    """The component's webhooks."""
    return (
        AdmissionRule(
            name="defaulter.trainjob.trainer.kubeflow.org",
            configuration="defaulter.trainer.kubeflow.org",
            path="/mutate-trainer-kubeflow-org-v1alpha1-trainjob",
            kind=TRAIN_JOB,
            phase="mutate",
            review=TrainJobDefaulter(),
        ),
        _validator(TRAIN_JOB, TrainJobValidator(tuple(plugins))),
        _validator(TRAINING_RUNTIME, RuntimeValidator()),
        _validator(CLUSTER_TRAINING_RUNTIME, RuntimeValidator()),
    )


def _validator(kind: Kind, review: TrainJobValidator | RuntimeValidator) -> AdmissionRule:
    name = kind.kind.lower()
    return AdmissionRule(
        name=f"validator.{name}.trainer.kubeflow.org",
        configuration="validator.trainer.kubeflow.org",
        path=f"/validate-trainer-kubeflow-org-v1alpha1-{name}",
        kind=kind,
        phase="validate",
        exempt=None if kind == TRAIN_JOB else (WEBHOOK_LABEL, "disabled"),
        review=review,
    )


def _aggregate(errors: Sequence[str]) -> Sequence[str]:
    """Several errors as the one text that upstream makes of them."""
    texts = list(dict.fromkeys(errors))
    return texts if len(texts) < 2 else [f"[{', '.join(texts)}]"]


async def _runtime_of(obj: Tree, job: TrainJob, kind: Kind, *, is_new: bool, reader: Reader) -> Tree | None:
    """The runtime that will be used: for a job that runs already, the snapshot of it."""
    if not is_new and (held := await reader.find(CONFIG_MAP, snapshot_key(job))):
        try:
            return read_snapshot(held, job, obj)
        except ApiError:
            pass  # somebody else's ConfigMap: the controller tells of it
    key = ObjectKey(job.metadata.namespace if kind.namespaced else "", job.spec.runtime_ref.name)
    return await reader.find(kind, key)


async def _missing_priorities(runtime: Tree, reader: Reader) -> list[str]:
    """The priority classes that a gang on Volcano names and that are not there."""
    spec = runtime_of(runtime).spec
    if spec.pod_group_policy is None or spec.pod_group_policy.volcano is None:
        return []
    names = [name for name in priority_classes(spec.template) if name not in _SYSTEM_PRIORITIES]
    return [name for name in names if await reader.find(PRIORITY_CLASS, ObjectKey("", name)) is None]
