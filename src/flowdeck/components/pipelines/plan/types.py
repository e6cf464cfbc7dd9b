"""A plan: what a document asks for, with names looked up, types known and sources followed. Read-only, shared by runs.

Parts compare by what they do, not by what they are called or when they run: `retry` uses that to find what an
edited pipeline left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from msgspec import UNSET

from flowdeck.components.pipelines.ir.platform import KubernetesConfig
from flowdeck.components.pipelines.ir.types import PipelineConfig, Resources, TaskConfigPassthrough
from flowdeck.components.pipelines.values.artifacts import ArtifactType
from flowdeck.components.pipelines.values.parameter_types import ParameterType


class TaskType(StrEnum):
    """`type` of a task on the wire."""

    ROOT = "ROOT"
    RUNTIME = "RUNTIME"
    CONDITION_BRANCH = "CONDITION_BRANCH"
    CONDITION = "CONDITION"
    LOOP = "LOOP"
    EXIT_HANDLER = "EXIT_HANDLER"
    IMPORTER = "IMPORTER"
    DAG = "DAG"


# ---- where inputs come from --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FromTask:
    """An output of a task in the same DAG."""

    producer: str
    key: str
    selector: str = ""
    """Which part of it, as `parameterExpressionSelector` says."""


@dataclass(frozen=True, slots=True)
class FromParent:
    """An input of the DAG that the task stands in."""

    name: str
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Constant:
    """A value of the document; it may hold placeholders."""

    value: Any
    selector: str = ""


@dataclass(frozen=True, slots=True)
class FinalStatus:
    """How a task of the same DAG ended."""

    producer: str


ParameterSource = FromTask | FromParent | Constant | FinalStatus
ArtifactSource = FromTask | FromParent


# ---- components --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParameterInput:
    type: ParameterType
    default: Any = UNSET
    """`UNSET`: none."""
    optional: bool = False
    literals: tuple[Any, ...] = ()
    """The only values that it takes; empty: all."""


@dataclass(frozen=True, slots=True)
class ArtifactInput:
    type: ArtifactType
    is_list: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ArtifactOutput:
    type: ArtifactType
    is_list: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Container:
    """An executor that becomes a pod."""

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    resources: Resources
    kubernetes: KubernetesConfig
    passthroughs: tuple[TaskConfigPassthrough, ...] = ()
    mentioned: frozenset[str] = frozenset()
    """Parameters that command and arguments ask for by placeholder."""
    uses_workspace: bool = False


@dataclass(frozen=True, slots=True)
class Importer:
    """An executor that names an artifact which is there already."""

    uri: str
    """A text that may hold placeholders; empty: see `uri_parameter`."""
    uri_parameter: str
    """The parameter of the task that holds the URI."""
    type: ArtifactType
    metadata: Mapping[str, Any]
    reimport: bool
    """Whether a new artifact is made even if the same one is known."""
    download_to_workspace: bool


@dataclass(frozen=True, slots=True)
class CreatePvc:
    """The executor `argostub/createpvc`."""


@dataclass(frozen=True, slots=True)
class DeletePvc:
    """The executor `argostub/deletepvc`."""


@dataclass(frozen=True, slots=True)
class OutputOf:
    """One candidate for an output of a DAG."""

    producer: str
    key: str


@dataclass(frozen=True, slots=True)
class Dag:
    tasks: Mapping[str, "Task"]
    """By name; a task stands after those that it waits for."""
    parameters: Mapping[str, tuple[OutputOf, ...]] = field(default_factory=dict)
    """Outputs: the first candidate whose producer was successful counts."""
    artifacts: Mapping[str, tuple[OutputOf, ...]] = field(default_factory=dict)


Body = Dag | Container | Importer | CreatePvc | DeletePvc


@dataclass(frozen=True)
class Component:
    """What a task runs."""

    name: str = field(compare=False)
    parameters: Mapping[str, ParameterInput]
    artifacts: Mapping[str, ArtifactInput]
    output_parameters: Mapping[str, ParameterType]
    output_artifacts: Mapping[str, ArtifactOutput]
    body: Body


# ---- tasks -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Iterator:
    """A task that runs once for each item."""

    item_input: str
    """The input of the component that takes the item."""
    raw: str | None = None
    """The items as JSON, or..."""
    input: str = ""
    """... the input of the task that holds them."""
    over_artifacts: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed task is tried again, and after how many seconds."""

    max_retries: int = 0
    backoff_s: float = 0.0
    factor: float = 2.0
    max_s: float = 3600.0

    def delay_s(self, failures: int) -> float:
        """Seconds to wait after so many failures."""
        delay = min(self.backoff_s, self.max_s)
        for _ in range(min(failures - 1, 64)):
            delay = min(delay * self.factor, self.max_s)
        return delay


@dataclass(frozen=True)
class Task:
    """One use of a component in a DAG."""

    name: str
    component: Component
    type: TaskType = field(compare=False)
    parameters: Mapping[str, ParameterSource]
    artifacts: Mapping[str, ArtifactSource]
    display_name: str = field(default="", compare=False)
    platform: Mapping[str, Any] = field(default_factory=dict)
    """What it asks of its pod; see `platform.py`."""
    upstream: tuple[str, ...] = field(default=(), compare=False)
    """The tasks that it waits for: `dependentTasks` and the producers of its inputs."""
    downstream: tuple[str, ...] = field(default=(), compare=False)
    """The tasks that wait for it."""
    on_any_end: bool = False
    """Whether it runs however its upstream tasks ended."""
    condition: str = ""
    iterator: Iterator | None = None
    parallelism: int = field(default=0, compare=False)
    """Iterations at a time; 0 = all."""
    retry: Retry = field(default=Retry(), compare=False)
    cache: bool = field(default=False, compare=False)
    cache_key: str = field(default="", compare=False)

    @cached_property
    def constants(self) -> Mapping[str, Constant]:
        """The parameters that are values of the document: filled in after all others, which they may mention."""
        return {name: source for name, source in self.parameters.items() if isinstance(source, Constant)}

    @cached_property
    def wired(self) -> Mapping[str, FromTask | FromParent | FinalStatus]:
        """The parameters that are not."""
        return {name: source for name, source in self.parameters.items() if not isinstance(source, Constant)}


@dataclass(frozen=True)
class Plan:
    """A whole pipeline."""

    name: str
    root: Task
    """The pipeline itself as a task without sources; its component's body is a `Dag`."""
    default_root: str = ""
    """`defaultPipelineRoot`."""
    config: PipelineConfig = field(default_factory=PipelineConfig)

    @property
    def inputs(self) -> Mapping[str, ParameterInput]:
        """The parameters that a run takes."""
        return self.root.component.parameters

    @property
    def dag(self) -> Dag:
        body = self.root.component.body
        assert isinstance(body, Dag)
        return body
