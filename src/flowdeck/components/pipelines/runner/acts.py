"""What instructions of the engine mean here: pods, claims, files; and what those say back."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.components.pipelines.caching import Cache
from flowdeck.components.pipelines.engine.events import Event, Failed, Outputs, Succeeded
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
from flowdeck.components.pipelines.engine.task_run import stable_id
from flowdeck.components.pipelines.runner.ended_pods import EndedPods
from flowdeck.components.pipelines.runner.task_pods import PASSING, TaskPods
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.values.texts import json_text
from flowdeck.kube.errors import AlreadyExists, ApiError
from flowdeck.kube.kinds import PERSISTENT_VOLUME_CLAIM
from flowdeck.kube.objects import ObjectKey
from flowdeck.sql.database import Database


@dataclass(frozen=True, kw_only=True)
class Acts:
    """See the module's text."""

    client: Client
    clock: Clock
    database: Database
    pods: TaskPods
    ended_pods: EndedPods
    cache: Cache

    async def do(self, run: Run, state: RunState, instruction: Instruction) -> Sequence[Event]:
        """Carries one instruction out; gives what is known to have happened by then."""
        match instruction:
            case StartPod():
                return await self.pods.start(run, state, instruction)
            case AdoptPod(task=task, pod_name=pod_name):
                return await self.pods.seen(run, state, task, pod_name)
            case StopPod():
                return await self.pods.stop(run, state, instruction)
            case LookUpCache():
                return [await self.cache.answer(run, state, instruction)]
            case ImportArtifact():
                return [self._import(run, state, instruction)]
            case CreatePvc():
                return [await self._create_claim(run, instruction)]
            case DeletePvc():
                return [await self._delete_claim(run, instruction)]
        return []

    def _import(self, run: Run, state: RunState, asked: ImportArtifact) -> Event:
        """Without `reimport` it is the same artifact, by its id, as any of this pipeline that says the same."""
        artifact = asked.artifact
        if not asked.reimport:
            content = json_text(
                [
                    artifact.uri,
                    artifact.type.schema_title,
                    artifact.type.schema_version,
                    artifact.type.instance_schema,
                    artifact.metadata,
                ]
            )
            artifact = replace(artifact, id=stable_id(f"{run.namespace}/{state.plan.name}", content))
        outputs = Outputs(artifacts={"artifact": [artifact]})
        return Succeeded(at=self._now(), cause="import", task=asked.task, attempt=asked.attempt, outputs=outputs)

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
        except PASSING:
            raise
        except ApiError as error:
            why = f"the claim {asked.name} could not be made: {error.message}"
            return Failed(at=self._now(), cause="claim", task=asked.task, attempt=asked.attempt, message=why)
        outputs = Outputs({"name": asked.name})
        return Succeeded(at=self._now(), cause="claim", task=asked.task, attempt=asked.attempt, outputs=outputs)

    async def _delete_claim(self, run: Run, asked: DeletePvc) -> Event:
        try:
            await self.client.delete(PERSISTENT_VOLUME_CLAIM, ObjectKey(run.namespace, asked.name))
        except PASSING:
            raise
        except ApiError as error:
            why = f"the claim {asked.name} could not be deleted: {error.message}"
            return Failed(at=self._now(), cause="claim", task=asked.task, attempt=asked.attempt, message=why)
        return Succeeded(at=self._now(), cause="claim", task=asked.task, attempt=asked.attempt)

    def _now(self) -> float:
        return self.clock.now().timestamp()
