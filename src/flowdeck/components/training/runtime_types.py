"""TrainingRuntimes and ClusterTrainingRuntimes (`trainer.kubeflow.org/v1alpha1`): the blueprints of TrainJobs.

Source: kubeflow/trainer (pkg/apis/trainer/v1alpha1/trainingruntime_types.go)
"""

from typing import Annotated, ClassVar

import msgspec

from flowdeck.components.training.types import Metadata, ObjectMeta, Wire
from flowdeck.kube.crd import Field, Rule
from flowdeck.kube.job_set.types import JobSetSpec
from flowdeck.kube.objects import Tree


class EnvTarget(Wire, frozen=True):
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


class EnvInjection(Wire, frozen=True):
    targets: Annotated[list[EnvTarget] | None, Field(list_type="map", list_keys=("jobName",), max_items=16)] = None


class TorchPolicy(Wire, frozen=True):
    env_injection: EnvInjection | None = None


class MPIPolicy(Wire, frozen=True):
    num_proc_per_node: Annotated[
        int | None,
        Field(default=1, rules=(Rule(rule="self >= 1", message="NumProcPerNode in mpiPolicy must be >= 1"),)),
    ] = 1
    mpi_implementation: Annotated[str | None, Field(default="OpenMPI", enum=("OpenMPI", ""))] = "OpenMPI"
    ssh_auth_mount_path: Annotated[str | None, Field(default="/root/.ssh", max_length=4096)] = "/root/.ssh"
    run_launcher_as_node: Annotated[bool | None, Field(default=False)] = False


class FluxPolicy(Wire, frozen=True):
    num_proc_per_node: Annotated[
        int | None,
        Field(default=1, rules=(Rule(rule="self >= 1", message="NumProcPerNode in fluxPolicy must be >= 1"),)),
    ] = 1


class Nothing(Wire, frozen=True):
    """A policy without settings."""

    __crd__: ClassVar[Field] = Field(schema={"properties": None})


class MLPolicy(Wire, frozen=True):
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


class Coscheduling(Wire, frozen=True):
    schedule_timeout_seconds: Annotated[int | None, Field(default=60)] = 60


class NetworkTopology(Wire, frozen=True):
    mode: Annotated[str | None, Field(default="hard", enum=("hard", "soft"))] = "hard"
    highest_tier_allowed: Annotated[int | None, Field(default=1, schema={"format": None})] = 1


class Volcano(Wire, frozen=True):
    network_topology: NetworkTopology | None = None


class PodGroupPolicy(Wire, frozen=True):
    coscheduling: Coscheduling | None = None
    volcano: Volcano | None = None


class JobSetTemplate(Wire, frozen=True):
    """A runtime's template; decisions take it as a tree."""

    metadata: Metadata = None
    spec: JobSetSpec | None = None

    __crd__: ClassVar[Field] = Field(min_properties=1)


class RuntimeSpec(Wire, frozen=True):
    ml_policy: MLPolicy | None = None
    pod_group_policy: PodGroupPolicy | None = None
    template: Annotated[Tree, Field(of=JobSetTemplate)] = msgspec.field(default_factory=dict)
    """`{metadata, spec}` of a JobSet."""

    __crd__: ClassVar[Field] = Field(min_properties=1)


class Runtime(Wire, frozen=True):
    """A TrainingRuntime or a ClusterTrainingRuntime."""

    kind: str
    metadata: ObjectMeta
    spec: RuntimeSpec


def runtime_of(tree: Tree) -> Runtime:
    """The struct of a stored runtime, of either kind."""
    return msgspec.convert(tree, Runtime, strict=False)
