"""What instructions of the engine mean here: pods, claims, files; and what those say back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.components.pipelines.engine.events import (
    CacheAnswered,
    Event,
    Failed,
    Lost,
    Outputs,
    PodStarted,
    Succeeded,
)
from flowdeck.components.pipelines.engine.instructions import (
    AdoptPod,
    CreatePvc,
    DeletePvc,
    ImportArtifact,
    Instruction,
    LookUpCache,
    StartPod,
    StopPod,
)
from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.engine.states import HAS_POD, State
from flowdeck.components.pipelines.engine.task_run import TaskRun
from flowdeck.components.pipelines.runner import folders, pods
from flowdeck.components.pipelines.runner.outputs import BadOutput, outputs_of
from flowdeck.components.pipelines.runner.pods import LAUNCHER, RUN_LABEL, Place
from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.kube.errors import AlreadyExists, ApiError, InternalError, ServiceUnavailable, Timeout, TooManyRequests
from flowdeck.kube.kinds import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, POD
from flowdeck.kube.objects import ObjectKey, Tree, get_in, is_being_deleted, key_of, uid_of
from flowdeck.sql.database import Database

MANAGER = "flowdeck-pipelines"
_PASSING = (InternalError, ServiceUnavailable, Timeout, TooManyRequests)
"""Errors of the API server that say nothing about what was asked: the run is looked at again."""


@cache
def _launcher() -> str:
    """The program's text."""
    return Path(pods.__file__).with_name("launcher.py").read_text()


@dataclass(frozen=True, kw_only=True)
class Acts:
    """See the module's text."""

    client: Client
    clock: Clock
    database: Database
    artifacts: Path
    """The folder of the artifact store."""

    async def do(self, run: Run, state: RunState, instruction: Instruction) -> Sequence[Event]:
        """Carries one instruction out; gives what is known to have happened by then."""
        match instruction:
            case StartPod():
                return await self._start(run, state, instruction)
            case AdoptPod(task=task, pod_name=pod_name):
                return await self.seen(run, state, task, pod_name)
            case StopPod(task=task, pod_name=pod_name):
                await self.client.delete(POD, ObjectKey(run.namespace, pod_name), missing_ok=True)
                return await self.seen(run, state, task, pod_name)
            case LookUpCache():
                return [await self._look_up(run, instruction)]
            case ImportArtifact(task=task, attempt=attempt, artifact=artifact):
                outputs = Outputs(artifacts={"artifact": [artifact]})
                return [Succeeded(at=self._now(), cause="import", task=task, attempt=attempt, outputs=outputs)]
            case CreatePvc():
                return [await self._create_claim(run, instruction)]
            case DeletePvc():
                return [await self._delete_claim(run, instruction)]
        return []

    async def seen(self, run: Run, state: RunState, task_id: str, pod_name: str) -> Sequence[Event]:
        """What a pod says of its task's current attempt, as it is now."""
        task = state.active.get(task_id)
        if task is None or task.state not in HAS_POD:
            return []
        pod = await self.client.find(POD, ObjectKey(run.namespace, pod_name))
        if pod is None:
            return [self._lost(task, f"pod {pod_name} is gone")]
        cause = f"pod {pod_name} {pod['metadata']['resourceVersion']}"
        match get_in(pod, "status", "phase"):
            case "Succeeded":
                return [await self._ended_well(state, task, pod, cause)]
            case "Failed" if get_in(pod, "status", "reason") == "NodeLost":
                return [self._lost(task, f"the node of pod {pod_name} is gone")]
            case "Failed":
                return [self._failed(task, pods.failure_of(pod), cause)]
        if hopeless := pods.waiting_for(pod):
            await self.client.delete(POD, ObjectKey(run.namespace, pod_name), missing_ok=True)
            return [self._failed(task, f"pod {pod_name} cannot start: {hopeless}", cause)]
        if pods.has_started(pod) and task.state is State.STARTING and not is_being_deleted(pod):
            started = PodStarted(
                at=self._now(), cause=cause, task=task.id, attempt=task.attempt, pod=pod_name, uid=uid_of(pod)
            )
            return [started]
        return []

    async def stop_pods(self, run: ObjectKey) -> None:
        """Of a run that is no more."""
        for pod in (await self.client.list(POD, namespace=run.namespace, labels=f"{RUN_LABEL}={run.name}")).items:
            await self.client.delete(POD, key_of(pod), missing_ok=True)

    # ---- pods --------------------------------------------------------------------------------------------------

    async def _start(self, run: Run, state: RunState, start: StartPod) -> Sequence[Event]:
        place = Place(run.id, run.namespace, run.service_account, self.artifacts)
        await asyncio.to_thread(folders.lay_out, self._local(pods.folder_of(start)), pods.launch_document(start))
        try:
            await self._ensure_launcher(run.namespace)
            await self.client.create(POD, pods.pod_of(start, place))
        except AlreadyExists:
            # it was made before, and the run then read anew: it may have ended since
            return await self.seen(run, state, start.task, start.pod_name)
        except _PASSING:
            raise
        except ApiError as error:
            why = f"pod {start.pod_name} could not be made: {error.message}"
            return [Failed(at=self._now(), cause="create", task=start.task, attempt=start.attempt, message=why)]
        return []

    def _local(self, folder: str) -> Path:
        """Where the folder of a task is on this machine."""
        return self.artifacts / folder.removeprefix("/minio/")

    async def _ensure_launcher(self, namespace: str) -> None:
        """There, and of this version."""
        data = {"launcher.py": _launcher()}
        found = await self.client.find(CONFIG_MAP, ObjectKey(namespace, LAUNCHER))
        if get_in(found, "data") != data:
            meta = {"name": LAUNCHER, "namespace": namespace}
            obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
            await self.client.apply(CONFIG_MAP, obj, manager=MANAGER)

    async def _ended_well(self, state: RunState, task: TaskRun, pod: Tree, cause: str) -> Event:
        try:
            collected = await asyncio.to_thread(folders.outputs_in, self._local(pods.folder_in(pod)))
            outputs = outputs_of(task.task.component, state.announced(task), collected)
        except BadOutput as error:
            return self._failed(task, str(error), cause)
        return Succeeded(at=self._now(), cause=cause, task=task.id, attempt=task.attempt, outputs=outputs)

    def _failed(self, task: TaskRun, message: str, cause: str) -> Event:
        return Failed(at=self._now(), cause=cause, task=task.id, attempt=task.attempt, message=message)

    def _lost(self, task: TaskRun, message: str) -> Event:
        return Lost(at=self._now(), cause="gone", task=task.id, attempt=task.attempt, message=message)

    # ---- the rest ----------------------------------------------------------------------------------------------

    async def _look_up(self, run: Run, asked: LookUpCache) -> Event:
        found = await self.database.read(lambda connection: runs.cached(connection, run.namespace, asked.fingerprint))
        if found is None:
            why = "no earlier task had the same inputs, program and outputs"
            return CacheAnswered(at=self._now(), cause="cache", task=asked.task, attempt=asked.attempt, why=why)
        outputs = Outputs(
            {each.key: each.value for each in found.output_parameters},
            {each.key: each.artifacts for each in found.output_artifacts},
        )
        why = f"outputs of task {found.name} of run {found.run}"
        return CacheAnswered(
            at=self._now(), cause="cache", task=asked.task, attempt=asked.attempt, outputs=outputs, why=why
        )

    async def _create_claim(self, run: Run, asked: CreatePvc) -> Event:
        obj = {
            "apiVersion": "v1",
            "kind": PERSISTENT_VOLUME_CLAIM.kind,
            "metadata": {"name": asked.name, "namespace": run.namespace, "annotations": asked.annotations},
            "spec": asked.spec,
        }
        try:
            await self.client.create(PERSISTENT_VOLUME_CLAIM, obj)
        except AlreadyExists:
            pass
        except _PASSING:
            raise
        except ApiError as error:
            why = f"the claim {asked.name} could not be made: {error.message}"
            return Failed(at=self._now(), cause="claim", task=asked.task, attempt=asked.attempt, message=why)
        outputs = Outputs({"name": asked.name})
        return Succeeded(at=self._now(), cause="claim", task=asked.task, attempt=asked.attempt, outputs=outputs)

    async def _delete_claim(self, run: Run, asked: DeletePvc) -> Event:
        try:
            await self.client.delete(PERSISTENT_VOLUME_CLAIM, ObjectKey(run.namespace, asked.name))
        except _PASSING:
            raise
        except ApiError as error:
            why = f"the claim {asked.name} could not be deleted: {error.message}"
            return Failed(at=self._now(), cause="claim", task=asked.task, attempt=asked.attempt, message=why)
        return Succeeded(at=self._now(), cause="claim", task=asked.task, attempt=asked.attempt)

    def _now(self) -> float:
        return self.clock.now().timestamp()
