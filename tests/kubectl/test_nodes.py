"""top, taint, cordon, drain."""

import re

from tests.kubectl.kubectl import Kubectl, rows
from tests.kubectl.makers import deployment


def test_top_shows_what_is_used(kubectl: Kubectl) -> None:
    kubectl.pod("busy", "sh", "-c", "while :; do :; done")
    header, row = rows(kubectl("top node"))
    assert header == ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    assert re.fullmatch(r"flowdeck \d+m \d+% \d+Mi \d+%", " ".join(row))
    header, row = rows(kubectl("top pods"))
    assert header == ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert re.fullmatch(r"busy \d+m \d+Mi", " ".join(row))
    assert rows(kubectl("top pods --containers"))[0] == ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert kubectl.fails("top pod nope") == 'Error from server (NotFound): pods "nope" not found\n'


def test_a_tainted_node_takes_no_pods(kubectl: Kubectl) -> None:
    assert kubectl("taint node flowdeck test=x:NoSchedule") == "node/flowdeck tainted\n"
    try:
        kubectl("run one --image=busybox --command -- sleep 1000")
        kubectl("wait --for=condition=PodScheduled=false pod/one --timeout=30s")
        message = "{.status.conditions[?(@.type=='PodScheduled')].message}"
        assert "1 node(s) had untolerated taint" in kubectl("get pod one -o", f"jsonpath={message}")
    finally:
        assert kubectl("taint node flowdeck test-") == "node/flowdeck untainted\n"
    kubectl("wait --for=condition=Ready pod/one --timeout=30s")


def test_a_node_is_drained_and_opened_again(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    kubectl.pod("alone")
    kubectl("rollout status deployment/web --timeout=30s")
    [pod] = kubectl("get pods -l app=web -o name").split()
    try:
        assert kubectl("cordon flowdeck") == "node/flowdeck cordoned\n"
        assert rows(kubectl("get node flowdeck"))[1][1] == "Ready,SchedulingDisabled"
        shown = kubectl("drain flowdeck --ignore-daemonsets --pod-selector=app=web --timeout=30s")
        assert f"{pod} evicted\n" in shown
        assert shown.endswith("node/flowdeck drained\n")
        assert "Pods that declare no controller (use --force to override)" in kubectl.fails(
            "drain flowdeck --pod-selector=run=alone"
        )
    finally:
        assert kubectl("uncordon flowdeck") == "node/flowdeck uncordoned\n"
    kubectl("rollout status deployment/web --timeout=30s")


def test_a_budget_holds_a_drain_up(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    kubectl("rollout status deployment/web --timeout=30s")
    kubectl("create poddisruptionbudget web --selector=app=web --min-available=1")
    kubectl("wait --for=jsonpath={.status.expectedPods}=1 pdb/web --timeout=30s")
    try:
        told = kubectl.fails("drain flowdeck --ignore-daemonsets --pod-selector=app=web --timeout=1s")
        assert "Cannot evict pod as it would violate the pod's disruption budget." in told
    finally:
        kubectl("uncordon flowdeck")
    assert rows(kubectl("get pdb web"))[1][:4] == ["web", "1", "N/A", "0"]
