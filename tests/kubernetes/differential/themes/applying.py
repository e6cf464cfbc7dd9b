"""Server-side apply: who owns what, conflicts, force, and the way from client-side apply."""

from collections.abc import Sequence
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import (
    a_container,
    an_object,
    config_map,
    custom,
    definition,
    deployment,
    job,
    pod,
    service,
)
from tests.kubernetes.differential.scenario import (
    Request,
    apply,
    create,
    delete,
    get,
    json_patch,
    merge,
    request,
    scenario,
    strategic,
    update,
)
from tests.kubernetes.differential.scenes import made

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def _template(*containers: Tree, **spec: Any) -> Tree:
    return an_object("apps/v1", "Deployment", spec={"template": {"spec": {"containers": list(containers)}}, **spec})


def _apply_text(text: str, **query: Any) -> Request:
    """Bytes that may not be YAML."""
    return request("PATCH", "configmaps/a", text, word="apply", fieldManager="m", **query).sending(
        "application/apply-patch+yaml"
    )


_SCHEMA: Tree = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "atomic": {"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "string"}},
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "map": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["key", "n"],
                    "items": {
                        "type": "object",
                        "required": ["key"],
                        "properties": {
                            "key": {"type": "string"},
                            "n": {"type": "integer", "default": 1},
                            "value": {"type": "string"},
                        },
                    },
                },
                "granular": {"type": "object", "additionalProperties": {"type": "string"}},
                "whole": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                },
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "given": {"type": "string", "default": "by schema"},
            },
        }
    },
}
_FOO = "/apis/{ns}.example.com/v1/namespaces/{ns}/foos"


def _foo(**spec: Any) -> Tree:
    return custom(spec=spec)


def _scale(**spec: Any) -> Tree:
    return an_object("autoscaling/v1", "Scale", spec=spec)


_SCALES: Sequence[tuple[Tree, str, Tree]] = (
    ({"replicas": 3}, "one", {}),
    ({"replicas": 4}, "one", {}),
    ({"replicas": 4}, "one", {"force": True}),
    ({"replicas": 4}, "one", {}),
    ({"replicas": 4}, "two", {}),
    ({"replicas": 5}, "two", {}),
    ({"replicas": 5}, "two", {"force": True}),
    ({"replicas": -1}, "two", {}),
    ({"replicas": "1"}, "two", {}),
    ({"replica": 1}, "two", {}),
    ({}, "two", {}),
)
"""What is applied, by whom, with which options."""

SCENARIOS = [
    scenario(
        "creation and change",
        apply("configmaps/a", config_map()),
        apply("configmaps/a", config_map()),
        apply("configmaps/a", config_map(data={"k": "w", "l": "x"})),
        apply("configmaps/a", config_map(data={"l": "x"})),
        apply("configmaps/a", config_map(data={})),
        apply("configmaps/a", an_object("v1", "ConfigMap")),
        get("configmaps/a"),
    ),
    scenario(
        "conflicts",
        apply("configmaps/a", config_map(data={"a": "1", "b": "2"}), "one"),
        apply("configmaps/a", config_map(data={"a": "x"}), "two"),
        apply("configmaps/a", config_map(data={"a": "x", "b": "y"}), "two"),
        apply("configmaps/a", config_map(data={"a": "1"}), "two"),
        apply("configmaps/a", config_map(data={"a": "x", "b": "y"}), "three", force=True),
        apply("configmaps/a", config_map(data={"a": "1", "b": "2"}), "one"),
        apply("configmaps/a", config_map(data={"a": "1", "b": "2"}), "one", force=True),
        merge("configmaps/a", {"data": {"a": "merged"}}, fieldManager="four"),
        apply("configmaps/a", config_map(data={"a": "1", "b": "2"}), "one"),
        update("configmaps/a", config_map(data={"a": "up", "b": "dated"}), fieldManager="five"),
        apply("configmaps/a", config_map(data={"b": "2"}), "one"),
        apply("configmaps/a", config_map(data={"b": "dated"}), "one"),
        get("configmaps/a"),
    ),
    scenario(
        "fields that are shared stay until the last lets go",
        apply("configmaps/a", config_map(data={"a": "1", "b": "2"}), "one"),
        apply("configmaps/a", config_map(data={"a": "1"}), "two"),
        apply("configmaps/a", config_map(data={"b": "2"}), "one"),
        apply("configmaps/a", config_map(data={"c": "3"}), "two"),
        delete("configmaps/a"),
    ),
    scenario(
        "options",
        apply("configmaps/a", config_map(), ""),
        apply("configmaps/a", config_map(), "x" * 129),
        apply("configmaps/a", config_map(), dryRun="All"),
        apply("configmaps/a", {**config_map(), "unknown": 1}),
        apply("configmaps/a", {**config_map(), "unknown": 1}, fieldValidation="Strict"),
        apply("configmaps/a", {**config_map(), "unknown": 1}, fieldValidation="Ignore"),
        apply("configmaps/a", config_map(), force="maybe"),
        merge("configmaps/a", {}, force=True),
        apply("configmaps/a", config_map(), fieldValidation="Bad"),
    ),
    scenario(
        "what cannot be applied",
        apply("configmaps/a", config_map("b")),
        apply("configmaps/a", config_map(metadata={"namespace": "other"})),
        apply("configmaps/a", {**config_map(), "kind": "Secret"}),
        apply("configmaps/a", {**config_map(), "apiVersion": "v2"}),
        apply("configmaps/a", {"metadata": {"name": "a"}}),
        apply("configmaps/a", {"apiVersion": "v1", "kind": "ConfigMap"}),
        apply("configmaps/a", config_map(metadata={"managedFields": [{"manager": "x"}]})),
        apply("configmaps/a", config_map(metadata={"managedFields": []})),
        apply("configmaps/a", config_map(metadata={"uid": "00000000-0000-0000-0000-00000000000a"})),
        apply("configmaps/a", config_map(metadata={"resourceVersion": "1"})),
        apply("configmaps/a", config_map(data={"k": 1})),
        apply("configmaps/a", config_map(data=[1])),
        apply("configmaps/a", config_map(data={"k": None})),
        apply("configmaps/a", config_map(data=None)),
        apply("configmaps/a", []),
        apply("configmaps", config_map()),
        _apply_text(""),
        _apply_text("just text"),
        _apply_text("a: b: c"),
        _apply_text("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: yaml\n"),
        _apply_text("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: 1\n  k: 2\n"),
        _apply_text("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n---\nkind: Other\n"),
        apply("/api/v1/namespaces/{ns}-none/configmaps/a", config_map()),
    ),
    scenario(
        "metadata",
        apply("configmaps/a", config_map(labels={"a": "1"}, metadata={"annotations": {"b": "2"}})).kept("a"),
        apply("configmaps/a", config_map(metadata={"finalizers": ["example.com/a"]})),
        apply("configmaps/a", config_map(metadata={"finalizers": ["example.com/b"]}), "two"),
        apply(
            "configmaps/a",
            config_map(
                metadata={
                    "ownerReferences": [
                        {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "00000000-0000-0000-0000-00000000000a"}
                    ]
                }
            ),
            "three",
        ),
        apply("configmaps/a", config_map(metadata={"resourceVersion": "{a:metadata.resourceVersion}"}), "two"),
        apply("configmaps/a", config_map(metadata={"uid": "{a:metadata.uid}"}), "two"),
        apply("configmaps/a", config_map(metadata={"uid": "00000000-0000-0000-0000-00000000000a"}), "two"),
        apply("configmaps/a", config_map(metadata={"generateName": "x"}), "two"),
        apply("configmaps/a", config_map(metadata={"creationTimestamp": None}), "two"),
        get("configmaps/a"),
    ),
    scenario(
        "lists of containers",
        apply("deployments/a", deployment(), "one"),
        apply("deployments/a", _template(a_container("side", image="side:1")), "two"),
        apply("deployments/a", _template({"name": "main", "env": [{"name": "A", "value": "1"}]}), "three"),
        apply("deployments/a", _template({"name": "main", "env": [{"name": "A", "value": "2"}]}), "two"),
        apply("deployments/a", _template({"name": "main", "image": "image:9"}), "three"),
        apply("deployments/a", _template({"name": "main", "args": ["a"]}), "three"),
        apply("deployments/a", _template({"name": "main", "args": ["b"]}), "four"),
        apply("deployments/a", _template({"name": "main", "ports": [{"containerPort": 80}]}), "four"),
        apply("deployments/a", _template({"name": "main", "ports": [{"containerPort": 80, "name": "p"}]}), "three"),
        apply("deployments/a", _template(a_container("twice"), a_container("twice")), "five"),
        apply("deployments/a", _template({"image": "no name"}), "five"),
        apply("deployments/a", _template(), "two"),
        get("deployments/a"),
    ),
    scenario(
        "replicas that an autoscaler takes over",
        apply("deployments/a", deployment(replicas=3), "kubectl"),
        update(
            "deployments/a/scale",
            an_object("autoscaling/v1", "Scale", metadata={"namespace": "{ns}"}, spec={"replicas": 5}),
            fieldManager="scaler",
        ),
        apply("deployments/a", deployment(replicas=3), "kubectl"),
        apply("deployments/a", deployment(), "kubectl"),
        get("deployments/a"),
        apply("deployments/a/scale", an_object("autoscaling/v1", "Scale", spec={"replicas": 2}), "applier"),
        apply("deployments/a/scale", an_object("autoscaling/v1", "Scale", spec={"replicas": 2}), "applier", force=True),
        get("deployments/a"),
    ),
    scenario(
        "a scale that is applied",
        create("deployments", deployment(replicas=3), fieldManager="creator"),
        *(apply("deployments/a/scale", _scale(**spec), manager, **more) for spec, manager, more in _SCALES),
        get("deployments/a"),
        apply("deployments/a", deployment(replicas=6), "kubectl"),
        apply("deployments/a", deployment(replicas=6), "kubectl", force=True),
        apply("deployments/a/scale", _scale(replicas=7), "one"),
        apply("deployments/none/scale", _scale(replicas=7), "one"),
        get("deployments/a"),
    ),
    scenario(
        "status",
        apply("jobs/a", job(suspend=True), "one"),
        apply("jobs/a/status", an_object("batch/v1", "Job", status={"ready": 0}), "two"),
        apply(
            "jobs/a/status",
            an_object("batch/v1", "Job", status={"conditions": [{"type": "Suspended", "status": "True"}]}),
            "two",
        ),
        apply("jobs/a/status", an_object("batch/v1", "Job", spec={"parallelism": 5}), "three"),
        apply("jobs/a", an_object("batch/v1", "Job", status={"ready": 5}), "four"),
        apply("jobs/none/status", an_object("batch/v1", "Job", "none", status={"ready": 5}), "four"),
        get("jobs/a"),
    ),
    scenario(
        "services and their ports",
        apply("services/a", service(ports=[{"port": 80}]), "one"),
        apply("services/a", service(ports=[{"port": 80, "protocol": "TCP"}]), "one"),
        apply("services/a", service(ports=[{"port": 81, "protocol": "UDP", "name": "b"}]), "two"),
        apply("services/a", service(ports=[{"port": 80, "targetPort": "http", "name": "a"}]), "one"),
        apply("services/a", service(ports=[{"port": 80, "name": "a"}, {"port": 82, "name": "c"}]), "one"),
        apply("services/a", service(ports=[{"port": 80}], selector={"a": "b"}), "three"),
    ),
    scenario(
        "defaults are nobody's",
        apply("pods/a", pod()),
        apply("pods/a", pod("a", a_container(imagePullPolicy="Always")), "two"),
        apply("pods/a", pod("a", a_container(image="image:2"))),
        apply("pods/a", pod("a", a_container(image="image:2"), nodeName="n")),
    ),
    scenario(
        "from client-side apply by kubectl",
        create(
            "configmaps",
            config_map(
                metadata={
                    "annotations": {
                        _LAST_APPLIED: '{"apiVersion":"v1","data":{"k":"v","old":"1"},"kind":"ConfigMap",'
                        '"metadata":{"annotations":{},"name":"a","namespace":"{ns}"}}\n'
                    }
                },
                data={"k": "v", "old": "1"},
            ),
            fieldManager="kubectl-client-side-apply",
        ),
        apply("configmaps/a", config_map(), "kubectl"),
        apply("configmaps/a", config_map(data={"k": "w"}), "kubectl"),
        apply("configmaps/a", config_map(data={"k": "x"}), "other"),
        get("configmaps/a"),
        json_patch(
            "configmaps/a",
            ("replace", "/metadata/managedFields", [{}]),
            ("replace", "/metadata/resourceVersion", ""),
        ),
        merge("configmaps/a", {"metadata": {"managedFields": [{}]}}),
        merge("configmaps/a", {"metadata": {"managedFields": []}}),
        apply("configmaps/a", config_map(data={"k": "y"}), "kubectl"),
    ),
    scenario(
        "an object that nobody applied",
        create("configmaps", config_map(data={"a": "1", "b": "2"}), fieldManager="before"),
        apply("configmaps/a", config_map(data={"a": "1"}), "m"),
        apply("configmaps/a", config_map(data={"a": "2"}), "m"),
        apply("configmaps/a", config_map(data={"a": "2"}), "m", force=True),
        strategic("configmaps/a", {"data": {"b": None}}, fieldManager="before"),
    ),
    scenario(
        "the same name for updates and applies",
        apply("configmaps/a", config_map(data={"a": "1"}), "m"),
        merge("configmaps/a", {"data": {"a": "2", "b": "1"}}, fieldManager="m"),
        apply("configmaps/a", config_map(data={"a": "1"}), "m"),
        get("configmaps/a"),
    ),
    scenario(
        "custom objects",
        made("customresourcedefinitions", definition(schema=_SCHEMA, subresources={"status": {}})),
        apply(f"{_FOO}/a", _foo(atomic=["a"], set=["a", "b"], map=[{"key": "k", "value": "v"}]), "one"),
        apply(f"{_FOO}/a", _foo(atomic=["b"]), "two"),
        apply(f"{_FOO}/a", _foo(set=["c", "b"]), "two"),
        apply(f"{_FOO}/a", _foo(set=["a", "b"], map=[{"key": "k", "n": 2, "value": "w"}]), "two"),
        apply(f"{_FOO}/a", _foo(map=[{"key": "k", "n": 1, "value": "x"}]), "three"),
        apply(f"{_FOO}/a", _foo(set=["d", "d"]), "three"),
        apply(f"{_FOO}/a", _foo(granular={"a": "1"}, whole={"a": "1"}, free={"x": {"y": [1]}}), "four"),
        apply(f"{_FOO}/a", _foo(granular={"b": "1"}, whole={"b": "1"}, free={"x": {"z": 1}}), "five"),
        apply(f"{_FOO}/a", _foo(granular={"b": "1"}, free={"x": {"z": 1}}), "five"),
        apply(f"{_FOO}/a", _foo(given="by somebody"), "six"),
        apply(f"{_FOO}/a", _foo(unknown=1), "six"),
        apply(f"{_FOO}/a", _foo(unknown=1), "six", fieldValidation="Strict"),
        apply(f"{_FOO}/a", _foo(given=5), "six"),
        apply(f"{_FOO}/a", _foo(map=[{"value": "no key"}]), "six"),
        apply(f"{_FOO}/a/status", custom(status={"x": 1}), "seven"),
        merge(f"{_FOO}/a", {"spec": {"set": ["z"]}}, fieldManager="eight"),
        get(f"{_FOO}/a"),
    ),
]
