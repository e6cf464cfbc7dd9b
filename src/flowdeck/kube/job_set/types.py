"""The fields of a JobSet, and the definition that is made of them.

Source: kubernetes-sigs/jobset (api/jobset/v1alpha2/jobset_types.go).
"""

from typing import Annotated, ClassVar, Literal

from msgspec import Struct, field

from flowdeck.kube.crd import AGE, Column, Field, Rule, Version, definition
from flowdeck.kube.kinds import JOB_SET
from flowdeck.kube.objects import Tree

_ATOMIC = Field(list_type="atomic")
_UNCHANGED = Field(rules=(Rule(rule="self == oldSelf", message="Value is immutable"),))
_PLAIN = Field(schema={"format": None})
_Names = Annotated[list[str] | None, _ATOMIC]
_JobTemplate = Annotated[Tree, Field(ref="io.k8s.api.batch.v1.JobTemplateSpec")]
_Claim = Annotated[Tree, Field(ref="io.k8s.api.core.v1.PersistentVolumeClaim")]


class _Wire(Struct, rename="camel", omit_defaults=True):
    """Shared settings of all wire structs."""


class Network(_Wire):
    """How the pods find each other."""

    enable_dns_hostnames: bool | None = field(default=None, name="enableDNSHostnames")
    """Default true: a headless Service gives each pod the name `<jobset>-<job>-<job index>-<pod index>.<subdomain>`."""
    publish_not_ready_addresses: bool | None = None
    """Default true: names resolve before the pods are ready."""
    subdomain: str | None = None
    """Default: the JobSet's name."""


class DependsOn(_Wire):
    """Another replicated job that must have come so far before this one starts."""

    name: str
    status: Literal["Ready", "Complete"]


class ReplicatedJob(_Wire):
    """A number of Jobs made of one template."""

    name: str
    template: _JobTemplate
    replicas: Annotated[int, Field(minimum=0, default=1, required=False)] = 1
    group_name: Annotated[str, Field(default="default", required=False)] = "default"
    depends_on: Annotated[
        list[DependsOn] | None, Field(list_type="map", list_keys=("name",), max_items=5), _UNCHANGED
    ] = None


class SuccessPolicy(_Wire):
    """When the JobSet has succeeded: when all, or any, of the Jobs of the named replicated jobs (default: all) have."""

    operator: Literal["All", "Any"]
    target_replicated_jobs: _Names = None


class FailurePolicyRule(_Wire):
    """What to do when a Job failed; the first rule that matches decides. What is left out matches everything."""

    action: Literal[
        "FailJobSet",
        "RestartJobSet",
        "RestartJobSetAndIgnoreMaxRestarts",
        "RestartJob",
        "RestartJobAndIgnoreMaxRestarts",
    ]
    name: Annotated[str, Field(required=True)] = ""
    """Default `failurePolicyRule<position>`."""
    on_job_failure_reasons: list[str] | None = None
    on_job_failure_message_patterns: list[str] | None = None
    target_replicated_jobs: _Names = None


class FailurePolicy(_Wire):
    """What to do when a Job failed. Without one, the JobSet fails."""

    max_restarts: int | None = None
    """Default 0."""
    restart_strategy: Annotated[
        Literal["Recreate", "BlockingRecreate", "InPlaceRestart"], Field(default="Recreate", required=False)
    ] = "Recreate"
    rules: list[FailurePolicyRule] | None = None


class StartupPolicy(_Wire):
    """`InOrder`: each replicated job starts when the one before it is ready."""

    startup_policy_order: Literal["AnyOrder", "InOrder"]


class Coordinator(_Wire):
    """The pod whose address all others get in label and annotation."""

    replicated_job: str
    job_index: Annotated[int | None, _PLAIN] = None
    pod_index: Annotated[int | None, _PLAIN] = None


class RetentionPolicy(_Wire):
    """What becomes of claims when the JobSet is deleted: `Delete` makes them go with it."""

    when_deleted: Annotated[Literal["Delete", "Retain"] | None, Field(default="Delete")] = None


class VolumeClaimPolicy(_Wire):
    """Claims that are made for the JobSet and mounted where a container has a mount of that name."""

    templates: Annotated[list[_Claim] | None, Field(list_type="atomic", max_items=50)] = None
    retention_policy: RetentionPolicy | None = None

    __crd__: ClassVar[Field] = Field(
        rules=(
            Rule(
                rule="self.templates.all(t, !has(t.metadata.namespace) || size(t.metadata.namespace) == 0)",
                message="namespace cannot be set for VolumeClaimPolicies templates",
            ),
        )
    )


class JobSetSpec(_Wire):
    """A group of Jobs that start, fail, restart and end together."""

    replicated_jobs: Annotated[list[ReplicatedJob] | None, Field(list_type="map", list_keys=("name",))] = None
    network: Annotated[Network | None, _UNCHANGED] = None
    success_policy: Annotated[SuccessPolicy | None, _UNCHANGED] = None
    failure_policy: Annotated[FailurePolicy | None, _UNCHANGED] = None
    startup_policy: Annotated[StartupPolicy | None, _UNCHANGED] = None
    suspend: bool | None = None
    coordinator: Coordinator | None = None
    managed_by: str | None = None
    ttl_seconds_after_finished: Annotated[int | None, Field(minimum=0)] = None
    volume_claim_policies: Annotated[
        list[VolumeClaimPolicy] | None, Field(list_type="atomic", max_items=50), _UNCHANGED
    ] = None

    __crd__: ClassVar[Field] = Field(
        rules=(
            Rule(
                rule="!(has(self.startupPolicy) && self.startupPolicy.startupPolicyOrder == 'InOrder' && "
                "self.replicatedJobs.exists(x, has(x.dependsOn)))",
                message="StartupPolicy and DependsOn APIs are mutually exclusive",
            ),
        )
    )


class ReplicatedJobStatus(_Wire):
    """How many Jobs of a replicated job are in which state."""

    name: str
    ready: int
    succeeded: int
    failed: int
    active: int
    suspended: int
    job_restarts: Annotated[list[int] | None, Field(list_type="atomic", max_items=1024)] = None
    job_restarts_count_towards_max: Annotated[list[int] | None, Field(list_type="atomic", max_items=1024)] = None


class JobSetStatus(_Wire):
    conditions: Annotated[
        list[Annotated[Tree, Field(ref="io.k8s.apimachinery.pkg.apis.meta.v1.Condition")]] | None,
        Field(list_type="map", list_keys=("type",)),
    ] = None
    restarts: int | None = None
    restarts_count_towards_max: int | None = None
    terminal_state: str | None = None
    """`Completed` or `Failed`."""
    replicated_jobs_status: Annotated[list[ReplicatedJobStatus] | None, Field(list_type="map", list_keys=("name",))] = (
        None
    )
    current_in_place_restart_attempt: Annotated[int | None, Field(minimum=0)] = None
    previous_in_place_restart_attempt: Annotated[int | None, Field(minimum=0)] = None


def job_set_definition() -> Tree:
    """The CustomResourceDefinition."""
    columns = (
        Column("TerminalState", ".status.terminalState"),
        Column("Restarts", ".status.restarts"),
        Column("Completed", '.status.conditions[?(@.type=="Completed")].status'),
        Column("Suspended", ".spec.suspend"),
        AGE,
    )
    version = Version("v1alpha2", spec=JobSetSpec, status=JobSetStatus, columns=columns)
    return definition(JOB_SET, [version])
