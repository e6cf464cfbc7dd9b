"""TrainJobs (`trainer.kubeflow.org/v1alpha1`), and the names that go with them; runtimes are in `runtime_types.py`.

Structs carry what the component decides on; what belongs to Kubernetes or to JobSet stays a tree. Wire names are
camelCase, absent and null mean the same, unknown fields are tolerated on read.

Source: kubeflow/trainer (pkg/apis/trainer/v1alpha1, pkg/constants)
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Struct

from flowdeck.kube.crd import Field, Rule
from flowdeck.kube.objects import Kind, ObjectKey, Tree

GROUP: Final = "trainer.kubeflow.org"
VERSION: Final = "v1alpha1"

TRAIN_JOB = Kind(GROUP, VERSION, "TrainJob", "trainjobs")
TRAINING_RUNTIME = Kind(GROUP, VERSION, "TrainingRuntime", "trainingruntimes")
CLUSTER_TRAINING_RUNTIME = Kind(GROUP, VERSION, "ClusterTrainingRuntime", "clustertrainingruntimes", namespaced=False)

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
Metadata = Annotated[Tree | None, Field(ref=f"{_META}ObjectMeta")]
_Count = Annotated[int, Field(minimum=0)]


class Wire(Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    """Shared settings of all wire structs."""


class ObjectMeta(Wire, frozen=True):
    """The part of `metadata` that decisions need."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class RuntimeRef(Wire, frozen=True):
    """Which runtime a TrainJob starts from; in the TrainJob's namespace for a TrainingRuntime."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    api_group: Annotated[str, Field(max_length=253, default=GROUP)] = GROUP
    kind: Annotated[str, Field(max_length=253, default="ClusterTrainingRuntime")] = "ClusterTrainingRuntime"


class DataSource(Wire, frozen=True):
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


class Initializer(Wire, frozen=True):
    dataset: DataSource | None = None
    model: DataSource | None = None


class Trainer(Wire, frozen=True):
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


class PatchedContainer(Wire, frozen=True):
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


class PatchedPodSpec(Wire, frozen=True):
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


class PatchedPodTemplate(Wire, frozen=True):
    metadata: Metadata = None
    spec: PatchedPodSpec | None = None


class PatchedJobSpec(Wire, frozen=True):
    template: PatchedPodTemplate | None = None


class PatchedJobTemplate(Wire, frozen=True):
    metadata: Metadata = None
    spec: PatchedJobSpec | None = None


class PatchedReplicatedJob(Wire, frozen=True):
    name: Annotated[str, Field(min_length=1, max_length=253)]
    template: PatchedJobTemplate | None = None


class PatchedJobSetSpec(Wire, frozen=True):
    replicated_jobs: Annotated[
        list[PatchedReplicatedJob] | None, Field(list_type="map", list_keys=("name",), max_items=100)
    ] = None


class PatchedTemplate(Wire, frozen=True):
    metadata: Metadata = None
    spec: PatchedJobSetSpec | None = None


class PatchedRuntimeSpec(Wire, frozen=True):
    template: PatchedTemplate | None = None


class RuntimePatch(Wire, frozen=True):
    """What one manager (Kueue, the SDK, a user) lays over the runtime."""

    manager: Annotated[str, Field(min_length=1, max_length=253, immutable=True)]
    time: Annotated[str | None, Field(format="date-time")] = None
    """When the manager last changed it; set by the defaulter."""
    training_runtime_spec: Annotated[Tree | None, Field(of=PatchedRuntimeSpec)] = None


class TrainJobSpec(Wire, frozen=True):
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


class JobStatus(Wire, frozen=True):
    """How many Jobs of a replicated job are in which state; all five are always there."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    ready: _Count
    succeeded: _Count
    failed: _Count
    active: _Count
    suspended: _Count


class Metric(Wire, frozen=True):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    value: Annotated[str, Field(min_length=1, max_length=64)]


class TrainerStatus(Wire, frozen=True):
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


class TrainJobStatus(Wire, frozen=True):
    conditions: Annotated[
        list[Annotated[Tree, Field(ref=f"{_META}Condition")]] | None,
        Field(list_type="map", list_keys=("type",), max_items=8),
    ] = None
    """Of the types in `Condition`."""
    jobs_status: Annotated[list[JobStatus] | None, Field(list_type="map", list_keys=("name",), max_items=100)] = None
    """In the order of the runtime's replicated jobs."""
    trainer_status: TrainerStatus | None = None

    __crd__: ClassVar[Field] = Field(min_properties=1)


class TrainJob(Wire, frozen=True):
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


def train_job_of(tree: Tree) -> TrainJob:
    """The struct of a stored TrainJob. Its schema has been checked, and lets `2.0` through as an integer."""
    return msgspec.convert(tree, TrainJob, strict=False)
