"""The status of a Deployment: counts, and the conditions Available, Progressing and ReplicaFailure. Pure.

Deployment conditions carry `lastUpdateTime` beside `lastTransitionTime`: the time of the last progress, from which
the progress deadline counts. Source: kubernetes (pkg/controller/deployment/progress.go, sync.go)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flowdeck.embedded.workloads.deployment.sizes import (
    replicas_of,
    status_total,
    surge_and_unavailable,
    total,
)
from flowdeck.kube.conditions import Condition
from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.times import format_time, parse_time

NO_DEADLINE = 2**31 - 1

FOUND_NEW_REPLICA_SET = "FoundNewReplicaSet"
NEW_REPLICA_SET_AVAILABLE = "NewReplicaSetAvailable"
NEW_REPLICA_SET_CREATED = "NewReplicaSetCreated"
FAILED_CREATE = "FailedCreate"
REPLICA_SET_UPDATED = "ReplicaSetUpdated"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"


def deadline_s(deployment: Tree) -> int | None:
    """Seconds without progress after which a rollout counts as failed; None: never."""
    value = deployment["spec"].get("progressDeadlineSeconds")
    return None if value is None or value == NO_DEADLINE else int(value)


@dataclass
class Conditions:
    """The conditions of one Deployment, being worked on."""

    items: list[Tree]
    now: datetime

    def find(self, type_: str) -> Tree | None:
        return next((item for item in self.items if item["type"] == type_), None)

    def reason(self, type_: str) -> str:
        return str((self.find(type_) or {}).get("reason", ""))

    def drop(self, type_: str) -> None:
        self.items = [item for item in self.items if item["type"] != type_]

    def set(self, wanted: Condition, *, progressed: bool = False) -> None:
        """Replaces the condition unless status and reason stand; `progressed`: its update time moves in any case."""
        old = self.find(wanted.type)
        if old and not progressed and (old["status"], old.get("reason")) == (wanted.status, wanted.reason):
            return
        now = format_time(self.now)
        same_status = old is not None and old["status"] == wanted.status
        new = {
            "type": wanted.type,
            "status": wanted.status,
            "lastUpdateTime": now,
            "lastTransitionTime": old["lastTransitionTime"] if old and same_status else now,
            "reason": wanted.reason,
            "message": wanted.message,
        }
        self.drop(wanted.type)
        self.items.append(new)


def conditions_of(deployment: Tree, now: datetime) -> Conditions:
    return Conditions(list(get_in(deployment, "status", "conditions", default=[])), now)


def note_pause(deployment: Tree, conditions: Conditions) -> None:
    """A paused rollout makes no progress, and its deadline does not run."""
    if deadline_s(deployment) is None or conditions.reason("Progressing") == TIMED_OUT:
        return
    is_paused = bool(deployment["spec"].get("paused"))
    was_paused = conditions.reason("Progressing") == PAUSED
    if is_paused and not was_paused:
        conditions.set(_progressing("Unknown", PAUSED, "Deployment is paused"))
    elif was_paused and not is_paused:
        conditions.set(_progressing("Unknown", RESUMED, "Deployment is resumed"))


def counts(deployment: Tree, new: Tree | None, old: Sequence[Tree]) -> Tree:
    """The numbers of the status; zeroes are left out, as the wire has it."""
    everything = [*old, *([new] if new else [])]
    available = status_total(everything, "availableReplicas")
    status: Tree = {
        "replicas": status_total(everything, "replicas"),
        "updatedReplicas": status_total([new] if new else [], "replicas"),
        "readyReplicas": status_total(everything, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total(everything) - available),
        "observedGeneration": deployment["metadata"].get("generation", 0),
    }
    status = {name: value for name, value in status.items() if value}
    status["terminatingReplicas"] = status_total(everything, "terminatingReplicas")
    if (collisions := get_in(deployment, "status", "collisionCount")) is not None:
        status["collisionCount"] = collisions
    return status


def note_availability(deployment: Tree, status: Tree, conditions: Conditions) -> None:
    minimum = replicas_of(deployment) - surge_and_unavailable(deployment)[1]
    if status.get("availableReplicas", 0) >= minimum:
        found = Condition(
            type="Available",
            status="True",
            reason="MinimumReplicasAvailable",
            message="Deployment has minimum availability.",
        )
    else:
        found = Condition(
            type="Available",
            status="False",
            reason="MinimumReplicasUnavailable",
            message="Deployment does not have minimum availability.",
        )
    conditions.set(found)


def note_progress(deployment: Tree, status: Tree, new: Tree | None, conditions: Conditions) -> None:
    """What a rollout has reached: complete, progressing, or too long without a step."""
    limit_s = deadline_s(deployment)
    if limit_s is None:
        conditions.drop("Progressing")
        return
    current = conditions.find("Progressing")
    settled = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if settled and current and current.get("reason") == NEW_REPLICA_SET_AVAILABLE:
        return
    subject = f'ReplicaSet "{new["metadata"]["name"]}"' if new else f'Deployment "{deployment["metadata"]["name"]}"'
    if is_complete(deployment, status):
        message = f"{subject} has successfully progressed."
        conditions.set(_progressing("True", NEW_REPLICA_SET_AVAILABLE, message))
    elif has_progressed(deployment.get("status") or {}, status):
        conditions.set(_progressing("True", REPLICA_SET_UPDATED, f"{subject} is progressing."), progressed=True)
    elif has_timed_out(current, limit_s, conditions.now):
        conditions.set(_progressing("False", TIMED_OUT, f"{subject} has timed out progressing."))


def note_failures(new: Tree | None, old: Sequence[Tree], conditions: Conditions) -> None:
    """Passes on what keeps a ReplicaSet from making pods, the new one's word first."""
    for rs in [*([new] if new else []), *old]:
        for found in get_in(rs, "status", "conditions", default=[]):
            if found["type"] == "ReplicaFailure":
                conditions.set(_failure(found))
                return
    conditions.drop("ReplicaFailure")


def is_complete(deployment: Tree, status: Tree) -> bool:
    """All pods are of the new template and available, and no others are left."""
    wanted = replicas_of(deployment)
    return all(status.get(name, 0) == wanted for name in ("updatedReplicas", "replicas", "availableReplicas")) and (
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    )


def has_progressed(before: Tree, after: Tree) -> bool:
    def old_pods(status: Tree) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    return old_pods(after) < old_pods(before) or any(
        after.get(name, 0) > before.get(name, 0) for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )


def has_timed_out(condition: Tree | None, limit_s: int, now: datetime) -> bool:
    if condition is None or condition.get("reason") == NEW_REPLICA_SET_AVAILABLE:
        return False
    if condition.get("reason") == TIMED_OUT:
        return True
    return parse_time(condition["lastUpdateTime"]) + timedelta(seconds=limit_s) < now


def time_to_deadline_s(deployment: Tree, status: Tree, conditions: Conditions) -> float | None:
    """When to look again whether the rollout is stuck; None when nothing is under way."""
    limit_s, current = deadline_s(deployment), conditions.find("Progressing")
    if limit_s is None or current is None or deployment["spec"].get("paused"):
        return None
    if current["reason"] in (TIMED_OUT, NEW_REPLICA_SET_AVAILABLE) or is_complete(deployment, status):
        return None
    passed_s = (conditions.now - parse_time(current["lastUpdateTime"])).total_seconds()
    return max(0.0, limit_s - passed_s) + 1


def _progressing(status: Any, reason: str, message: str) -> Condition:
    return Condition(type="Progressing", status=status, reason=reason, message=message)


def _failure(found: Tree) -> Condition:
    return Condition(
        type="ReplicaFailure",
        status=found["status"],
        reason=found.get("reason", ""),
        message=found.get("message", ""),
    )
