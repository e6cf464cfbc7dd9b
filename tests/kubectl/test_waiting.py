"""wait, and get --watch."""

from tests.kubectl.kubectl import Kubectl, expect_line
from tests.kubectl.makers import config_map, deployment


def test_waiting_for_a_condition(kubectl: Kubectl) -> None:
    kubectl("run one --image=busybox --command -- sleep 100000")
    assert kubectl("wait --for=condition=Ready pod/one --timeout=30s") == "pod/one condition met\n"
    assert kubectl.fails("wait --for=condition=Ready=false pod/one --timeout=1s") == (
        "error: timed out waiting for the condition on pods/one\n"
    )


def test_waiting_for_a_value_for_creation_and_for_deletion(kubectl: Kubectl) -> None:
    with kubectl.started("wait --for=create configmap/later --timeout=30s") as waiting:
        kubectl.apply(config_map("later", a="1"))
        expect_line(waiting.stdout, "configmap/later condition met")
    assert kubectl("wait --for=jsonpath={.data.a}=1 configmap/later") == "configmap/later condition met\n"
    assert kubectl("wait --for=jsonpath={.data.a} configmap/later") == "configmap/later condition met\n"
    kubectl.pod("one")
    kubectl("delete pod one --wait=false --grace-period=1")
    assert kubectl("wait --for=delete pod/one --timeout=30s") in ("pod/one condition met\n", "")
    assert kubectl.fails("wait --for=condition=Ready pod/nope") == (
        'Error from server (NotFound): pods "nope" not found\n'
    )


def test_changes_are_watched_in_a_table(kubectl: Kubectl) -> None:
    with kubectl.started("get pods --watch -o wide --output-watch-events") as watching:
        kubectl("run one --image=busybox --restart=Never --command -- sh -c", "sleep 0.2")
        assert "ADDED" in expect_line(watching.stdout, " Pending ")
        assert "MODIFIED" in expect_line(watching.stdout, " Running ")
        assert "MODIFIED" in expect_line(watching.stdout, " Completed ")
        kubectl("delete pod one")
        expect_line(watching.stdout, "DELETED")


def test_a_watch_can_begin_with_what_is_there(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    with kubectl.started("get deployment web --watch") as watching:
        expect_line(watching.stdout, "web ")
        kubectl("scale deployment web --replicas=2")
        expect_line(watching.stdout, "2/2")
    with kubectl.started("get configmaps --watch-only -o name") as watching:
        kubectl.until("get configmaps -o name --watch", "kube-root-ca.crt")
        kubectl.apply(config_map("new"))
        kubectl("label configmap new x=y")
        expect_line(watching.stdout, "configmap/new")
