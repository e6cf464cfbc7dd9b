"""Puts away pods that have ended: their logs are kept beside what they made, then they go."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import Connection

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.components.pipelines.engine.launch import pod_name
from flowdeck.components.pipelines.runner.pods import KEEP_ANNOTATION, MAIN, RUN_LABEL, TASK_ANNOTATION
from flowdeck.components.pipelines.runner.task_pods import PASSING, TaskPods, root_of_attempt
from flowdeck.components.pipelines.store import runs
from flowdeck.controller.contract import DONE, Result, look_again_in
from flowdeck.kube.errors import ApiError, NotFound
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import ObjectKey, Tree, annotations_of, get_in, is_being_deleted, key_of, labels_of
from flowdeck.kube.times import parse_time
from flowdeck.sql.database import Database

log = structlog.get_logger()

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
        if pod is None or is_being_deleted(pod) or not has_ended(pod):
            return DONE
        root = await self._root_of_ended(pod)
        if root is None:
            return DONE
        if root and get_in(pod, "status", "reason") != "NodeLost":
            await self._keep_log(pod, root)
        left_s = self._keep_s(pod) - (self.clock.now() - _ended_at(pod)).total_seconds()
        if left_s > 0:
            return look_again_in(left_s)
        await self.client.delete(POD, key, missing_ok=True)
        return DONE

    async def _root_of_ended(self, pod: Tree) -> str | None:
        """Where its log is kept; None: its end is not written down yet, or it is none that was made here."""
        task = annotations_of(pod).get(TASK_ANNOTATION)
        if task is None:
            return None
        run, key = labels_of(pod)[RUN_LABEL], key_of(pod)
        return await self.database.read(lambda connection: _root_of_ended(connection, run, task, key))

    async def _keep_log(self, pod: Tree, root: str) -> None:
        """Whoever may not, or cannot, write where the run puts its artifacts does not keep the pod for that."""
        try:
            await self.pods.keep_log(pod, root)
        except PASSING:
            raise
        except ApiError as error:
            log.warning("the log of a task was not kept", pod=str(key_of(pod)), error=str(error))

    def _keep_s(self, pod: Tree) -> float:
        """How long it stays, as it was said when it was made: seconds after success, and after failure."""
        told = annotations_of(pod).get(KEEP_ANNOTATION, "").split(",")
        good, bad = map(float, told) if all(map(str.isdigit, told)) and len(told) == 2 else self.pods.keep_s
        return good if get_in(pod, "status", "phase") == "Succeeded" else bad


def _root_of_ended(connection: Connection, run_id: str, task_id: str, key: ObjectKey) -> str | None:
    """By the records, not by what the pod says of itself. Empty where no attempt is known that the pod is of: nobody
    would find its log.
    """
    try:
        run, record = runs.get(connection, run_id), runs.task(connection, run_id, task_id)
    except NotFound:
        return ""
    tries = {pod_name(run.for_engine, record.id, each.number): each for each in record.attempts}
    attempt = tries.get(key.name)
    if run.namespace != key.namespace or attempt is None:
        return ""
    if run.is_active and attempt.ended_at is None:
        return None
    pipeline = runs.document(connection, run.document).name
    return root_of_attempt(run, pipeline, record.name, record.label, attempt.number)


def _ended_at(pod: Tree) -> datetime:
    statuses = get_in(pod, "status", "containerStatuses") or []
    ends = [get_in(each, "state", "terminated", "finishedAt") for each in statuses if each["name"] == MAIN]
    return parse_time(ends[0] if ends and ends[0] else pod["metadata"]["creationTimestamp"])
