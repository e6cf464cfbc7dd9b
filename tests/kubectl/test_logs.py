"""logs: followed, of earlier attempts, since, with times, the last lines, of several containers."""

from datetime import UTC, datetime

from tests.kubectl.kubectl import Kubectl, expect_line
from tests.kubectl.makers import deployment

CHATTY = ["sh", "-c", "echo first; echo second; echo last; exec sleep 100000"]


def test_logs_of_a_pod_and_of_what_owns_pods(kubectl: Kubectl) -> None:
    kubectl.apply(deployment(command=CHATTY))
    kubectl("rollout status deployment/web --timeout=30s")
    assert kubectl("logs deployment/web") == "first\nsecond\nlast\n"
    assert kubectl("logs -l app=web --tail=1") == "last\n"
    assert kubectl("logs deployment/web --tail=2 --prefix").startswith("[pod/web-")
    kubectl("create job j --image=busybox -- echo from the job")
    kubectl("wait --for=condition=Complete job/j --timeout=30s")
    assert kubectl("logs job/j") == "from the job\n"


def test_times_and_ranges(kubectl: Kubectl) -> None:
    kubectl.pod("one", *CHATTY)
    moment, text = kubectl("logs one --timestamps --tail=1").split()
    assert text == "last"
    assert datetime.fromisoformat(moment[:26] + "+00:00") <= datetime.now(UTC)
    assert kubectl("logs one --since=1h") == "first\nsecond\nlast\n"
    assert kubectl("logs one --since-time=2099-01-01T00:00:00Z") == ""
    assert kubectl("logs one --limit-bytes=5") == "first"
    assert kubectl("logs one --tail=0") == ""
    assert "tail" in kubectl.fails("logs one --tail=-5")


def test_a_log_is_followed_until_the_container_ends(kubectl: Kubectl) -> None:
    kubectl.pod("one", "sh", "-c", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    with kubectl.started("logs one --follow") as following:
        expect_line(following.stdout, "ready")
        kubectl("delete pod one --wait=false")
        expect_line(following.stdout, "bye")
        assert following.wait(30) == 0


def test_the_attempt_before_is_remembered(kubectl: Kubectl) -> None:
    kubectl.pod("one", "sh", "-c", "echo attempt $$; test -e again && exec sleep 1000; touch again; sleep 0.2; exit 1")
    kubectl("wait --for=jsonpath={.status.containerStatuses[0].restartCount}=1 pod/one --timeout=30s")
    kubectl("wait --for=condition=Ready pod/one --timeout=30s")
    assert kubectl("logs one --previous").startswith("attempt ")
    kubectl.pod("two")
    assert kubectl.fails("logs two --previous") == (
        'Error from server (BadRequest): previous terminated container "two" in pod "two" not found\n'
    )


def test_several_containers(kubectl: Kubectl) -> None:
    made = deployment(command=["sh", "-c", "echo from main; exec sleep 1000"])
    spec = made["spec"]["template"]["spec"]
    spec["containers"].append(
        {**spec["containers"][0], "name": "side", "command": ["sh", "-c", "echo from side; exec sleep 1000"]}
    )
    spec["initContainers"] = [{**spec["containers"][0], "name": "first", "command": ["echo", "from first"]}]
    kubectl.apply(made)
    kubectl("rollout status deployment/web --timeout=30s")
    done = kubectl.run("logs deployment/web")
    assert done.stdout == "from main\n"
    assert done.stderr == 'Defaulted container "main" out of: main, side, first (init)\n'
    assert kubectl("logs deployment/web -c side") == "from side\n"
    assert kubectl("logs deployment/web -c first") == "from first\n"
    lines = kubectl("logs deployment/web --all-containers").splitlines()
    assert sorted(lines) == ["from first", "from main", "from side"], "kubectl asks in no order"
    assert "container nope is not valid for pod web-" in kubectl.fails("logs deployment/web -c nope")


def test_what_has_no_log_says_so(kubectl: Kubectl) -> None:
    assert kubectl.fails("logs nope") == (
        f'error: error from server (NotFound): pods "nope" not found in namespace "{kubectl.namespace}"\n'
    )
    kubectl("run waits --image=busybox --overrides", '{"spec":{"nodeSelector":{"no":"where"}}}')
    assert kubectl("logs waits") == ""
