"""The pods of tasks: how they are started, what they say, what is kept when they go."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import structlog

from flowdeck.artifacts.uris import parse_uri
from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.components.pipelines.engine.events import Event, Failed, Lost, PodStarted, Succeeded, Waits
from flowdeck.components.pipelines.engine.instructions import StartPod, StopPod
from flowdeck.components.pipelines.engine.launch import attempt_root
from flowdeck.components.pipelines.engine.launch import pod_name as name_of_pod
from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.engine.states import HAS_POD, State
from flowdeck.components.pipelines.engine.task_run import TaskRun
from flowdeck.components.pipelines.ir.types import PipelineConfig
from flowdeck.components.pipelines.runner import pods
from flowdeck.components.pipelines.runner.carrying import Carrying
from flowdeck.components.pipelines.runner.homes import Homes
from flowdeck.components.pipelines.runner.outputs import BadOutput, outputs_of
from flowdeck.components.pipelines.runner.pods import LAUNCHER, RUN_LABEL, Place
from flowdeck.components.pipelines.runner.providers import LauncherConfig
from flowdeck.components.pipelines.runner.workspaces import claim_name, claim_of
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.values.paths import local_path
from flowdeck.kube.errors import (
    AlreadyExists,
    ApiError,
    BadRequest,
    InternalError,
    NotFound,
    ServiceUnavailable,
    Timeout,
    TooManyRequests,
)
from flowdeck.kube.kinds import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, POD
from flowdeck.kube.objects import ObjectKey, Tree, get_in, is_being_deleted, key_of, uid_of

MANAGER: Final = "flowdeck-pipelines"
PASSING: Final = (InternalError, ServiceUnavailable, Timeout, TooManyRequests)
"""Errors of the API server that say nothing about what was asked: the run is looked at again."""
STOP_S: Final = 30
"""Grace of a pod that is stopped."""
LOG: Final = "executor-logs"
"""What a program wrote, beside what it made."""
LOG_BYTES: Final = 16 * 1024 * 1024
"""Of a log, that are kept."""
LOG_S: Final = 10
"""For the log of a pod that is stopped."""

log = structlog.get_logger()


@cache
def launcher_text() -> str:
    """The program's text."""
    return Path(pods.__file__).with_name("launcher.py").read_text()


@dataclass(frozen=True, kw_only=True)
class TaskPods:
    """See the module's text."""

    client: Client
    clock: Clock
    homes: Homes
    image: str
    """Of Flowdeck itself: what carries artifacts is started from it."""
    keep_s: tuple[int, int] = (0, 86400)
    """How long pods stay after success, and after a failure, where their pipeline does not say; in seconds."""

    async def start(self, run: Run, state: RunState, start: StartPod) -> Sequence[Event]:
        """Makes the pod, unless it is there."""
        try:
            config = await self.homes.config(run.namespace)
            made = pods.make(start, await self._place(run, state, start, config))
            home = await self.homes.home(run.namespace, pods.root_in(made.pod), config)
            await home.lay_out(made.launch)
            if made.has_launcher:
                await self._ensure_launcher(run.namespace)
            await self.client.create(POD, made.pod)
        except AlreadyExists:
            # it was made before, and the run then read anew: it may have ended since
            return await self.seen(run, state, start.task, start.pod_name)
        except PASSING:
            raise
        except ApiError as error:
            why = f"pod {start.pod_name} could not be made: {error.message}"
            return [Failed(at=self._now(), cause="create", task=start.task, attempt=start.attempt, message=why)]
        return []

    async def stop(self, run: Run, state: RunState, stop: StopPod) -> Sequence[Event]:
        """What it wrote is kept first: with the pod its log goes."""
        key = ObjectKey(run.namespace, stop.pod_name)
        pod = await self.client.find(POD, key)
        if pod is not None and not is_being_deleted(pod):
            task = state.active.get(stop.task)
            if task is not None and name_of_pod(state.run, task.id, task.attempt) == stop.pod_name:
                await self._try_to_keep_log(pod, _root(run, state, task))
            await self.client.delete(POD, key, grace_period_s=STOP_S, missing_ok=True)
        return await self.seen(run, state, stop.task, stop.pod_name)

    async def seen(self, run: Run, state: RunState, task_id: str, pod_name: str) -> Sequence[Event]:
        """What a pod says of its task's current attempt, as it is now."""
        task = state.active.get(task_id)
        if task is None or task.state not in HAS_POD or pod_name != name_of_pod(state.run, task.id, task.attempt):
            return []  # it is the pod of an earlier attempt
        pod = await self.client.find(POD, ObjectKey(run.namespace, pod_name))
        if pod is None:
            return [self._lost(task, f"pod {pod_name} is gone")]
        cause = f"pod {pod_name} {pod['metadata']['resourceVersion']}"
        began = self._began(task, pod, cause)
        match get_in(pod, "status", "phase"):
            case "Succeeded":
                return [*began, *await self._ended_well(run, state, task, pod, cause)]
            case "Failed" if get_in(pod, "status", "reason") == "NodeLost":
                return [self._lost(task, f"the node of pod {pod_name} is gone")]
            case "Failed":
                return [*began, self._failed(task, pods.failure_of(pod), cause)]
        return began or await self._waits(run, task, pod, cause)

    async def _waits(self, run: Run, task: TaskRun, pod: Tree, cause: str) -> Sequence[Event]:
        """That its program does not start, if that is news."""
        lack, key = pods.lack_of(pod), key_of(pod)
        if lack is None or task.state is not State.STARTING or is_being_deleted(pod):
            return []
        why = f"pod {key.name} cannot start: {lack.message}"
        if lack.until is not None and lack.until <= self._now():
            await self.client.delete(POD, ObjectKey(run.namespace, key.name), missing_ok=True)
            return [self._failed(task, why, cause)]
        if task.wake_at is not None or task.message == why:
            return []  # an image that is pulled again and again says why at first
        return [Waits(at=self._now(), cause=cause, task=task.id, attempt=task.attempt, message=why, until=lack.until)]

    def _began(self, task: TaskRun, pod: Tree, cause: str) -> list[Event]:
        """That its program runs or has run, if that is news."""
        if not pods.has_started(pod) or task.state is not State.STARTING or is_being_deleted(pod):
            return []
        name = key_of(pod).name
        return [PodStarted(at=self._now(), cause=cause, task=task.id, attempt=task.attempt, pod=name, uid=uid_of(pod))]

    async def remove_all(self, run: ObjectKey) -> None:
        """Of a run that is no more."""
        for pod in (await self.client.list(POD, namespace=run.namespace, labels=f"{RUN_LABEL}={run.name}")).items:
            await self.client.delete(POD, key_of(pod), missing_ok=True)
        await self.remove_workspace(run)

    async def _try_to_keep_log(self, pod: Tree, root: str) -> None:
        """Nothing keeps a pod from being stopped: neither its node nor the artifact store."""
        try:
            async with asyncio.timeout(LOG_S):
                await self.keep_log(pod, root)
        except (ApiError, OSError) as error:
            log.warning("the log of a task that is stopped was not kept", pod=str(key_of(pod)), error=str(error))

    async def keep_log(self, pod: Tree, root: str) -> None:
        """Beside what the pod makes, below `root`. A pod that wrote nothing has no log."""
        key = key_of(pod)
        path = f"/api/v1/namespaces/{key.namespace}/pods/{key.name}/log"
        query = {"container": pods.MAIN, "limitBytes": str(LOG_BYTES)}
        try:
            text = await self.client.raw("GET", path, query=query)
        except (BadRequest, NotFound):
            return
        home = await self.homes.home(key.namespace, root)
        await home.put(LOG, text)

    async def _place(self, run: Run, state: RunState, start: StartPod, config: LauncherConfig) -> Place:
        root, inputs = pods.root_of(start), pods.inputs_of(start)
        files = {
            uri: path for uri in (root, *inputs) if (path := self.homes.file(run.namespace, config, uri)) is not None
        }
        there = await asyncio.to_thread(lambda: {uri for uri, path in files.items() if uri == root or path.exists()})
        workspace = ""
        if start.uses_workspace:
            claim = claim_of(run, state.plan)
            workspace = claim["metadata"]["name"]
            await self._ensure(claim)
        return Place(
            run_id=run.id,
            namespace=run.namespace,
            service_account=run.service_account,
            folder=str(self.homes.artifacts.folder),
            files=frozenset(there),
            carrying=self._carrying(run, config, root, [uri for uri in (root, *inputs) if uri not in files]),
            workspace=workspace,
            query=_query(run),
            keep_s=self._keep_s(state.plan.config),
        )

    def _carrying(self, run: Run, config: LauncherConfig, root: str, uris: Sequence[str]) -> Carrying | None:
        """Of the URIs that are no files here; those that no store has are left to the program."""
        carried = []
        for uri in uris:
            try:
                carried.append(parse_uri(uri))
            except BadRequest:
                if uri == root:
                    raise
        if not carried:
            return None
        query = _query(run)
        return Carrying(
            image=self.image,
            root=root,
            brings=root in uris,
            providers={f"{at.scheme}://{at.bucket}": config.provider(at, query) for at in carried},
            folders=tuple(dict.fromkeys(local_path(str(at)).split("/")[1] for at in carried)),
        )

    def _keep_s(self, config: PipelineConfig) -> tuple[int, int]:
        always = config.resource_ttl_on_completion
        return (
            config.resource_ttl_on_success or always or self.keep_s[0],
            config.resource_ttl_on_failure or always or self.keep_s[1],
        )

    async def remove_workspace(self, run: ObjectKey) -> None:
        """Of a run that needs it no more."""
        claim = ObjectKey(run.namespace, claim_name(run.name))
        await self.client.delete(PERSISTENT_VOLUME_CLAIM, claim, missing_ok=True)

    async def _ensure(self, claim: Tree) -> None:
        try:
            await self.client.create(PERSISTENT_VOLUME_CLAIM, claim)
        except AlreadyExists:
            return

    async def _ensure_launcher(self, namespace: str) -> None:
        """There, and of this version."""
        data = {"launcher.py": launcher_text()}
        found = await self.client.find(CONFIG_MAP, ObjectKey(namespace, LAUNCHER))
        if get_in(found, "data") != data:
            meta = {"name": LAUNCHER, "namespace": namespace}
            obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
            await self.client.apply(CONFIG_MAP, obj, manager=MANAGER)

    async def _ended_well(self, run: Run, state: RunState, task: TaskRun, pod: Tree, cause: str) -> Sequence[Event]:
        component = task.task.component
        try:
            home = await self.homes.home(run.namespace, _root(run, state, task))
            left = await home.collected(component.output_parameters)
            if left is None and (why := pods.brought_badly(pod)):
                left = await home.collected(component.output_parameters)
                if left is None:
                    return [self._failed(task, why, cause)]
            if left is None:
                return []  # it is still being brought
            outputs = outputs_of(component, state.announced(task), left)
        except BadOutput as error:
            return [self._failed(task, str(error), cause)]
        except PASSING:
            raise
        except ApiError as error:
            return [self._failed(task, f"failed to read the outputs: {error.message}", cause)]
        return [Succeeded(at=self._now(), cause=cause, task=task.id, attempt=task.attempt, outputs=outputs)]

    def _failed(self, task: TaskRun, message: str, cause: str) -> Event:
        return Failed(at=self._now(), cause=cause, task=task.id, attempt=task.attempt, message=message)

    def _lost(self, task: TaskRun, message: str) -> Event:
        return Lost(at=self._now(), cause="gone", task=task.id, attempt=task.attempt, message=message)

    def _now(self) -> float:
        return self.clock.now().timestamp()


def root_of_attempt(run: Run, pipeline: str, name: str, label: str, number: int) -> str:
    """The URI below which an attempt's outputs lie, with the query of the pipeline root."""
    root, query = attempt_root(run.for_engine, pipeline, name, label, number), _query(run)
    return f"{root}?{query}" if query else root


def _root(run: Run, state: RunState, task: TaskRun) -> str:
    return root_of_attempt(run, state.plan.name, task.task.name, task.label, task.attempt)


def _query(run: Run) -> str:
    """What the run's pipeline root says of its bucket."""
    return run.for_engine.pipeline_root.partition("?")[2]
