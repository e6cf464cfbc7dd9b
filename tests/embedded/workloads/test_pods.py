"""Which pods are available, which go first, and which node a pod fits."""

from datetime import UTC, datetime, timedelta

import pytest

from flowdeck.embedded.workloads import node_fit, pods
from flowdeck.embedded.workloads.templates import pod_of, safe_hash, template_hash
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time
from tests.embedded.workloads.makers import a_node, a_pod, a_template

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_state(
    name: str,
    *,
    phase: str = "Running",
    node: str = "n1",
    ready_s: float | None = 100,
    age_s: float = 1000,
    cost: str = "",
    restarts: int = 0,
) -> Tree:
    """A pod in a state; `ready_s` says for how long it has been ready, None that it is not."""
    pod = a_pod(name, **({"nodeName": node} if node else {}))
    pod["metadata"] |= {"uid": name, "creationTimestamp": format_time(NOW - timedelta(seconds=age_s))}
    if cost:
        pod["metadata"]["annotations"] = {pods.DELETION_COST: cost}
    since = format_time(NOW - timedelta(seconds=ready_s or 0))
    ready = {"type": "Ready", "status": "False" if ready_s is None else "True", "lastTransitionTime": since}
    statuses = [{"name": "main", "restartCount": restarts}]
    pod["status"] = {"phase": phase, "conditions": [ready], "containerStatuses": statuses}
    return pod


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(a_state("z", node=""), a_state("a"), id="without a node"),
        pytest.param(a_state("z", phase="Pending"), a_state("a"), id="pending"),
        pytest.param(a_state("z", ready_s=None), a_state("a"), id="not ready"),
        pytest.param(a_state("z", cost="-5"), a_state("a", cost="3"), id="cheaper to lose"),
        pytest.param(a_state("z", ready_s=10), a_state("a", ready_s=900), id="ready for less time"),
        pytest.param(a_state("z", restarts=4), a_state("a", restarts=1), id="more restarts"),
        pytest.param(a_state("z", age_s=2), a_state("a", age_s=5000), id="younger"),
        pytest.param(a_state("a", age_s=1000), a_state("b", age_s=1001), id="about one age: by chance"),
    ],
)
def test_which_pod_goes_first(first: Tree, second: Tree) -> None:
    for given in ([first, second], [second, first]):
        found = pods.deletion_order(given, given, NOW)
        assert [pod["metadata"]["name"] for pod in found] == [p["metadata"]["name"] for p in (first, second)]


def test_a_crowded_node_gives_up_first() -> None:
    alone, crowded, neighbour = a_state("a", node="n1"), a_state("z", node="n2"), a_state("y", node="n2")
    found = pods.deletion_order([alone, crowded], [alone, crowded, neighbour], NOW)
    assert [pod["metadata"]["name"] for pod in found] == ["z", "a"]


@pytest.mark.parametrize(
    ("ready_s", "min_ready_s", "wait"),
    [(None, 0, None), (0, 0, 0.0), (3, 10, 7.0), (10, 10, 0.0), (99, 10, 0.0)],
)
def test_when_a_pod_becomes_available(ready_s: float | None, min_ready_s: int, wait: float | None) -> None:
    assert pods.available_in_s(a_state("p", ready_s=ready_s), min_ready_s, NOW) == wait


def test_a_template_becomes_a_pod_of_its_owner() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "o", "namespace": "d", "uid": "u"}}
    pod = pod_of(a_template(), owner)
    assert pod["metadata"]["generateName"] == "o-"
    assert pod["metadata"]["ownerReferences"][0]["controller"] is True
    assert "name" not in pod["metadata"]


def test_hashes_tell_templates_and_collisions_apart() -> None:
    one = a_template()
    assert template_hash(one) == template_hash({"spec": one["spec"], "metadata": one["metadata"]})
    assert len({template_hash(one), template_hash(one, 1), template_hash(a_template("other"))}) == 3
    assert set(safe_hash("x")) <= set("bcdfghjklmnpqrstvwxz2456789")


NAMED_N1 = {"key": "metadata.name", "operator": "In", "values": ["n1"]}


def a_term(key: str, operator: str, *values: str) -> Tree:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("terms", "fits"),
    [
        pytest.param([a_term("disk", "In", "ssd")], True, id="in"),
        pytest.param([a_term("disk", "NotIn", "ssd")], False, id="not in"),
        pytest.param([a_term("cores", "Gt", "4")], True, id="more than"),
        pytest.param([a_term("gpu", "Exists"), a_term("disk", "Exists")], True, id="one of two"),
        pytest.param([{}], False, id="an empty term never"),
        pytest.param([], False, id="no term at all"),
        pytest.param(
            [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}], True, id="name"
        ),
    ],
)
def test_terms_of_node_affinity(terms: list[Tree], fits: bool) -> None:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    node = a_node("n1", labels={"disk": "ssd", "cores": "8"})
    assert node_fit.fits_node_selector(a_pod("p", affinity={"nodeAffinity": required}), node) is fits


TAINT = {"key": "k", "value": "v", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "value": "other"}, False),
        ({"key": "k", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tolerations(toleration: Tree, tolerated: bool) -> None:
    assert node_fit.tolerates(toleration, TAINT) is tolerated
