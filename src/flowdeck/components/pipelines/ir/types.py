"""The messages of a PipelineSpec, schema 2.1.0: a view on the document, which itself stays as it came.

Source: kubeflow/pipelines (api/v2alpha1/pipeline_spec.proto), kfp-pipeline-spec 2.17.3.
"""
# Defaults of msgspec structs are copied.
# ruff: noqa: RUF012

from enum import IntEnum

from msgspec import UNSET, field

from flowdeck.components.pipelines.ir.proto_json import Duration, JsonObject, Message, Value
from flowdeck.components.pipelines.values.parameter_types import ParameterType


class OldType(IntEnum):
    """`type` of pipelines made before kfp 2.0; such documents are refused."""

    PRIMITIVE_TYPE_UNSPECIFIED = 0
    INT = 1
    DOUBLE = 2
    STRING = 3


class Strategy(IntEnum):
    """When a task's turn has come."""

    TRIGGER_STRATEGY_UNSPECIFIED = 0
    ALL_UPSTREAM_TASKS_SUCCEEDED = 1
    ALL_UPSTREAM_TASKS_COMPLETED = 2


class Passthrough(IntEnum):
    """What a component takes into its own hands."""

    NONE = 0
    RESOURCES = 1
    ENV = 2
    KUBERNETES_AFFINITY = 3
    KUBERNETES_TOLERATIONS = 4
    KUBERNETES_NODE_SELECTOR = 5
    KUBERNETES_VOLUMES = 6


class OldValue(Message):
    """A value as it was written before kfp 2.0."""

    ONEOFS = (("int_value", "double_value", "string_value"),)
    int_value: int | None = None
    double_value: float | None = None
    string_value: str | None = None


class ValueOrRuntimeParameter(Message):
    """`constant`, or the name of an input parameter."""

    ONEOFS = (("constant_value", "runtime_parameter", "constant"),)
    constant_value: OldValue | None = None
    runtime_parameter: str | None = None
    constant: Value = UNSET


class ArtifactTypeSchema(Message):
    ONEOFS = (("schema_title", "schema_uri", "instance_schema"),)
    schema_title: str = ""
    schema_uri: str = ""
    instance_schema: str = ""
    schema_version: str = ""


class InputParameter(Message):
    type: OldType = OldType.PRIMITIVE_TYPE_UNSPECIFIED
    parameter_type: ParameterType = ParameterType.PARAMETER_TYPE_ENUM_UNSPECIFIED
    default_value: Value = UNSET
    is_optional: bool = False
    description: str = ""
    literals: list[Value] = []


class InputArtifact(Message):
    artifact_type: ArtifactTypeSchema = field(default_factory=ArtifactTypeSchema)
    is_artifact_list: bool = False
    is_optional: bool = False
    description: str = ""


class InputDefinitions(Message):
    parameters: dict[str, InputParameter] = {}
    artifacts: dict[str, InputArtifact] = {}


class OutputParameter(Message):
    type: OldType = OldType.PRIMITIVE_TYPE_UNSPECIFIED
    parameter_type: ParameterType = ParameterType.PARAMETER_TYPE_ENUM_UNSPECIFIED
    description: str = ""


class OutputArtifact(Message):
    artifact_type: ArtifactTypeSchema = field(default_factory=ArtifactTypeSchema)
    properties: dict[str, ValueOrRuntimeParameter] = {}
    custom_properties: dict[str, ValueOrRuntimeParameter] = {}
    metadata: JsonObject = {}
    is_artifact_list: bool = False
    description: str = ""


class OutputDefinitions(Message):
    parameters: dict[str, OutputParameter] = {}
    artifacts: dict[str, OutputArtifact] = {}


class TaskOutputParameter(Message):
    producer_task: str = ""
    output_parameter_key: str = ""


class TaskFinalStatus(Message):
    producer_task: str = ""


class ParameterSource(Message):
    """InputParameterSpec: where a task's parameter comes from."""

    ONEOFS = (("task_output_parameter", "runtime_value", "component_input_parameter", "task_final_status"),)
    task_output_parameter: TaskOutputParameter | None = None
    runtime_value: ValueOrRuntimeParameter | None = None
    component_input_parameter: str | None = None
    task_final_status: TaskFinalStatus | None = None
    parameter_expression_selector: str = ""


class TaskOutputArtifact(Message):
    producer_task: str = ""
    output_artifact_key: str = ""


class ArtifactSource(Message):
    ONEOFS = (("task_output_artifact", "component_input_artifact"),)
    task_output_artifact: TaskOutputArtifact | None = None
    component_input_artifact: str | None = None


class TaskInputs(Message):
    parameters: dict[str, ParameterSource] = {}
    artifacts: dict[str, ArtifactSource] = {}


class TaskInfo(Message):
    name: str = ""


class ComponentRef(Message):
    name: str = ""


class CachingOptions(Message):
    enable_cache: bool = False
    cache_key: str = ""


class TriggerPolicy(Message):
    condition: str = ""
    strategy: Strategy = Strategy.TRIGGER_STRATEGY_UNSPECIFIED


class RetryPolicy(Message):
    max_retry_count: int = 0
    backoff_duration: Duration | None = None
    backoff_factor: float = 0.0
    backoff_max_duration: Duration | None = None


class IteratorPolicy(Message):
    parallelism_limit: int = 0


class ArtifactItems(Message):
    input_artifact: str = ""


class ArtifactIterator(Message):
    items: ArtifactItems = field(default_factory=ArtifactItems)
    item_input: str = ""


class ParameterItems(Message):
    ONEOFS = (("raw", "input_parameter"),)
    raw: str | None = None
    input_parameter: str | None = None


class ParameterIterator(Message):
    items: ParameterItems = field(default_factory=ParameterItems)
    item_input: str = ""


class TaskSpec(Message):
    """PipelineTaskSpec: a use of a component in a DAG."""

    ONEOFS = (("artifact_iterator", "parameter_iterator"),)
    task_info: TaskInfo = field(default_factory=TaskInfo)
    component_ref: ComponentRef = field(default_factory=ComponentRef)
    inputs: TaskInputs = field(default_factory=TaskInputs)
    dependent_tasks: list[str] = []
    caching_options: CachingOptions = field(default_factory=CachingOptions)
    trigger_policy: TriggerPolicy = field(default_factory=TriggerPolicy)
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    artifact_iterator: ArtifactIterator | None = None
    parameter_iterator: ParameterIterator | None = None
    iterator_policy: IteratorPolicy = field(default_factory=IteratorPolicy)


class ParameterSelector(Message):
    producer_subtask: str = ""
    output_parameter_key: str = ""


class ParameterSelectors(Message):
    parameter_selectors: list[ParameterSelector] = []


class DagOutputParameter(Message):
    ONEOFS = (("value_from_parameter", "value_from_oneof"),)
    value_from_parameter: ParameterSelector | None = None
    value_from_oneof: ParameterSelectors | None = None


class ArtifactSelector(Message):
    producer_subtask: str = ""
    output_artifact_key: str = ""


class DagOutputArtifact(Message):
    artifact_selectors: list[ArtifactSelector] = []


class DagOutputs(Message):
    artifacts: dict[str, DagOutputArtifact] = {}
    parameters: dict[str, DagOutputParameter] = {}


class DagSpec(Message):
    tasks: dict[str, TaskSpec] = {}
    outputs: DagOutputs = field(default_factory=DagOutputs)


class TaskConfigPassthrough(Message):
    field: Passthrough = Passthrough.NONE
    apply_to_task: bool = False


class PlatformDeploymentConfig(Message):
    executors: dict[str, JsonObject] = {}


class KubernetesWorkspace(Message):
    pvc_spec_patch: JsonObject | None = None


class Workspace(Message):
    size: str = ""
    kubernetes: KubernetesWorkspace | None = None


class PipelineConfig(Message):
    """What holds for a whole run; times in seconds, 0 = not set."""

    resource_ttl_on_completion: int = 0
    workspace: Workspace | None = None
    resource_ttl_on_success: int = 0
    resource_ttl_on_failure: int = 0
    active_deadline_seconds: int = 0


class SinglePlatformSpec(Message):
    deployment_spec: PlatformDeploymentConfig = field(default_factory=PlatformDeploymentConfig)
    platform: str = ""
    config: JsonObject = {}
    pipeline_config: PipelineConfig = field(default_factory=PipelineConfig)


class ComponentSpec(Message):
    ONEOFS = (("dag", "executor_label"),)
    input_definitions: InputDefinitions = field(default_factory=InputDefinitions)
    output_definitions: OutputDefinitions = field(default_factory=OutputDefinitions)
    dag: DagSpec | None = None
    executor_label: str | None = None
    single_platform_specs: list[SinglePlatformSpec] = []
    task_config_passthroughs: list[TaskConfigPassthrough] = []


class PipelineInfo(Message):
    name: str = ""
    display_name: str = ""
    description: str = ""


class EnvVar(Message):
    name: str = ""
    value: str = ""


class Accelerator(Message):
    type: str = ""
    count: int = 0
    resource_type: str = ""
    resource_count: str = ""


class Resources(Message):
    """The doubles are older: cores, and memory in decimal G; the texts are Kubernetes quantities or placeholders."""

    cpu_limit: float = 0.0
    memory_limit: float = 0.0
    cpu_request: float = 0.0
    memory_request: float = 0.0
    resource_cpu_limit: str = ""
    resource_memory_limit: str = ""
    resource_cpu_request: str = ""
    resource_memory_request: str = ""
    accelerator: Accelerator | None = None


class ContainerSpec(Message):
    image: str = ""
    command: list[str] = []
    args: list[str] = []
    resources: Resources = field(default_factory=Resources)
    env: list[EnvVar] = []


class ImporterSpec(Message):
    artifact_uri: ValueOrRuntimeParameter = field(default_factory=ValueOrRuntimeParameter)
    type_schema: ArtifactTypeSchema = field(default_factory=ArtifactTypeSchema)
    reimport: bool = False
    metadata: JsonObject = {}
    download_to_workspace: bool = False


class ExecutorSpec(Message):
    ONEOFS = (("container", "importer", "resolver", "custom_job"),)
    container: ContainerSpec | None = None
    importer: ImporterSpec | None = None
    resolver: JsonObject | None = None
    custom_job: JsonObject | None = None


class DeploymentConfig(Message):
    """PipelineDeploymentConfig. Upstream passes over what it does not know here, and here alone."""

    LENIENT = True
    executors: dict[str, ExecutorSpec] = {}


class PipelineSpec(Message):
    pipeline_info: PipelineInfo = field(default_factory=PipelineInfo)
    deployment_spec: DeploymentConfig = field(default_factory=DeploymentConfig)
    sdk_version: str = ""
    schema_version: str = ""
    components: dict[str, ComponentSpec] = {}
    root: ComponentSpec | None = None
    default_pipeline_root: str = ""


class PlatformSpec(Message):
    platforms: dict[str, Value] = {}
