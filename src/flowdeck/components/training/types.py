"""The kinds of `trainer.kubeflow.org/v1alpha1` and the names that go with them.

Structs carry what the component decides on; what belongs to Kubernetes or to JobSet stays a tree. Wire names are
camelCase, absent and null mean the same, unknown fields are tolerated on read.

Source: kubeflow/trainer (pkg/apis/trainer/v1alpha1, pkg/constants)
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Struct

from flowdeck.kube.crd import AGE, Column, Field, Rule, Version, definition
from flowdeck.kube.job_set.types import JobSetSpec
from flowdeck.kube.objects import Kind, ObjectKey, Tree

GROUP: Final = "trainer.kubeflow.org"
VERSION: Final = "v1alpha1"

TRAIN_JOB = Kind(GROUP, VERSION, "TrainJob", "trainjobs")
TRAINING_RUNTIME = Kind(GROUP, VERSION, "TrainingRuntime", "trainingruntimes")
CLUSTER_TRAINING_RUNTIME = Kind(GROUP, VERSION, "ClusterTrainingRuntime", "clustertrainingruntimes", namespaced=False)
OPTIMIZATION_JOB = Kind(GROUP, VERSION, "OptimizationJob", "optimizationjobs")

RUNTIME_KINDS: Final = {kind.kind: kind for kind in (TRAINING_RUNTIME, CLUSTER_TRAINING_RUNTIME)}

OUR_CONTROLLER: Final = "trainer.kubeflow.org/trainjob-controller"
MULTI_KUEUE: Final = "kueue.x-k8s.io/multikueue"

FRAMEWORK_LABEL: Final = "trainer.kubeflow.org/framework"
"""On runtimes; the SDK skips runtimes without it."""
ANCESTOR_LABEL: Final = "trainer.kubeflow.org/trainjob-ancestor-step"
"""On a runtime's Job template: which block of the TrainJob feeds this job (one of `Step`)."""
SUPPORT_LABEL: Final = "trainer.kubeflow.org/support"
"""`deprecated` on runtimes that go away: admission warns."""
WEBHOOK_LABEL: Final = "trainer.kubeflow.org/webhook-validation"
"""`disabled` on runtimes that the runtime validator skips."""
OLD_RUNTIME_FINALIZER: Final = "trainer.kubeflow.org/resource-in-use"
"""Left on runtimes by Trainer before v2.3; we take it off."""
LAST_ERROR_ANNOTATION: Final = "trainer.kubeflow.org/last-error"
"""Why the children of a TrainJob cannot be made, while we retry."""

PORT: Final = 29500
"""Where the first node listens for the others, in every framework."""
NODE: Final = "node"
"""The container that trains, and the usual name of its replicated job."""
LAUNCHER: Final = "launcher"
INITIALIZER_VOLUME: Final = "initializer"
INDEX_FIELD: Final = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


class Step(StrEnum):
    """The blocks of a TrainJob that feed a job of the runtime; also the values of the ancestor label."""

    TRAINER = "trainer"
    DATASET_INITIALIZER = "dataset-initializer"
    MODEL_INITIALIZER = "model-initializer"

    @property
    def container(self) -> str:
        """The container that the block configures."""
        return NODE if self is Step.TRAINER else self.value


class Condition(StrEnum):
    """Types of `status.conditions`. There are no others: one more would freeze what the SDK shows."""

    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    FAILED = "Failed"


class Reason(StrEnum):
    """Reasons that are ours; those of `Complete` and `Failed` are otherwise copied from the JobSet."""

    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    RUNTIME_NOT_SUPPORTED = "TrainingRuntimeNotSupported"
    CREATION_FAILED = "TrainJobResourcesCreationFailed"
    """Also the reason of the Warning event while we retry."""


_CORE: Final = "io.k8s.api.core.v1."
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."

_Env = Annotated[
    list[Annotated[Tree, Field(ref=f"{_CORE}EnvVar")]] | None,
    Field(list_type="map", list_keys=("name",), max_items=128),
]
_Arguments = Annotated[
    list[Annotated[str, Field(max_length=1_048_576)]] | None, Field(list_type="atomic", max_items=128)
]
_Metadata = Annotated[Tree | None, Field(ref=f"{_META}ObjectMeta")]
_Count = Annotated[int, Field(minimum=0)]


class _Wire(Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    """Shared settings of all wire structs."""


class ObjectMeta(_Wire, frozen=True):
    """The part of `metadata` that decisions need."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    creation_timestamp: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class RuntimeRef(_Wire, frozen=True):
    """Which runtime a TrainJob starts from; in the TrainJob's namespace for a TrainingRuntime."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    api_group: Annotated[str, Field(max_length=253, default=GROUP)] = GROUP
    kind: Annotated[str, Field(max_length=253, default="ClusterTrainingRuntime")] = "ClusterTrainingRuntime"


class DataSource(_Wire, frozen=True):
    """Where a dataset or a model comes from: `hf://`, `s3://`, `cache://`."""

    storage_uri: Annotated[
        str | None,
        Field(
            max_length=2048,
            rules=(
                Rule(
                    rule="self == '' || self.matches('^[A-Za-z][A-Za-z0-9+.-]*://.+$')",
                    message="storageUri may be empty, or it must be a valid URI (scheme://...)",
                ),
            ),
        ),
    ] = None
    env: _Env = None
    secret_ref: Annotated[Tree | None, Field(ref=f"{_CORE}LocalObjectReference")] = None


class Initializer(_Wire, frozen=True):
    dataset: DataSource | None = None
    model: DataSource | None = None


class Trainer(_Wire, frozen=True):
    """What the TrainJob changes in the runtime's training container. Lists replace, env is merged by name."""

    image: Annotated[str | None, Field(max_length=500)] = None
    command: _Arguments = None
    args: _Arguments = None
    env: _Env = None
    num_nodes: Annotated[int | None, Field(minimum=0)] = None
    resources_per_node: Annotated[Tree | None, Field(ref=f"{_CORE}ResourceRequirements")] = None
    num_proc_per_node: Annotated[
        int | None,
        Field(rules=(Rule(rule="self >= 1", message="numProcPerNode must be greater than or equal to 1"),)),
    ] = None


class PatchedContainer(_Wire, frozen=True):
    """What a patch may say of a container."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    env: _Env = None
    volume_mounts: Annotated[
        list[Annotated[Tree, Field(ref=f"{_CORE}VolumeMount")]] | None,
        Field(list_type="map", list_keys=("name",), max_items=128),
    ] = None
    security_context: Annotated[Tree | None, Field(ref=f"{_CORE}SecurityContext")] = None


_PatchedContainers = Annotated[
    list[PatchedContainer] | None, Field(list_type="map", list_keys=("name",), max_items=64, immutable=True)
]


class PatchedPodSpec(_Wire, frozen=True):
    """What a patch may say of a pod: where it runs, as whom, and with what beside the image."""

    service_account_name: Annotated[str | None, Field(max_length=253, immutable=True)] = None
    node_selector: dict[str, str] | None = None
    affinity: Annotated[Tree | None, Field(ref=f"{_CORE}Affinity")] = None
    tolerations: Annotated[
        list[Annotated[Tree, Field(ref=f"{_CORE}Toleration")]] | None, Field(list_type="atomic", max_items=128)
    ] = None
    volumes: Annotated[
        list[Annotated[Tree, Field(ref=f"{_CORE}Volume")]] | None,
        Field(list_type="map", list_keys=("name",), max_items=128, immutable=True),
    ] = None
    init_containers: _PatchedContainers = None
    containers: _PatchedContainers = None
    image_pull_secrets: Annotated[
        list[Annotated[Tree, Field(ref=f"{_CORE}LocalObjectReference")]] | None,
        Field(list_type="map", list_keys=("name",), max_items=64, immutable=True),
    ] = None
    security_context: Annotated[Tree | None, Field(ref=f"{_CORE}PodSecurityContext", immutable=True)] = None
    scheduling_gates: Annotated[
        list[Annotated[Tree, Field(ref=f"{_CORE}PodSchedulingGate")]] | None,
        Field(list_type="map", list_keys=("name",), max_items=16),
    ] = None
    termination_grace_period_seconds: Annotated[int | None, Field(format="int64", minimum=0, immutable=True)] = None


class PatchedPodTemplate(_Wire, frozen=True):
    metadata: _Metadata = None
    spec: PatchedPodSpec | None = None


class PatchedJobSpec(_Wire, frozen=True):
    template: PatchedPodTemplate | None = None


class PatchedJobTemplate(_Wire, frozen=True):
    metadata: _Metadata = None
    spec: PatchedJobSpec | None = None


class PatchedReplicatedJob(_Wire, frozen=True):
    name: Annotated[str, Field(min_length=1, max_length=253)]
    template: PatchedJobTemplate | None = None


class PatchedJobSetSpec(_Wire, frozen=True):
    replicated_jobs: Annotated[
        list[PatchedReplicatedJob] | None, Field(list_type="map", list_keys=("name",), max_items=100)
    ] = None


class PatchedTemplate(_Wire, frozen=True):
    metadata: _Metadata = None
    spec: PatchedJobSetSpec | None = None


class PatchedRuntimeSpec(_Wire, frozen=True):
    template: PatchedTemplate | None = None


class RuntimePatch(_Wire, frozen=True):
    """What one manager (Kueue, the SDK, a user) lays over the runtime."""

    manager: Annotated[str, Field(min_length=1, max_length=253, immutable=True)]
    time: Annotated[str | None, Field(format="date-time")] = None
    """When the manager last changed it; set by the defaulter."""
    training_runtime_spec: Annotated[Tree | None, Field(of=PatchedRuntimeSpec)] = None


class TrainJobSpec(_Wire, frozen=True):
    runtime_ref: Annotated[RuntimeRef, Field(immutable=True)]
    initializer: Annotated[Initializer | None, Field(immutable=True)] = None
    trainer: Annotated[Trainer | None, Field(immutable=True)] = None
    runtime_patches: Annotated[
        list[RuntimePatch] | None, Field(list_type="map", list_keys=("manager",), max_items=16)
    ] = None
    suspend: Annotated[bool | None, Field(default=False)] = None
    active_deadline_seconds: Annotated[int | None, Field(format="int64", minimum=1, immutable=True)] = None
    """Seconds from the creation or the last resumption on; then the TrainJob fails."""
    managed_by: Annotated[
        str | None,
        Field(
            max_length=253,
            default=OUR_CONTROLLER,
            rules=(
                Rule(
                    rule=f"self in ['{OUR_CONTROLLER}', '{MULTI_KUEUE}']",
                    message=f"ManagedBy must be {OUR_CONTROLLER} or {MULTI_KUEUE} if set",
                ),
                Rule(rule="self == oldSelf", message="field is immutable"),
            ),
        ),
    ] = None


class JobStatus(_Wire, frozen=True):
    """How many Jobs of a replicated job are in which state; all five are always there."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    ready: _Count
    succeeded: _Count
    failed: _Count
    active: _Count
    suspended: _Count


class Metric(_Wire, frozen=True):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    value: Annotated[str, Field(min_length=1, max_length=64)]


class TrainerStatus(_Wire, frozen=True):
    """What training code last reported."""

    progress_percentage: Annotated[int | None, Field(minimum=0, maximum=100)] = None
    estimated_remaining_seconds: Annotated[int | None, Field(minimum=0)] = None
    metrics: Annotated[list[Metric] | None, Field(list_type="atomic", max_items=256)] = None
    last_updated_time: Annotated[str | None, Field(format="date-time")] = None

    __crd__: ClassVar[Field] = Field(
        rules=(
            Rule(
                rule="has(self.lastUpdatedTime)",
                message="lastUpdatedTime is required when trainerStatus is present",
            ),
        )
    )


class TrainJobStatus(_Wire, frozen=True):
    conditions: Annotated[
        list[Annotated[Tree, Field(ref=f"{_META}Condition")]] | None,
        Field(list_type="map", list_keys=("type",), max_items=8),
    ] = None
    """Of the types in `Condition`."""
    jobs_status: Annotated[list[JobStatus] | None, Field(list_type="map", list_keys=("name",), max_items=100)] = None
    """In the order of the runtime's replicated jobs."""
    trainer_status: TrainerStatus | None = None

    __crd__: ClassVar[Field] = Field(min_properties=1)


class TrainJob(_Wire, frozen=True):
    """One training run."""

    metadata: ObjectMeta
    spec: TrainJobSpec
    status: Tree | None = None

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.metadata.namespace, self.metadata.name)

    @property
    def is_suspended(self) -> bool:
        return bool(self.spec.suspend)

    @property
    def is_ours(self) -> bool:
        """False when another controller (MultiKueue) looks after it."""
        return self.spec.managed_by in (None, "", OUR_CONTROLLER)

    @property
    def runtime_kind(self) -> Kind | None:
        """The kind of its runtime; None when we know no such kind."""
        ref = self.spec.runtime_ref
        return RUNTIME_KINDS.get(ref.kind) if ref.api_group == GROUP else None


class EnvTarget(_Wire, frozen=True):
    """Further containers that get the environment of the node container."""

    job_name: Annotated[str, Field(min_length=1, max_length=253)]
    container_names: Annotated[
        list[Annotated[str, Field(max_length=63)]],
        Field(
            list_type="set",
            min_items=1,
            max_items=8,
            rules=(
                Rule(
                    rule="!self.exists(c, c == 'node')",
                    message="containerNames must not include the main node container because PET_* envs are always "
                    "injected into it",
                ),
            ),
        ),
    ]


class EnvInjection(_Wire, frozen=True):
    targets: Annotated[list[EnvTarget] | None, Field(list_type="map", list_keys=("jobName",), max_items=16)] = None


class TorchPolicy(_Wire, frozen=True):
    env_injection: EnvInjection | None = None


class MPIPolicy(_Wire, frozen=True):
    num_proc_per_node: Annotated[
        int | None,
        Field(default=1, rules=(Rule(rule="self >= 1", message="NumProcPerNode in mpiPolicy must be >= 1"),)),
    ] = 1
    mpi_implementation: Annotated[str | None, Field(default="OpenMPI", enum=("OpenMPI", ""))] = "OpenMPI"
    ssh_auth_mount_path: Annotated[str | None, Field(default="/root/.ssh", max_length=4096)] = "/root/.ssh"
    run_launcher_as_node: Annotated[bool | None, Field(default=False)] = False


class FluxPolicy(_Wire, frozen=True):
    num_proc_per_node: Annotated[
        int | None,
        Field(default=1, rules=(Rule(rule="self >= 1", message="NumProcPerNode in fluxPolicy must be >= 1"),)),
    ] = 1


class Nothing(_Wire, frozen=True):
    """A policy without settings."""

    __crd__: ClassVar[Field] = Field(schema={"properties": None})


class MLPolicy(_Wire, frozen=True):
    """How processes find each other; at most one source beside `num_nodes`."""

    num_nodes: int | None = None
    torch: TorchPolicy | None = None
    mpi: MPIPolicy | None = None
    flux: FluxPolicy | None = None
    jax: Nothing | None = None
    xgboost: Nothing | None = None

    __crd__: ClassVar[Field] = Field(
        rules=(
            Rule(
                rule="[has(self.torch), has(self.mpi), has(self.jax), has(self.xgboost),has(self.flux)]"
                ".filter(x, x).size() <= 1",
                message="Only one of the policy can be configured",
            ),
        )
    )


class Coscheduling(_Wire, frozen=True):
    schedule_timeout_seconds: Annotated[int | None, Field(default=60)] = 60


class NetworkTopology(_Wire, frozen=True):
    mode: Annotated[str | None, Field(default="hard", enum=("hard", "soft"))] = "hard"
    highest_tier_allowed: Annotated[int | None, Field(default=1, schema={"format": None})] = 1


class Volcano(_Wire, frozen=True):
    network_topology: NetworkTopology | None = None


class PodGroupPolicy(_Wire, frozen=True):
    coscheduling: Coscheduling | None = None
    volcano: Volcano | None = None


class JobSetTemplate(_Wire, frozen=True):
    """A runtime's template; decisions take it as a tree."""

    metadata: _Metadata = None
    spec: JobSetSpec | None = None

    __crd__: ClassVar[Field] = Field(min_properties=1)


class RuntimeSpec(_Wire, frozen=True):
    ml_policy: MLPolicy | None = None
    pod_group_policy: PodGroupPolicy | None = None
    template: Annotated[Tree, Field(of=JobSetTemplate)] = msgspec.field(default_factory=dict)
    """`{metadata, spec}` of a JobSet."""

    __crd__: ClassVar[Field] = Field(min_properties=1)


class Runtime(_Wire, frozen=True):
    """A TrainingRuntime or a ClusterTrainingRuntime."""

    kind: str
    metadata: ObjectMeta
    spec: RuntimeSpec


class Objective(_Wire, frozen=True):
    metric: Annotated[str, Field(min_length=1, max_length=64)]
    direction: Annotated[Literal["Maximize", "Minimize"], Field(default="Minimize")] = "Minimize"


_Number = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$")
]
_NumberType = Annotated[Literal["Int", "Float"], Field(default="Float")]
_ASCENDING = Rule(rule="double(self.min) < double(self.max)", message="min must be strictly less than max")


class Uniform(_Wire, frozen=True):
    min: _Number
    max: _Number
    type: _NumberType = "Float"

    __crd__: ClassVar[Field] = Field(rules=(_ASCENDING,))


class LogUniform(_Wire, frozen=True):
    min: _Number
    max: _Number
    type: _NumberType = "Float"

    __crd__: ClassVar[Field] = Field(
        rules=(Rule(rule="double(self.min) > 0.0", message="min must be strictly greater than 0"), _ASCENDING)
    )


class Categorical(_Wire, frozen=True):
    choices: Annotated[list[Annotated[str, Field(max_length=64)]], Field(list_type="set", min_items=1, max_items=100)]


class SearchSpace(_Wire, frozen=True):
    uniform: Uniform | None = None
    log_uniform: LogUniform | None = None
    categorical: Categorical | None = None

    __crd__: ClassVar[Field] = Field(
        rules=(
            Rule(
                rule="[has(self.uniform),has(self.logUniform),has(self.categorical)].filter(x,x==true).size() == 1",
                message="exactly one of the fields in [uniform logUniform categorical] must be set",
            ),
        )
    )


class Parameter(_Wire, frozen=True):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    search_space: SearchSpace


class RandomSearch(_Wire, frozen=True):
    seed: Annotated[int | None, Field(format="int64")] = None


class SearchAlgorithm(_Wire, frozen=True):
    random: RandomSearch | None = None
    grid: Nothing | None = None

    __crd__: ClassVar[Field] = Field(
        rules=(
            Rule(
                rule="[has(self.random),has(self.grid)].filter(x,x==true).size() == 1",
                message="exactly one of the fields in [random grid] must be set",
            ),
        )
    )


class TrainJobTemplate(_Wire, frozen=True):
    spec: Annotated[Tree, Field(of=TrainJobSpec)]
    metadata: Annotated[
        Tree | None,
        Field(
            ref=f"{_META}ObjectMeta",
            rules=(
                Rule(
                    rule="!has(self.name) && !has(self.namespace)",
                    message="name and namespace cannot be set in a template.",
                ),
            ),
        ),
    ] = None


class OptimizationJobSpec(_Wire, frozen=True):
    """A search over TrainJobs; the tuning component runs it."""

    objectives: Annotated[list[Objective], Field(list_type="map", list_keys=("metric",), min_items=1, max_items=1)]
    parameters: Annotated[list[Parameter], Field(list_type="map", list_keys=("name",), min_items=1, max_items=100)]
    train_job_template: TrainJobTemplate
    search_algorithm: Annotated[SearchAlgorithm | None, Field(default={"random": {}})] = None
    num_trials: Annotated[int, Field(default=1, minimum=1, maximum=100)] = 1
    parallel_trials: Annotated[int, Field(default=1, minimum=1, maximum=100)] = 1

    __crd__: ClassVar[Field] = Field(
        rules=(
            Rule(
                rule="self == oldSelf",
                message="OptimizationJobSpec is immutable and cannot be updated after creation",
            ),
            Rule(rule="self.parallelTrials <= self.numTrials", message="parallelTrials cannot exceed numTrials"),
            Rule(
                rule="!has(self.searchAlgorithm.grid) || self.parameters.all(p, has(p.searchSpace.categorical))",
                message="Grid search requires all parameters to be Categorical; Uniform and LogUniform are not "
                "supported.",
            ),
        )
    )


class ChosenParameter(_Wire, frozen=True):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    value: Annotated[str, Field(min_length=1, max_length=64)]


class OptimizationResult(_Wire, frozen=True):
    train_job_name: Annotated[str, Field(min_length=1, max_length=63)]
    parameters: Annotated[list[ChosenParameter] | None, Field(list_type="map", list_keys=("name",), max_items=100)] = (
        None
    )


class OptimizationJobStatus(_Wire, frozen=True):
    conditions: Annotated[
        list[Annotated[Tree, Field(ref=f"{_META}Condition")]] | None,
        Field(list_type="map", list_keys=("type",), max_items=100),
    ] = None
    result: OptimizationResult | None = None


def train_job_of(tree: Tree) -> TrainJob:
    """The struct of a stored TrainJob. Its schema has been checked, and lets `2.0` through as an integer."""
    return msgspec.convert(tree, TrainJob, strict=False)


def runtime_of(tree: Tree) -> Runtime:
    """The struct of a stored runtime, of either kind."""
    return msgspec.convert(tree, Runtime, strict=False)


NAME_RULES: Final = (
    Rule(
        rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        message="metadata.name must match RFC 1035 DNS label format",
    ),
    Rule(rule="size(self.metadata.name) <= 63", message="metadata.name must be no more than 63 characters"),
)


def definitions() -> list[Tree]:
    """The CustomResourceDefinitions of the kinds above."""
    columns = (Column("State", ".status.conditions[-1:].type"), AGE)
    runtime = Version(VERSION, spec=RuntimeSpec)
    return [
        definition(
            TRAIN_JOB,
            [Version(VERSION, spec=TrainJobSpec, status=TrainJobStatus, columns=columns, rules=NAME_RULES)],
        ),
        definition(TRAINING_RUNTIME, [runtime]),
        definition(CLUSTER_TRAINING_RUNTIME, [runtime]),
        definition(
            OPTIMIZATION_JOB,
            [Version(VERSION, spec=OptimizationJobSpec, status=OptimizationJobStatus, required=("spec",))],
        ),
    ]
