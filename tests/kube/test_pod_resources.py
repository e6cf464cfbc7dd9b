"""What a pod asks for, counted as the scheduler and quotas count it."""

from typing import Any

import pytest

from flowdeck.kube.objects import Tree
from flowdeck.kube.pod_resources import pod_limits, pod_requests


def container(cpu: str = "", limit: str = "", **more: Any) -> Tree:
    resources = {word: {"cpu": value} for word, value in (("requests", cpu), ("limits", limit)) if value}
    return {"name": "c", "resources": resources, **more}


def a_pod(*containers: Tree, init: tuple[Tree, ...] = (), **spec: Any) -> Tree:
    return {"spec": {"containers": list(containers), "initContainers": list(init), **spec}}


SIDECAR = {"restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("pod", "cpu"),
    [
        pytest.param(a_pod(container("100m"), container("200m")), "300m", id="containers run together"),
        pytest.param(a_pod(container("100m"), init=(container("500m"),)), "500m", id="init containers run before"),
        pytest.param(a_pod(container("1"), init=(container("500m"),)), "1", id="the larger of both counts"),
        pytest.param(
            a_pod(container("1"), init=(container("500m", **SIDECAR),)), "1500m", id="sidecars run beside containers"
        ),
        pytest.param(
            a_pod(container("100m"), init=(container("200m", **SIDECAR), container("1"))),
            "1200m",
            id="an init container runs beside the sidecars before it",
        ),
        pytest.param(
            a_pod(container("100m"), init=(container("1"), container("200m", **SIDECAR))),
            "1",
            id="and not beside those after it",
        ),
        pytest.param(a_pod(container(limit="2")), "2", id="a limit stands for a missing request"),
        pytest.param(a_pod(container("1"), overhead={"cpu": "250m"}), "1250m", id="overhead comes on top"),
        pytest.param(
            a_pod(container("1"), container("1"), resources={"requests": {"cpu": "1500m"}}),
            "1500m",
            id="the pod's own word counts instead of the sum",
        ),
    ],
)
def test_requests(pod: Tree, cpu: str) -> None:
    assert str(pod_requests(pod)["cpu"]) == cpu


def test_limits_count_only_where_they_are_set() -> None:
    assert str(pod_limits(a_pod(container(limit="1"), container("5")))["cpu"]) == "1"
    assert pod_limits(a_pod(container("1"), overhead={"cpu": "1"})) == {}


def test_a_pod_that_asks_for_nothing() -> None:
    assert pod_requests({"spec": {"containers": [{"name": "c"}]}}) == {}
