"""describe and events: what went wrong, and why."""

from tests.kubectl.kubectl import Kubectl, rows
from tests.kubectl.makers import deployment, train_job


def reasons(description: str) -> list[str]:
    return [row[1] for row in rows(description.partition("Events:")[2])[3:]]


def test_a_pod_that_runs_tells_its_story_in_order(kubectl: Kubectl) -> None:
    kubectl.pod("one")
    shown = kubectl("describe pod one")
    assert reasons(shown) == ["Scheduled", "Pulling", "Pulled", "Created", "Started"]
    assert "Status:           Running\n" in shown
    assert "    State:          Running\n      Started:      " in shown
    assert "QoS Class:                   BestEffort\n" in shown
    assert f"Successfully assigned {kubectl.namespace}/one to flowdeck" in shown


def test_a_failed_pod_shows_how_it_ended(kubectl: Kubectl) -> None:
    kubectl("run bad --image=busybox --restart=Never --command -- sh -c", "exit 3")
    kubectl("wait --for=jsonpath={.status.phase}=Failed pod/bad --timeout=30s")
    shown = kubectl("describe pod bad")
    assert "Status:           Failed\n" in shown
    assert "    State:          Terminated\n      Reason:       Error\n      Exit Code:    3\n" in shown
    assert rows(kubectl("get pod bad"))[1][:4] == ["bad", "0/1", "Error", "0"]


def test_a_pod_that_fits_nowhere_says_why(kubectl: Kubectl) -> None:
    kubectl(
        "run big --image=busybox --overrides",
        '{"spec":{"containers":[{"name":"big","image":"busybox","resources":{"requests":{"cpu":"999"}}}]}}',
    )
    kubectl("wait --for=condition=PodScheduled=false pod/big --timeout=30s")
    kubectl.until("get events --watch", "FailedScheduling")
    shown = kubectl("describe pod big")
    assert "Status:           Pending\n" in shown
    assert "FailedScheduling" in reasons(shown)
    assert "0/1 nodes are available: 1 Insufficient cpu." in shown
    assert rows(kubectl("get pod big"))[1][:3] == ["big", "0/1", "Pending"]


def test_an_image_that_is_not_known_says_what_to_do(kubectl: Kubectl) -> None:
    kubectl("run odd --image=registry.example/none:1")
    kubectl.until("get events --watch", "Failed")
    assert "flowdeck image add registry.example/none:1" in kubectl("describe pod odd")
    assert kubectl.fails("logs odd").startswith(
        'Error from server (BadRequest): container "odd" in pod "odd" is waiting to start: '
    )


def test_a_pod_that_crashes_backs_off(kubectl: Kubectl) -> None:
    kubectl("run crash --image=busybox --command -- false")
    waiting = "{.status.containerStatuses[0].state.waiting.reason}"
    kubectl(f"wait --for=jsonpath={waiting}=CrashLoopBackOff pod/crash --timeout=30s")
    kubectl.until("get events --watch", "BackOff")
    shown = kubectl("describe pod crash")
    assert "    Last State:     Terminated\n      Reason:       Error\n      Exit Code:    1\n" in shown
    assert "Back-off restarting failed container crash in pod crash_" in shown


def test_a_deployment_shows_its_replica_sets_and_conditions(kubectl: Kubectl) -> None:
    kubectl.apply(deployment(replicas=2))
    kubectl("rollout status deployment/web --timeout=30s")
    shown = kubectl("describe deployment web")
    assert "Replicas:               2 desired | 2 updated | 2 total | 2 available | 0 unavailable\n" in shown
    assert "  Available      True    MinimumReplicasAvailable\n" in shown
    assert "  Progressing    True    NewReplicaSetAvailable\n" in shown
    assert "Scaled up replica set web-" in shown
    assert reasons(kubectl("describe replicaset")) == ["SuccessfulCreate", "SuccessfulCreate"]


def test_a_job_counts_its_pods(kubectl: Kubectl) -> None:
    kubectl("create job done --image=busybox -- true")
    kubectl("wait --for=condition=Complete job/done --timeout=30s")
    kubectl.until("get events --watch", "Completed")
    shown = kubectl("describe job done")
    assert "Pods Statuses:    0 Active (0 Ready) / 1 Succeeded / 0 Failed\n" in shown
    assert reasons(shown) == ["SuccessfulCreate", "Completed"]
    header, row = rows(kubectl("get job done"))
    assert header == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]
    assert row[:3] == ["done", "Complete", "1/1"]


def test_a_train_job_shows_its_state(kubectl: Kubectl) -> None:
    kubectl.apply(train_job(command=["true"]))
    kubectl("wait --for=condition=Complete trainjob/train --timeout=30s")
    shown = kubectl("describe trainjob train")
    assert "Kind:         TrainJob\n" in shown
    assert "    Type:                  Complete\n" in shown
    assert "    Name:       node\n" in shown
    assert "Kind:         JobSet\n" in kubectl("describe jobset train")


def test_nodes_namespaces_and_services_are_described(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    kubectl("rollout status deployment/web --timeout=30s")
    kubectl("expose deployment web --port=80 --target-port=8080")
    node = kubectl("describe node flowdeck")
    assert "Non-terminated Pods:" in node
    assert f"  {kubectl.namespace}" in node
    assert "KubeletReady" in node
    assert "Status:       Active\n" in kubectl(f"describe namespace {kubectl.namespace}")
    assert "TargetPort:               8080/TCP\n" in kubectl("describe service web")


def test_events_are_listed_filtered_and_watched(kubectl: Kubectl) -> None:
    kubectl.pod("one")
    kubectl.until("get events --watch", "Started")
    header, *listed = rows(kubectl("get events"))
    assert header == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert [row[2] for row in listed if row[3] == "pod/one"] == ["Scheduled", "Pulling", "Pulled", "Created", "Started"]
    assert "Started container one" in kubectl("events --for pod/one")
    assert kubectl.run("events --types=Warning").stderr.startswith("No events found in ")
    assert rows(kubectl("get events --field-selector=involvedObject.name=one,reason=Started"))[1][2] == "Started"
