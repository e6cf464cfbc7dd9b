"""The CustomResourceDefinitions of the component's kinds, made from their types."""

from typing import Final

from flowdeck.components.training.optimization_types import (
    OPTIMIZATION_JOB,
    OptimizationJobSpec,
    OptimizationJobStatus,
)
from flowdeck.components.training.runtime_types import RuntimeSpec
from flowdeck.components.training.types import (
    CLUSTER_TRAINING_RUNTIME,
    TRAIN_JOB,
    TRAINING_RUNTIME,
    VERSION,
    TrainJobSpec,
    TrainJobStatus,
)
from flowdeck.kube.crd import AGE, Column, Rule, Version, definition
from flowdeck.kube.objects import Tree

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
