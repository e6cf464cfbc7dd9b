"""Puts away pods that have ended: their logs are kept beside what they made, then they go."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.components.pipelines.runner.pods import (
    ATTEMPT_ANNOTATION,
    KEEP_ANNOTATION,
    MAIN,
    ROOT_ANNOTATION,
    RUN_LABEL,
    TASK_ANNOTATION,
)
from flowdeck.components.pipelines.runner.task_pods import TaskPods
from flowdeck.components.pipelines.store import runs
from flowdeck.controller.contract import DONE, Result, look_again_in
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import ObjectKey, Tree, annotations_of, get_in, is_being_deleted, labels_of
from flowdeck.kube.times import parse_time
from flowdeck.sql.database import Database

PREFIX: Final = "pod/"
"""Of the name in a key that is a pod's: keys without it are runs'."""


def key_of_pod(namespace: str, name: str) -> ObjectKey:
    return ObjectKey(namespace, PREFIX + name)


def has_ended(pod: Tree) -> bool:
    return get_in(pod, "status", "phase") in ("Succeeded", "Failed")


@dataclass(frozen=True, kw_only=True)
class EndedPods:
    """See the module's text."""

    client: Client
    clock: Clock
    database: Database
    pods: TaskPods

    async def put_away(self, key: ObjectKey) -> Result:
        """Only when it is written down how it ended; whoever does that asks again."""
        key = ObjectKey(key.namespace, key.name.removeprefix(PREFIX))
        pod = await self.client.find(POD, key)
        if pod is None or is_being_deleted(pod) or not has_ended(pod) or not await self._is_noted(pod):
            return DONE
        if get_in(pod, "status", "reason") != "NodeLost":
            await self.pods.keep_log(pod)
        left_s = _keep_s(pod) - (self.clock.now() - _ended_at(pod)).total_seconds()
        if left_s > 0:
            return look_again_in(left_s)
        await self.client.delete(POD, key, missing_ok=True)
        return DONE

    async def _is_noted(self, pod: Tree) -> bool:
        told = annotations_of(pod)
        if ROOT_ANNOTATION not in told:
            return False
        attempt = int(told[ATTEMPT_ANNOTATION])
        return await self.database.read(
            partial(runs.is_over, run_id=labels_of(pod)[RUN_LABEL], task_id=told[TASK_ANNOTATION], attempt=attempt)
        )


def _keep_s(pod: Tree) -> float:
    """How long it stays, as it was said when it was made: seconds after success, and after failure."""
    good, bad = annotations_of(pod)[KEEP_ANNOTATION].split(",")
    return float(good if get_in(pod, "status", "phase") == "Succeeded" else bad)


def _ended_at(pod: Tree) -> datetime:
    statuses = get_in(pod, "status", "containerStatuses") or []
    ends = [get_in(each, "state", "terminated", "finishedAt") for each in statuses if each["name"] == MAIN]
    return parse_time(ends[0] if ends and ends[0] else pod["metadata"]["creationTimestamp"])
