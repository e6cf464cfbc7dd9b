"""What `kfp-kubernetes` asks of a task's pod, with its sources followed; and the same once the values are known.

A platform is a tree like KubernetesExecutorConfig, in the plain spelling:

    secretAsEnv, secretAsVolume   [{secretName, keyToEnv[{secretKey, envVar}] | mountPath, optional}]
    configMapAsEnv, -AsVolume     [{configMapName, keyToEnv[{configMapKey, envVar}] | mountPath, optional}]
    pvcMount                      [{pvcName, mountPath, subPath}]
    imagePullSecret               [{secretName}]
    nodeSelector                  {label: value}
    tolerations, nodeAffinity     as Kubernetes has them, or as the message has them (`matchExpressions`, `weight`)
    the rest                      as the message has it

In a plan some values are sources, to be followed in the DAG that the task stands in; `resolved_platform` puts values in
their place. An item whose value is absent or null goes away as a whole.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from flowdeck.components.pipelines.errors import InvalidPipeline
from flowdeck.components.pipelines.ir import types as ir
from flowdeck.components.pipelines.ir.platform import KubernetesConfig, PvcMount
from flowdeck.components.pipelines.ir.proto_json import Message, to_tree
from flowdeck.components.pipelines.plan.sources import Scope
from flowdeck.components.pipelines.plan.types import Constant, FinalStatus, FromParent, FromTask, ParameterSource
from flowdeck.components.pipelines.values.placeholders import WORKSPACE_PATH
from flowdeck.components.pipelines.values.texts import to_text
from flowdeck.kube.objects import Tree

Platform = Mapping[str, Any]

_SOURCES = (FromTask, FromParent, Constant, FinalStatus)
_NAMED: Final = {
    "secret_as_env": ("secret_name", "secretName"),
    "secret_as_volume": ("secret_name", "secretName"),
    "config_map_as_env": ("config_map_name", "configMapName"),
    "config_map_as_volume": ("config_map_name", "configMapName"),
    "image_pull_secret": ("secret_name", "secretName"),
}
"""Lists whose items name an object, by their own field or by a parameter."""
_JSON: Final = {"tolerations": "toleration_json", "node_affinity": "node_affinity_json"}
"""Lists whose items may be a parameter that holds what Kubernetes takes."""
_AS_JSON: Final = "json"


def platform_of(config: KubernetesConfig, scope: Scope, task: str) -> Platform:
    """The platform of a task; raises `InvalidPipeline`."""
    tree = to_tree(config)
    for name, (field, key) in _NAMED.items():
        items = [_named(item, field, key, scope, f"{task}: {_camel(name)}") for item in getattr(config, name)]
        _put(tree, _camel(name), items)
    for name, field in _JSON.items():
        items = [_with_json(item, field, scope, f"{task}: {_camel(name)}") for item in getattr(config, name)]
        _put(tree, _camel(name), items)
    _put(tree, "pvcMount", [_pvc(mount, scope, f"{task}: pvcMount") for mount in config.pvc_mount])
    if (selector := config.node_selector) is not None:
        chosen = selector.node_selector_json
        what = f"{task}: nodeSelector"
        tree["nodeSelector"] = {_AS_JSON: scope.parameter(chosen, what)} if chosen is not None else selector.labels
    if scope.has_workspace:
        _check_mounts(tree, task)
    return tree


def sources_of(platform: Platform) -> list[ParameterSource]:
    """The sources in a platform that is not resolved yet."""
    return list(_sources(platform))


def resolved_platform(platform: Platform, value_of: Callable[[ParameterSource], Any]) -> Tree:
    """The platform with values; `value_of` gives None for what is absent."""
    found = {key: _resolved(value, value_of) for key, value in platform.items()}
    return {key: value for key, value in found.items() if value not in (None, [], {})}


def _named(item: Message, field: str, key: str, scope: Scope, what: str) -> Tree:
    tree = to_tree(item)
    source: ir.ParameterSource | None = getattr(item, f"{field}_parameter")
    tree.pop(f"{key}Parameter", None)
    if source is not None:
        tree[key] = scope.parameter(source, what)
    return tree


def _with_json(item: Message, field: str, scope: Scope, what: str) -> Tree:
    source: ir.ParameterSource | None = getattr(item, field)
    return to_tree(item) if source is None else {_AS_JSON: scope.parameter(source, what)}


def _pvc(mount: PvcMount, scope: Scope, what: str) -> Tree:
    source = mount.pvc_name_parameter or ir.ParameterSource(
        task_output_parameter=mount.task_output_parameter, component_input_parameter=mount.component_input_parameter
    )
    name = mount.constant if mount.pvc_name_parameter is None and mount.constant else scope.parameter(source, what)
    tree: Tree = {"pvcName": name, "mountPath": mount.mount_path}
    if mount.sub_path:
        tree["subPath"] = mount.sub_path
    return tree


def _check_mounts(tree: Tree, task: str) -> None:
    """That nothing is mounted where the workspace is; raises `InvalidPipeline`."""
    for key, items in tree.items():
        for item in items if isinstance(items, list) else ():
            path = str(item.get("mountPath", ""))
            if path == WORKSPACE_PATH or path.startswith(f"{WORKSPACE_PATH}/"):
                raise InvalidPipeline(
                    f"{task}: {key} is mounted at {path}, where the workspace is; choose another path"
                )


def _put(tree: Tree, key: str, items: list[Tree]) -> None:
    if items:
        tree[key] = items


def _sources(value: Any) -> Iterator[ParameterSource]:
    if isinstance(value, _SOURCES):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _sources(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _sources(inner)


def _resolved(value: Any, value_of: Callable[[ParameterSource], Any]) -> Any:
    """None for what goes away."""
    if isinstance(value, list):
        found = [_resolved(inner, value_of) for inner in value]
        return [part for each in found if each is not None for part in (each if isinstance(each, list) else [each])]
    if not isinstance(value, Mapping):
        return value
    if _AS_JSON in value:
        return _json(value_of(value[_AS_JSON]))
    filled = {key: _text(value_of(inner)) if isinstance(inner, _SOURCES) else inner for key, inner in value.items()}
    return None if None in filled.values() else filled


def _json(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, str) and value else value or None


def _text(value: Any) -> str | None:
    return to_text(value) or None


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)
