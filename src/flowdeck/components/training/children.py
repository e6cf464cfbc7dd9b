"""Writes what a TrainJob wants: the one place where its children are created and changed."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowdeck.client.base import Client
from flowdeck.components.training.draft import Plugin, Wanted
from flowdeck.components.training.merge import build
from flowdeck.components.training.runtime_types import runtime_of
from flowdeck.components.training.snapshot import read_snapshot, snapshot_key, snapshot_of
from flowdeck.components.training.types import RUNTIME_KINDS, TrainJob
from flowdeck.kube.errors import AlreadyExists, Conflict
from flowdeck.kube.kinds import CONFIG_MAP, JOB_SET, SECRET
from flowdeck.kube.objects import ObjectKey, Tree, get_in, is_controlled_by, owner_reference

MANAGER = "trainer"
"""Field manager of everything written here."""


@dataclass(frozen=True, kw_only=True)
class Children:
    """The objects that TrainJobs own."""

    client: Client
    plugins: Sequence[Plugin]

    async def bring_about(self, tree: Tree, job: TrainJob) -> None:
        """Creates what is missing and, while the job is suspended, changes what differs. Raises the `ApiError`."""
        runtime = runtime_of(await self._runtime(tree, job))
        has_job_set = await self.client.find(JOB_SET, job.key) is not None
        for wanted in build(job, runtime, self.plugins).objects:
            if wanted.kind == SECRET:  # never read: on a cluster we may not, and keys must not change anyway
                if not has_job_set:
                    await self._make(wanted, tree)
                continue
            existing = await self.client.find(wanted.kind, wanted.key)
            if existing is not None and not is_controlled_by(existing, tree):
                raise _clash(wanted, tree)
            if existing is None or _may_change(wanted, existing, job):
                await self._write(wanted, existing, tree)

    async def _runtime(self, tree: Tree, job: TrainJob) -> Tree:
        """The runtime as the snapshot has it; the live one the first time, of which a snapshot is taken."""
        held = await self.client.find(CONFIG_MAP, snapshot_key(job))
        if held is not None:
            return read_snapshot(held, job, tree)
        ref = job.spec.runtime_ref
        kind = RUNTIME_KINDS[ref.kind]
        runtime = await self.client.get(kind, ObjectKey(job.metadata.namespace if kind.namespaced else "", ref.name))
        await self.client.apply(CONFIG_MAP, snapshot_of(runtime, job, tree), manager=MANAGER)
        return runtime

    async def _make(self, wanted: Wanted, owner: Tree) -> None:
        """Creates it; that it is there already, from an attempt before, is as good."""
        obj = wanted.make()
        obj["metadata"]["ownerReferences"] = [owner_reference(owner)]
        with contextlib.suppress(AlreadyExists):
            await self.client.create(wanted.kind, obj)

    async def _write(self, wanted: Wanted, existing: Tree | None, owner: Tree) -> None:
        obj = wanted.make()
        if existing is not None and not wanted.while_suspended and is_within(obj, existing):
            return
        obj["metadata"]["ownerReferences"] = [owner_reference(owner)]
        await self.client.apply(wanted.kind, obj, manager=MANAGER)


def _may_change(wanted: Wanted, existing: Tree, job: TrainJob) -> bool:
    if not wanted.while_suspended:
        return True
    is_held = wanted.kind == JOB_SET and bool(get_in(existing, "spec", "suspend"))
    return job.is_suspended or is_held


def is_within(wanted: Any, existing: Any) -> bool:
    """Whether applying `wanted` would change nothing: all that it says, `existing` says too."""
    if isinstance(wanted, dict):
        return isinstance(existing, dict) and all(
            key in existing and is_within(value, existing[key]) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(existing, list)
            and len(wanted) == len(existing)
            and all(is_within(mine, theirs) for mine, theirs in zip(wanted, existing, strict=True))
        )
    return bool(wanted == existing)


def _clash(wanted: Wanted, owner: Tree) -> Conflict:
    name = owner["metadata"]["name"]
    return Conflict(
        f'{wanted.kind.resource} "{wanted.key.name}" already exists and is not controlled by TrainJob "{name}"'
    )
