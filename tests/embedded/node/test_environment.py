"""Environment variables: expansion, fields, resources."""

import pytest

from flowdeck.embedded.node.environment import ConfigError, Facts, environment, expand, field_text
from flowdeck.kube.objects import Tree
from tests.embedded.node.makers import a_container, a_pod


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("$(A)$(B)", "12"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(NONE)", "$(NONE)"),
        ("$A $", "$A $"),
        ("$(A", "$(A"),
    ],
)
def test_references_are_expanded_once(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expanded


def _pod() -> Tree:
    pod = a_pod("true")
    pod["metadata"] |= {"labels": {"app": "x", "b": 'q"'}, "annotations": {"a/b": "c"}, "uid": "7"}
    return pod


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("metadata.name", "p"),
        ("metadata.labels['app']", "x"),
        ("metadata.annotations['a/b']", "c"),
        ("metadata.labels['none']", ""),
        ("metadata.labels", 'app="x"\nb="q\\""'),
        ("status.podIP", "10.0.0.1"),
        ("status.hostIP", "127.0.0.1"),
    ],
)
def test_fields_of_the_pod(path: str, text: str) -> None:
    assert field_text(path, Facts(pod=_pod(), pod_ip="10.0.0.1", host_ip="127.0.0.1")) == text


def test_a_field_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match=r"unsupported fieldPath: spec\.x"):
        field_text("spec.x", Facts(pod=_pod()))


@pytest.mark.parametrize(
    ("ref", "text"),
    [
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "1500"),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "64"),
        ({"resource": "requests.cpu"}, "0"),
        ({"resource": "limits.ephemeral-storage", "divisor": "1Gi"}, "5"),
    ],
)
def test_resources_in_units_of_a_divisor(ref: Tree, text: str) -> None:
    limits = {"cpu": "1500m", "memory": "64Mi"}
    env = [{"name": "X", "valueFrom": {"resourceFieldRef": ref}}]
    container = a_container("x", env=env, resources={"limits": limits})
    facts = Facts(pod=a_pod(containers=[container]), allocatable={"ephemeral-storage": "5Gi"})
    assert environment(container, facts)["X"] == text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "k"}}, 'configmap "none" not found'),
        ({"secretKeyRef": {"name": "none", "key": "k"}}, 'secret "none" not found'),
        ({"configMapKeyRef": {"name": "conf", "key": "k"}}, "couldn't find key k in ConfigMap default/conf"),
    ],
)
def test_what_is_missing_is_told(source: Tree, message: str) -> None:
    container = a_container("x", env=[{"name": "X", "valueFrom": source}])
    facts = Facts(pod=a_pod(containers=[container]), config_maps={"conf": {"data": {}}})
    with pytest.raises(ConfigError, match=message):
        environment(container, facts)


def test_what_is_missing_and_optional_is_left_out() -> None:
    ref = {"configMapKeyRef": {"name": "none", "key": "k", "optional": True}}
    container = a_container("x", env=[{"name": "X", "valueFrom": ref}])
    assert environment(container, Facts(pod=a_pod(containers=[container]))) == {}
