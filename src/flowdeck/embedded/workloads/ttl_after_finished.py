"""Deletes finished Jobs, and what is theirs, when `ttlSecondsAfterFinished` is over.

Source: Kubernetes (pkg/controller/ttlafterfinished).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Result, look_again_in
from flowdeck.kube.conditions import find_condition, finished_type
from flowdeck.kube.kinds import JOB
from flowdeck.kube.objects import Kind, ObjectKey, get_in, is_being_deleted, uid_of
from flowdeck.kube.times import parse_time


@dataclass(frozen=True, kw_only=True)
class TtlAfterFinishedController:
    client: Client
    clock: Clock
    name: str = "ttl-after-finished"
    kind: Kind = JOB
    watches: Sequence[Maps] = ()

    async def reconcile(self, key: ObjectKey) -> Result:
        job = await self.client.find(JOB, key)
        ttl_s = get_in(job, "spec", "ttlSecondsAfterFinished")
        if job is None or ttl_s is None or is_being_deleted(job):
            return DONE
        end = find_condition(job, finished_type(job))
        if end is None:
            return DONE
        left = parse_time(end["lastTransitionTime"]) + timedelta(seconds=ttl_s) - self.clock.now()
        if left > timedelta(0):
            return look_again_in(left.total_seconds())
        await self.client.delete(JOB, key, propagation="Foreground", uid=uid_of(job), missing_ok=True)
        return DONE
