"""OptimizationJobs: searches over TrainJobs. Their schema stands beside that of TrainJobs; the tuning part runs them.

Source: kubeflow/trainer (pkg/apis/trainer/v1alpha1/optimizationjob_types.go)
"""

from typing import Annotated, ClassVar, Literal

from flowdeck.components.training.runtime_types import Nothing
from flowdeck.components.training.types import GROUP, VERSION, TrainJobSpec, Wire
from flowdeck.kube.crd import Field, Rule
from flowdeck.kube.objects import Kind, Tree

OPTIMIZATION_JOB = Kind(GROUP, VERSION, "OptimizationJob", "optimizationjobs")

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."


class Objective(Wire, frozen=True):
    metric: Annotated[str, Field(min_length=1, max_length=64)]
    direction: Annotated[Literal["Maximize", "Minimize"], Field(default="Minimize")] = "Minimize"


_Number = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$")
]
_NumberType = Annotated[Literal["Int", "Float"], Field(default="Float")]
_ASCENDING = Rule(rule="double(self.min) < double(self.max)", message="min must be strictly less than max")


class Uniform(Wire, frozen=True):
    min: _Number
    max: _Number
    type: _NumberType = "Float"

    __crd__: ClassVar[Field] = Field(rules=(_ASCENDING,))


class LogUniform(Wire, frozen=True):
    min: _Number
    max: _Number
    type: _NumberType = "Float"

    __crd__: ClassVar[Field] = Field(
        rules=(Rule(rule="double(self.min) > 0.0", message="min must be strictly greater than 0"), _ASCENDING)
    )


class Categorical(Wire, frozen=True):
    choices: Annotated[list[Annotated[str, Field(max_length=64)]], Field(list_type="set", min_items=1, max_items=100)]


class SearchSpace(Wire, frozen=True):
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


class Parameter(Wire, frozen=True):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    search_space: SearchSpace


class RandomSearch(Wire, frozen=True):
    seed: Annotated[int | None, Field(format="int64")] = None


class SearchAlgorithm(Wire, frozen=True):
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


class TrainJobTemplate(Wire, frozen=True):
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


class OptimizationJobSpec(Wire, frozen=True):
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


class ChosenParameter(Wire, frozen=True):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    value: Annotated[str, Field(min_length=1, max_length=64)]


class OptimizationResult(Wire, frozen=True):
    train_job_name: Annotated[str, Field(min_length=1, max_length=63)]
    parameters: Annotated[list[ChosenParameter] | None, Field(list_type="map", list_keys=("name",), max_items=100)] = (
        None
    )


class OptimizationJobStatus(Wire, frozen=True):
    conditions: Annotated[
        list[Annotated[Tree, Field(ref=f"{_META}Condition")]] | None,
        Field(list_type="map", list_keys=("type",), max_items=100),
    ] = None
    result: OptimizationResult | None = None
