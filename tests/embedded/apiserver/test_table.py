"""What `kubectl get` shows."""

from datetime import UTC, datetime
from typing import Any

import pytest

from flowdeck.clock import FakeClock
from flowdeck.embedded.apiserver.builtin.printers.cells import human_duration
from flowdeck.embedded.apiserver.contract import Resource
from flowdeck.embedded.apiserver.crds import resources_of
from flowdeck.embedded.apiserver.table import Tables, builtin_printer, printer_of
from flowdeck.kube import kinds
from flowdeck.kube.objects import Kind, Tree
from tests.embedded.apiserver.kinds import a_container, a_definition, a_deployment, a_job, a_pod, a_service

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def row(kind: Kind, obj: Tree) -> dict[str, Any]:
    printer = builtin_printer(kind)
    return dict(zip((column.name for column in printer.columns), printer.cells(obj, NOW), strict=True))


def a_seen_pod(*statuses: Tree, init: list[Tree] | None = None, phase: str = "Running", **meta: Any) -> Tree:
    pod = a_pod(*(a_container(status["name"]) for status in statuses))
    pod["metadata"] |= {"creationTimestamp": "2026-11-24T11:55:00Z", **meta}
    pod["status"] = {"phase": phase, "containerStatuses": list(statuses)}
    if init is not None:
        pod["spec"]["initContainers"] = [a_container(status["name"]) for status in init]
        pod["status"]["initContainerStatuses"] = init
    return pod


def running(name: str = "a", *, ready: bool = True, restarts: int = 0, **fields: Any) -> Tree:
    return {"name": name, "ready": ready, "restartCount": restarts, "state": {"running": {}}, **fields}


def waiting(reason: str, name: str = "a", restarts: int = 0, **fields: Any) -> Tree:
    return {"name": name, "ready": False, "restartCount": restarts, "state": {"waiting": {"reason": reason}}, **fields}


def ended(code: int, reason: str = "", name: str = "a") -> Tree:
    terminated = {"exitCode": code, **({"reason": reason} if reason else {})}
    return {"name": name, "ready": False, "restartCount": 0, "state": {"terminated": terminated}}


@pytest.mark.parametrize(
    ("pod", "ready", "word"),
    [
        (a_seen_pod(running()), "1/1", "Running"),
        (a_seen_pod(phase="Pending"), "0/1", "Pending"),
        (a_seen_pod(waiting("CrashLoopBackOff")), "0/1", "CrashLoopBackOff"),
        (a_seen_pod(waiting("ContainerCreating"), phase="Pending"), "0/1", "ContainerCreating"),
        (a_seen_pod(ended(0, "Completed"), phase="Succeeded"), "0/1", "Completed"),
        (a_seen_pod(ended(1, "Error"), phase="Failed"), "0/1", "Error"),
        (a_seen_pod(ended(3), phase="Failed"), "0/1", "ExitCode:3"),
        (a_seen_pod(running("a"), running("b", ready=False)), "1/2", "Running"),
        (a_seen_pod(waiting("PodInitializing"), init=[running("i", ready=False)], phase="Pending"), "0/1", "Init:0/1"),
        (a_seen_pod(waiting("PodInitializing"), init=[ended(1, "Error", "i")], phase="Pending"), "0/1", "Init:Error"),
        (
            a_seen_pod(waiting("PodInitializing"), init=[waiting("CrashLoopBackOff", "i")], phase="Pending"),
            "0/1",
            "Init:CrashLoopBackOff",
        ),
        (a_seen_pod(running(), deletionTimestamp="2026-11-24T12:00:30Z"), "1/1", "Terminating"),
        (a_seen_pod(ended(0, "Completed"), phase="Succeeded", deletionTimestamp="x"), "0/1", "Completed"),
    ],
)
def test_a_pod_says_in_a_word_how_it_is(pod: Tree, ready: str, word: str) -> None:
    shown = row(kinds.POD, pod)
    assert (shown["Ready"], shown["Status"], shown["Age"]) == (ready, word, "5m")


def test_restarts_say_when_the_last_one_was() -> None:
    last = {"lastState": {"terminated": {"finishedAt": "2026-11-24T11:50:00Z"}}}
    assert row(kinds.POD, a_seen_pod(running(restarts=3, **last)))["Restarts"] == "3 (10m ago)"
    assert row(kinds.POD, a_seen_pod(running()))["Restarts"] == "0"


def test_a_sidecar_counts_among_the_containers() -> None:
    pod = a_seen_pod(running(), init=[running("s", started=True)])
    pod["spec"]["initContainers"][0]["restartPolicy"] = "Always"
    assert (row(kinds.POD, pod)["Ready"], row(kinds.POD, pod)["Status"]) == ("2/2", "Running")


def test_workloads() -> None:
    deployment = a_deployment(replicas=3) | {"status": {"readyReplicas": 1, "updatedReplicas": 2}}
    shown = row(kinds.DEPLOYMENT, deployment)
    assert (shown["Ready"], shown["Up-to-date"], shown["Available"]) == ("1/3", 2, 0)
    assert (shown["Containers"], shown["Images"], shown["Selector"]) == ("main", "image:1", "app=x")
    job = a_job(completions=2) | {
        "status": {
            "succeeded": 2,
            "startTime": "2026-11-24T11:00:00Z",
            "completionTime": "2026-11-24T11:03:05Z",
            "conditions": [{"type": "Complete", "status": "True"}],
        }
    }
    shown = row(kinds.JOB, job)
    assert (shown["Status"], shown["Completions"], shown["Duration"]) == ("Complete", "2/2", "3m5s")


def test_services() -> None:
    service = a_service(
        type="NodePort", clusterIP="10.0.0.1", ports=[{"port": 80, "nodePort": 30080, "protocol": "TCP"}]
    )
    shown = row(kinds.SERVICE, service)
    assert (shown["Cluster-IP"], shown["External-IP"], shown["Port(s)"]) == ("10.0.0.1", "<none>", "80:30080/TCP")
    assert row(kinds.SERVICE, a_service(type="LoadBalancer"))["External-IP"] == "<pending>"


def test_autoscalers_show_each_metric() -> None:
    autoscaler = {
        "metadata": {"name": "a"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "maxReplicas": 5,
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
                {"type": "Resource", "resource": {"name": "memory", "target": {"averageValue": "1Gi"}}},
            ],
        },
        "status": {"currentMetrics": [{"resource": {"name": "cpu", "current": {"averageUtilization": 12}}}]},
    }
    shown = row(kinds.HORIZONTAL_POD_AUTOSCALER, autoscaler)
    assert shown["Reference"] == "Deployment/web"
    assert shown["Targets"] == "cpu: 12%/80%, memory: <unknown>/1Gi"


def test_nodes_and_events() -> None:
    node = {
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": ""}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1"}},
    }
    shown = row(kinds.NODE, node)
    assert (shown["Status"], shown["Roles"], shown["Version"]) == ("Ready,SchedulingDisabled", "control-plane", "v1")
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p"},
        "firstTimestamp": "2026-11-24T11:00:00Z",
        "lastTimestamp": "2026-11-24T11:59:00Z",
        "count": 4,
        "type": "Warning",
        "reason": "Failed",
        "message": "no\n",
        "source": {"component": "kubelet", "host": "n"},
    }
    shown = row(kinds.EVENT, event)
    assert (shown["Last Seen"], shown["Object"], shown["Message"]) == ("60s", "pod/p", "no")
    assert (shown["Source"], shown["First Seen"], shown["Count"]) == ("kubelet, n", "60m", 4)


@pytest.mark.parametrize("kind", [kind for kind in vars(kinds).values() if isinstance(kind, Kind)], ids=str)
def test_a_bare_object_of_any_kind_can_be_shown(kind: Kind) -> None:
    """A watch's bookmarks are objects with nothing but metadata."""
    printer = builtin_printer(kind)
    assert len(printer.cells({"metadata": {"resourceVersion": "1"}}, NOW)) == len(printer.columns)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (12345, "3h25m"),
        (28800, "8h"),
        (172800, "2d"),
        (180000, "2d2h"),
        (691200, "8d"),
        (63072000, "2y"),
        (63158400, "2y1d"),
        (252288000, "8y"),
    ],
)
def test_ages_are_rounded_for_people(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


def a_custom_resource(*columns: Tree) -> Resource:
    definition = a_definition(additionalPrinterColumns=list(columns))
    definition["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
    [resource] = resources_of(definition)
    return resource


def test_custom_kinds_show_the_columns_of_their_definition() -> None:
    resource = a_custom_resource(
        {"name": "State", "type": "string", "jsonPath": ".status.conditions[-1:].type"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Count", "type": "integer", "jsonPath": ".spec.count", "priority": 1},
        {"name": "Since", "type": "date", "jsonPath": ".status.since"},
        {"name": "Tags", "type": "string", "jsonPath": ".spec.tags"},
    )
    conditions = [{"type": "Ready", "status": "False"}, {"type": "Complete", "status": "True"}]
    status = {"conditions": conditions, "since": "2026-11-24T11:59:00Z"}
    obj = {"metadata": {"name": "f"}, "spec": {"count": 3, "tags": ["a", "b"]}, "status": status}
    table = Tables(FakeClock(NOW)).print(printer_of(resource), [obj, {"metadata": {"name": "g"}}], metadata={})
    assert [column["name"] for column in table["columnDefinitions"]] == [
        "Name",
        "State",
        "Ready",
        "Count",
        "Since",
        "Tags",
    ]
    assert table["rows"][0]["cells"] == ["f", "Complete", "False", 3, "60s", '["a","b"]']
    assert table["rows"][1]["cells"] == ["g", None, None, None, None, None]


def test_a_custom_kind_without_columns_shows_its_age() -> None:
    obj = {"metadata": {"name": "f", "creationTimestamp": "2026-11-24T11:00:00Z"}}
    table = Tables(FakeClock(NOW)).print(printer_of(a_custom_resource()), [obj], metadata={}, include="None")
    assert table["rows"] == [{"cells": ["f", "60m"], "object": None}]
