"""The custom kinds of the embedded cluster: the two sorts of PodGroups that the scheduler reads.

On a real cluster these are add-ons of others.
"""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Struct

from flowdeck.embedded.workloads.scheduler.gang import COSCHEDULING, VOLCANO
from flowdeck.kube.crd import AGE, Column, Field, Version, definition
from flowdeck.kube.objects import Tree

_Amounts = dict[str, Annotated[str, Field(ref="io.k8s.apimachinery.pkg.api.resource.Quantity")]]


class CoschedulingSpec(Struct, rename="camel"):
    """Source: kubernetes-sigs/scheduler-plugins (apis/scheduling/v1alpha1/types.go)."""

    min_member: Annotated[int | None, Field(minimum=1)] = None
    min_resources: _Amounts | None = None
    schedule_timeout_seconds: int | None = None


class VolcanoSpec(Struct, rename="camel"):
    """Source: volcano-sh/apis (pkg/apis/scheduling/v1beta1/types.go)."""

    min_member: int | None = None
    min_task_member: dict[str, int] | None = None
    min_resources: _Amounts | None = None
    priority_class_name: str | None = None
    queue: Annotated[str | None, Field(default="default")] = None
    network_topology: Annotated[Tree | None, Field(keeps_unknown=True)] = None


def definitions() -> Sequence[Tree]:
    """The CustomResourceDefinitions."""
    any_status = Annotated[Tree, Field(schema={"type": "object"}, keeps_unknown=True)]
    return (
        definition(
            COSCHEDULING,
            [Version("v1alpha1", spec=CoschedulingSpec, status=any_status, columns=(AGE,))],
            short_names=("pg", "pgs"),
        ),
        definition(
            VOLCANO,
            [
                Version(
                    "v1beta1",
                    spec=VolcanoSpec,
                    status=any_status,
                    columns=(Column("minMember", ".spec.minMember", "integer"), Column("queue", ".spec.queue"), AGE),
                )
            ],
            short_names=("pg", "podgroup-v1beta1"),
        ),
    )
