"""scale, rollout status, history, undo, restart, pause, resume."""

from tests.kubectl.kubectl import Kubectl, rows
from tests.kubectl.makers import deployment


def test_a_rollout_is_followed_remembered_and_undone(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    assert 'deployment "web" successfully rolled out\n' in kubectl("rollout status deployment/web --timeout=30s")
    kubectl("set env deployment/web VERSION=2")
    kubectl("annotate deployment/web kubernetes.io/change-cause=second")
    assert "successfully rolled out" in kubectl("rollout status deployment/web --timeout=30s")
    assert kubectl("rollout history deployment/web") == (
        "deployment.apps/web \nREVISION  CHANGE-CAUSE\n1         <none>\n2         second\n\n"
    )
    assert "VERSION:\t2\n" in kubectl("rollout history deployment/web --revision=2")
    assert kubectl("rollout undo deployment/web") == "deployment.apps/web rolled back\n"
    kubectl("rollout status deployment/web --timeout=30s")
    assert rows(kubectl("rollout history deployment/web"))[-2:] == [["3", "<none>"], []]
    assert kubectl("set env deployment/web --list") == "# Deployment web, container main\n"
    assert "unable to find specified revision 9 in history" in kubectl.fails(
        "rollout undo deployment/web --to-revision=9"
    )


def test_a_restart_replaces_all_pods(kubectl: Kubectl) -> None:
    kubectl.apply(deployment(replicas=2))
    kubectl("rollout status deployment/web --timeout=30s")
    before = set(kubectl("get pods -o name").split())
    assert kubectl("rollout restart deployment/web") == "deployment.apps/web restarted\n"
    kubectl("rollout status deployment/web --timeout=30s")
    kubectl("wait --for=delete", *before, "--timeout=30s")
    after = set(kubectl("get pods -o name").split())
    assert len(after) == 2
    assert not before & after


def test_a_paused_deployment_waits_until_it_is_resumed(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    kubectl("rollout status deployment/web --timeout=30s")
    assert kubectl("rollout pause deployment/web") == "deployment.apps/web paused\n"
    kubectl("set env deployment/web A=1")
    assert kubectl.fails("rollout pause deployment/web") == 'error: deployments.apps "web" is already paused\n'
    kubectl("wait --for=jsonpath={.status.observedGeneration}=3 deployment/web --timeout=30s")
    assert len(kubectl("get replicasets -o name").split()) == 1
    assert kubectl("rollout resume deployment/web") == "deployment.apps/web resumed\n"
    kubectl("rollout status deployment/web --timeout=30s")
    assert len(kubectl("get replicasets -o name").split()) == 2


def test_scaling_up_down_and_on_a_condition(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    assert kubectl("scale deployment/web --replicas=3") == "deployment.apps/web scaled\n"
    kubectl("wait --for=jsonpath={.status.readyReplicas}=3 deployment/web --timeout=30s")
    assert kubectl.fails("scale deployment/web --replicas=1 --current-replicas=9") == (
        "error: Expected replicas to be 9, was 3\n"
    )
    kubectl("scale deployment/web --replicas=0")
    kubectl("wait --for=delete pod -l app=web --timeout=30s")


def test_stateful_sets_and_daemon_sets_roll_out(kubectl: Kubectl) -> None:
    made = deployment()
    stateful = {**made, "kind": "StatefulSet", "spec": {**made["spec"], "serviceName": "web", "replicas": 2}}
    daemon = {**made, "kind": "DaemonSet", "spec": {k: v for k, v in made["spec"].items() if k != "replicas"}}
    kubectl.apply(stateful, daemon)
    assert "partitioned roll out complete: 2 new pods have been updated" in kubectl(
        "rollout status statefulset/web --timeout=30s"
    )
    assert "successfully rolled out" in kubectl("rollout status daemonset/web --timeout=30s")
    assert {"pod/web-0", "pod/web-1"} < set(kubectl("get pods -o name").split())
    kubectl("rollout restart statefulset/web daemonset/web")
    kubectl("rollout status statefulset/web --timeout=30s")
    kubectl("rollout status daemonset/web --timeout=30s")
    assert rows(kubectl("rollout history statefulset/web"))[-2:] == [["2", "<none>"], []]
    kubectl("rollout undo daemonset/web")
    kubectl("rollout status daemonset/web --timeout=30s")
    assert rows(kubectl("get daemonset web"))[1][1:6] == ["1", "1", "1", "1", "1"]
