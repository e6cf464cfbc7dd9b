"""The kinds of `trainer.kubeflow.org/v1alpha1` and the names that go with them.

Structs carry what the component decides on; what belongs to Kubernetes or to JobSet stays a tree. Wire names are
camelCase, absent and null mean the same, unknown fields are tolerated on read.

Source: kubeflow/trainer (pkg/apis/trainer/v1alpha1, pkg/constants)
"""

from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

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

    name: str
    api_group: str = GROUP
    kind: str = CLUSTER_TRAINING_RUNTIME.kind


class DataSource(_Wire, frozen=True):
    """Where a dataset or a model comes from: `hf://`, `s3://`, `cache://`."""

    storage_uri: str | None = None
    env: list[Tree] | None = None
    secret_ref: Tree | None = None


class Initializer(_Wire, frozen=True):
    dataset: DataSource | None = None
    model: DataSource | None = None


class Trainer(_Wire, frozen=True):
    """What the TrainJob changes in the runtime's training container. Lists replace, env is merged by name."""

    image: str | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    env: list[Tree] | None = None
    num_nodes: int | None = None
    resources_per_node: Tree | None = None
    num_proc_per_node: int | None = None


class RuntimePatch(_Wire, frozen=True):
    """What one manager (Kueue, the SDK, a user) lays over the runtime."""

    manager: str
    time: str | None = None
    training_runtime_spec: Tree | None = None


class TrainJobSpec(_Wire, frozen=True):
    runtime_ref: RuntimeRef
    initializer: Initializer | None = None
    trainer: Trainer | None = None
    runtime_patches: list[RuntimePatch] | None = None
    suspend: bool | None = None
    active_deadline_seconds: int | None = None
    managed_by: str | None = None


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
    job_name: str
    container_names: list[str]


class EnvInjection(_Wire, frozen=True):
    targets: list[EnvTarget] | None = None


class TorchPolicy(_Wire, frozen=True):
    env_injection: EnvInjection | None = None


class MPIPolicy(_Wire, frozen=True):
    num_proc_per_node: int | None = 1
    mpi_implementation: str | None = "OpenMPI"
    ssh_auth_mount_path: str | None = "/root/.ssh"
    run_launcher_as_node: bool | None = False


class FluxPolicy(_Wire, frozen=True):
    num_proc_per_node: int | None = 1


class MLPolicy(_Wire, frozen=True):
    """How processes find each other; at most one source beside `num_nodes`."""

    num_nodes: int | None = None
    torch: TorchPolicy | None = None
    mpi: MPIPolicy | None = None
    flux: FluxPolicy | None = None
    jax: Tree | None = None
    xgboost: Tree | None = None


class Coscheduling(_Wire, frozen=True):
    schedule_timeout_seconds: int | None = 60


class NetworkTopology(_Wire, frozen=True):
    mode: str | None = "hard"
    highest_tier_allowed: int | None = 1


class Volcano(_Wire, frozen=True):
    network_topology: NetworkTopology | None = None


class PodGroupPolicy(_Wire, frozen=True):
    coscheduling: Coscheduling | None = None
    volcano: Volcano | None = None


class RuntimeSpec(_Wire, frozen=True):
    ml_policy: MLPolicy | None = None
    pod_group_policy: PodGroupPolicy | None = None
    template: Tree = msgspec.field(default_factory=dict)
    """`{metadata, spec}` of a JobSet."""


class Runtime(_Wire, frozen=True):
    """A TrainingRuntime or a ClusterTrainingRuntime."""

    kind: str
    metadata: ObjectMeta
    spec: RuntimeSpec


def train_job_of(tree: Tree) -> TrainJob:
    return msgspec.convert(tree, TrainJob)


def runtime_of(tree: Tree) -> Runtime:
    return msgspec.convert(tree, Runtime)
