"""The messages of `kfp-kubernetes`: what a task asks of the pod that it becomes.

Source: kubeflow/pipelines (kubernetes_platform/proto/kubernetes_executor_config.proto), kfp-kubernetes 2.17.3.
"""
# Defaults of msgspec structs are copied.
# ruff: noqa: RUF012

from msgspec import field

from flowdeck.components.pipelines.ir.proto_json import JsonObject, Message
from flowdeck.components.pipelines.ir.types import ParameterSource, TaskOutputParameter


class KeyToEnv(Message):
    """One key of a Secret or ConfigMap as a variable."""

    secret_key: str = ""
    config_map_key: str = ""
    env_var: str = ""


class SecretAsEnv(Message):
    secret_name: str = ""
    key_to_env: list[KeyToEnv] = []
    optional: bool | None = None
    secret_name_parameter: ParameterSource | None = None


class SecretAsVolume(Message):
    secret_name: str = ""
    mount_path: str = ""
    optional: bool | None = None
    secret_name_parameter: ParameterSource | None = None


class ConfigMapAsEnv(Message):
    config_map_name: str = ""
    key_to_env: list[KeyToEnv] = []
    config_map_name_parameter: ParameterSource | None = None
    optional: bool | None = None


class ConfigMapAsVolume(Message):
    config_map_name: str = ""
    mount_path: str = ""
    optional: bool | None = None
    config_map_name_parameter: ParameterSource | None = None


class PvcMount(Message):
    ONEOFS = (("task_output_parameter", "constant", "component_input_parameter"),)
    task_output_parameter: TaskOutputParameter | None = None
    constant: str | None = None
    component_input_parameter: str | None = None
    mount_path: str = ""
    pvc_name_parameter: ParameterSource | None = None
    sub_path: str = ""


class NodeSelector(Message):
    labels: dict[str, str] = {}
    node_selector_json: ParameterSource | None = None


class PodMetadata(Message):
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ImagePullSecret(Message):
    secret_name: str = ""
    secret_name_parameter: ParameterSource | None = None


class FieldPathAsEnv(Message):
    name: str = ""
    field_path: str = ""


class Toleration(Message):
    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None
    toleration_json: ParameterSource | None = None


class SelectorRequirement(Message):
    key: str = ""
    operator: str = ""
    values: list[str] = []


class NodeAffinityTerm(Message):
    match_expressions: list[SelectorRequirement] = []
    match_fields: list[SelectorRequirement] = []
    weight: int | None = None
    node_affinity_json: ParameterSource | None = None


class PodAffinityTerm(Message):
    match_pod_expressions: list[SelectorRequirement] = []
    match_pod_labels: dict[str, str] = {}
    topology_key: str = ""
    namespaces: list[str] = []
    match_namespace_expressions: list[SelectorRequirement] = []
    match_namespace_labels: dict[str, str] = {}
    weight: int | None = None
    anti: bool | None = None


class GenericEphemeralVolume(Message):
    volume_name: str = ""
    mount_path: str = ""
    access_modes: list[str] = []
    size: str = ""
    default_storage_class: bool = False
    storage_class_name: str = ""
    metadata: PodMetadata = field(default_factory=PodMetadata)


class SharedMemory(Message):
    volume_name: str = ""
    size: str = ""


class EmptyDirMount(Message):
    volume_name: str = ""
    mount_path: str = ""
    medium: str | None = None
    size_limit: str | None = None


class SecurityContext(Message):
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None


class KubernetesConfig(Message):
    """KubernetesExecutorConfig: of one executor."""

    secret_as_volume: list[SecretAsVolume] = []
    secret_as_env: list[SecretAsEnv] = []
    pvc_mount: list[PvcMount] = []
    node_selector: NodeSelector | None = None
    pod_metadata: PodMetadata | None = None
    image_pull_secret: list[ImagePullSecret] = []
    image_pull_policy: str = ""
    config_map_as_volume: list[ConfigMapAsVolume] = []
    config_map_as_env: list[ConfigMapAsEnv] = []
    active_deadline_seconds: int = 0
    field_path_as_env: list[FieldPathAsEnv] = []
    tolerations: list[Toleration] = []
    generic_ephemeral_volume: list[GenericEphemeralVolume] = []
    node_affinity: list[NodeAffinityTerm] = []
    pod_affinity: list[PodAffinityTerm] = []
    enabled_shared_memory: SharedMemory | None = None
    empty_dir_mounts: list[EmptyDirMount] = []
    security_context: SecurityContext | None = None
    init_containers: list[JsonObject] = []
    """Containers of Kubernetes, as `add_init_container` writes them."""
