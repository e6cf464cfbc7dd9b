"""What is done next for a pod: a table of scenes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flowdeck.embedded.node.pods.decide import Forget, SetUp, Start, Stop, TearDown, decide
from flowdeck.embedded.node.pods.seen import BackOff, Busy, ContainerSeen, PodSeen, Run, Waiting
from flowdeck.embedded.node.pods.status import phase_of, status_of
from flowdeck.kube.objects import Tree, copy_of
from tests.embedded.node.makers import a_container, a_pod

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
BACK_OFF = BackOff(start_s=10, max_s=300)
STOPPING = "Stopping container {}"


def a_run(exit_code: int | None = None, *, attempt: int = 0, ended_s_ago: float = 0, **fields: Any) -> Run:
    ended = None if exit_code is None else NOW - timedelta(seconds=ended_s_ago)
    reason = "" if exit_code is None else ("Error" if exit_code else "Completed")
    started = (ended or NOW) - timedelta(seconds=1)
    return Run(
        attempt=attempt, id="x", exit_code=exit_code, started_at=started, ended_at=ended, reason=reason, **fields
    )


def running(**fields: Any) -> ContainerSeen:
    return ContainerSeen(run=a_run(), **{"is_started": True, "is_ready": True, **fields})


def ended(exit_code: int, **fields: Any) -> ContainerSeen:
    return ContainerSeen(run=a_run(exit_code, **fields))


def a_scene(**containers: ContainerSeen) -> PodSeen:
    return PodSeen(containers=containers, is_set_up=True, started_at=NOW, ip="10.0.0.1", host_ip="127.0.0.1")


def deleted(pod: Tree, *, grace_s: int = 5, since_s: int = 0) -> Tree:
    pod = copy_of(pod)
    at = (NOW + timedelta(seconds=grace_s - since_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    pod["metadata"] |= {"deletionTimestamp": at, "deletionGracePeriodSeconds": grace_s}
    return pod


ONE = a_pod("true")
AGAIN = a_pod("true", restartPolicy="Always")
ON_FAILURE = a_pod("true", restartPolicy="OnFailure")
DEBUGGED = a_pod("true", ephemeralContainers=[a_container("sh", name="debugger")])
TWO_INITS = a_pod("true", initContainers=[a_container("true", name="a"), a_container("true", name="b")])
SIDECAR = a_pod("true", initContainers=[a_container("true", name="side", restartPolicy="Always")])


@pytest.mark.parametrize(
    ("pod", "seen", "actions"),
    [
        pytest.param(ONE, PodSeen(), [SetUp()], id="nothing is there yet"),
        pytest.param(ONE, PodSeen(is_being_set_up=True), [], id="it is being set up"),
        pytest.param(ONE, a_scene(), [Start("main", 0, 0.0)], id="everything is there"),
        pytest.param(
            DEBUGGED, a_scene(main=running()), [Start("debugger", 0, 0.0)], id="an ephemeral container is added"
        ),
        pytest.param(DEBUGGED, a_scene(main=running(), debugger=ended(1)), [], id="an ephemeral container runs once"),
        pytest.param(
            DEBUGGED,
            a_scene(main=ended(0), debugger=running()),
            [Stop("debugger", 5.0, STOPPING.format("debugger"))],
            id="it ends with the pod",
        ),
        pytest.param(ONE, a_scene(main=ContainerSeen(busy=Busy.STARTING)), [], id="it starts already"),
        pytest.param(ONE, a_scene(main=running()), [], id="it runs"),
        pytest.param(ONE, a_scene(main=ended(0)), [TearDown()], id="it ended well"),
        pytest.param(ONE, a_scene(main=ended(1)), [TearDown()], id="it failed and may not run again"),
        pytest.param(ON_FAILURE, a_scene(main=ended(0)), [TearDown()], id="OnFailure: it ended well"),
        pytest.param(ON_FAILURE, a_scene(main=ended(1)), [Start("main", 1, 0.0)], id="the first restart is free"),
        pytest.param(AGAIN, a_scene(main=ended(0)), [Start("main", 1, 0.0)], id="Always: it ended well"),
        pytest.param(AGAIN, a_scene(main=ended(1, attempt=1)), [], id="the second restart waits"),
        pytest.param(
            AGAIN,
            a_scene(main=ended(1, attempt=1, ended_s_ago=-3600)),
            [Start("main", 2, 10)],
            id="the wall clock was set back",
        ),
        pytest.param(
            AGAIN, a_scene(main=ended(1, attempt=1, ended_s_ago=10)), [Start("main", 2, 10.0)], id="until its time"
        ),
        pytest.param(
            AGAIN, a_scene(main=ended(1, attempt=2, back_off_s=10.0, ended_s_ago=19)), [], id="the next pause is longer"
        ),
        pytest.param(TWO_INITS, a_scene(), [Start("a", 0, 0.0)], id="the first init container"),
        pytest.param(TWO_INITS, a_scene(a=running()), [], id="the second init container waits for the first"),
        pytest.param(TWO_INITS, a_scene(a=ended(0)), [Start("b", 0, 0.0)], id="the second init container"),
        pytest.param(TWO_INITS, a_scene(a=ended(0), b=ended(0)), [Start("main", 0, 0.0)], id="after the others"),
        pytest.param(TWO_INITS, a_scene(a=ended(1)), [TearDown()], id="an init container failed"),
        pytest.param(SIDECAR, a_scene(side=running(is_started=False)), [], id="a sidecar that is not up yet"),
        pytest.param(SIDECAR, a_scene(side=running()), [Start("main", 0, 0.0)], id="a sidecar that is up"),
        pytest.param(
            SIDECAR, a_scene(side=ended(0), main=running()), [Start("side", 1, 0.0)], id="a sidecar that ended"
        ),
        pytest.param(
            SIDECAR,
            a_scene(side=running(), main=ended(0)),
            [Stop("side", 5.0, STOPPING.format("side"))],
            id="a sidecar does not outlive the others",
        ),
        pytest.param(
            AGAIN, a_scene(main=running(unhealthy="is ill")), [Stop("main", 5.0, "is ill")], id="an unhealthy container"
        ),
        pytest.param(
            ONE,
            a_scene(main=ContainerSeen(waiting=Waiting(reason="X", until=NOW + timedelta(seconds=1)))),
            [],
            id="not before it may be tried again",
        ),
        pytest.param(deleted(ONE), a_scene(main=running()), [Stop("main", 5.0, STOPPING.format("main"))], id="deleted"),
        pytest.param(
            deleted(ONE, since_s=60),
            a_scene(main=running()),
            [Stop("main", 5.0, STOPPING.format("main"))],
            id="deleted while there was no node",
        ),
        pytest.param(
            deleted(SIDECAR, since_s=60),
            a_scene(main=ended(0), side=running()),
            [Stop("side", 2.0, STOPPING.format("side"))],
            id="its sidecar: the time is used up",
        ),
        pytest.param(
            deleted(SIDECAR),
            a_scene(side=running(), main=running()),
            [Stop("main", 5.0, STOPPING.format("main"))],
            id="deleted: sidecars last",
        ),
        pytest.param(deleted(ONE), a_scene(main=ended(0)), [TearDown()], id="deleted and stopped"),
        pytest.param(
            deleted(ONE),
            PodSeen(containers={"main": ended(0)}, is_set_up=True, is_torn_down=True),
            [Forget()],
            id="deleted, stopped and torn down",
        ),
        pytest.param(ONE, PodSeen(containers={"main": ended(0)}, is_set_up=True, is_torn_down=True), [], id="all done"),
        pytest.param(ONE, PodSeen(refusal=("No", "no")), [], id="refused"),
    ],
)
def test_the_next_step(pod: Tree, seen: PodSeen, actions: list[object]) -> None:
    assert list(decide(pod, seen, NOW, BACK_OFF).actions) == actions


def test_a_pod_past_its_deadline_ends() -> None:
    pod = a_pod("true", activeDeadlineSeconds=60)
    step = decide(pod, a_scene(main=running()), NOW + timedelta(seconds=60), BACK_OFF)
    assert step.ended is not None
    assert step.ended[0] == "DeadlineExceeded"
    assert list(step.actions) == [Stop("main", 5.0, STOPPING.format("main"))]


def test_the_deadline_is_looked_at_when_it_comes() -> None:
    pod = a_pod("true", activeDeadlineSeconds=60)
    assert decide(pod, a_scene(main=running()), NOW, BACK_OFF).look_again_at == NOW + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("attempt", "before_s", "pause_s"),
    [(0, 0, 0), (1, 0, 10), (2, 10, 20), (3, 20, 40), (6, 160, 300), (7, 300, 300)],
)
def test_pauses_double_up_to_the_longest(attempt: int, before_s: float, pause_s: float) -> None:
    assert BACK_OFF.before(a_run(1, attempt=attempt, back_off_s=before_s)) == pause_s


def test_a_container_that_ran_for_long_begins_anew() -> None:
    run = Run(attempt=5, id="x", exit_code=1, started_at=NOW - timedelta(seconds=601), ended_at=NOW, back_off_s=160)
    assert BACK_OFF.before(run) == 0


@pytest.mark.parametrize(
    ("pod", "seen", "phase"),
    [
        (ONE, PodSeen(), "Pending"),
        (ONE, a_scene(main=running()), "Running"),
        (ONE, a_scene(main=ended(0)), "Succeeded"),
        (ONE, a_scene(main=ended(1)), "Failed"),
        (AGAIN, a_scene(main=ended(1)), "Running"),
        (TWO_INITS, a_scene(a=running()), "Pending"),
        (TWO_INITS, a_scene(a=ended(1)), "Failed"),
        (SIDECAR, a_scene(side=running(), main=ended(0)), "Running"),
        (SIDECAR, a_scene(side=ended(137), main=ended(0)), "Succeeded"),
        (deleted(AGAIN), a_scene(main=ended(0)), "Succeeded"),
        (deleted(AGAIN), a_scene(main=ended(137)), "Failed"),
        (ONE, PodSeen(refusal=("No", "no")), "Failed"),
    ],
)
def test_the_phase(pod: Tree, seen: PodSeen, phase: str) -> None:
    assert phase_of(pod, seen) == phase


def test_a_pod_that_the_machines_restart_ended_is_a_disruption() -> None:
    lost = a_run(137, is_lost_by_reboot=True)
    pod = a_pod("true")
    pod["metadata"]["uid"] = "1"
    status = status_of(pod, a_scene(main=ContainerSeen(run=lost)), NOW, BACK_OFF)
    assert status["phase"] == "Failed"
    (condition,) = [c for c in status["conditions"] if c["type"] == "DisruptionTarget"]
    assert (condition["status"], condition["reason"]) == ("True", "TerminationByKubelet")


def test_conditions_keep_their_times_and_those_of_others() -> None:
    pod = a_pod("true")
    pod["metadata"]["uid"] = "1"
    pod["status"] = {"conditions": [{"type": "mine/gate", "status": "True"}]}
    pod["status"] = status_of(pod, a_scene(main=running()), NOW, BACK_OFF)
    later = status_of(pod, a_scene(main=running()), NOW + timedelta(seconds=9), BACK_OFF)
    assert later == pod["status"]
    assert [c["type"] for c in later["conditions"]][-1] == "mine/gate"


def test_a_readiness_gate_keeps_a_pod_from_being_ready() -> None:
    pod = a_pod("true", readinessGates=[{"conditionType": "mine/gate"}])
    status = status_of(pod, a_scene(main=running()), NOW, BACK_OFF)
    (ready,) = [c for c in status["conditions"] if c["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "ReadinessGatesNotReady")
