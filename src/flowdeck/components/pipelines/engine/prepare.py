"""What a task needs for its turn: inputs, a name for the cache, the instruction that carries it out."""

from flowdeck.components.pipelines.engine import launch
from flowdeck.components.pipelines.engine.fingerprint import Fingerprint, fingerprint, key_fingerprint
from flowdeck.components.pipelines.engine.inputs import Reader, task_artifacts, task_parameters
from flowdeck.components.pipelines.engine.instructions import (
    CreatePvc,
    DeletePvc,
    ImportArtifact,
    LookUpCache,
    StartPod,
)
from flowdeck.components.pipelines.engine.run import Run
from flowdeck.components.pipelines.engine.task_run import TaskRun
from flowdeck.components.pipelines.plan import types as plan_types
from flowdeck.components.pipelines.plan.types import Container, Importer, Plan
from flowdeck.components.pipelines.values.artifacts import Artifact

Begin = StartPod | ImportArtifact | CreatePvc | DeletePvc
"""What carries an attempt out."""


class Preparation:
    """Prepares the tasks of one run; changes nothing but their inputs."""

    def __init__(self, run: Run, plan: Plan) -> None:
        self.plan = plan
        self._run = run
        self._constants = launch.run_constants(run)

    def take_inputs(self, task: TaskRun) -> None:
        """Raises `InputError`."""
        reader = self._reader(task)
        task.parameters = task_parameters(task.task, reader, self._constants_of(task))
        task.artifacts = task_artifacts(task.task, reader)

    def fingerprint(self, task: TaskRun) -> Fingerprint:
        """With an empty digest when the cache has no part in this; raises `InputError`."""
        use, body = task.task, task.task.component.body
        has_fixed_name = isinstance(body, plan_types.CreatePvc) and bool(task.parameters.get("pvc_name"))
        if not self._run.options.caching or not use.cache or not (isinstance(body, Container) or has_fixed_name):
            return Fingerprint("", {})
        if use.cache_key:
            return key_fingerprint(use.component.name, use.cache_key)
        asked = launch.platform(task, self._reader(task))
        image = launch.image_of(task, body, self._constants_of(task)) if isinstance(body, Container) else "createpvc"
        return fingerprint(use.component, task.parameters, task.artifacts, asked, image)

    def look_up(self, task: TaskRun, cause: str) -> LookUpCache:
        return LookUpCache(
            cause=cause,
            task=task.id,
            attempt=task.attempt,
            fingerprint=task.fingerprint,
            parts=dict(task.fingerprint_parts),
        )

    def instruction(self, task: TaskRun, cause: str) -> Begin:
        """What carries the current attempt out; raises `InputError`."""
        constants = self._constants_of(task)
        match task.task.component.body:
            case Container():
                asked = launch.platform(task, self._reader(task))
                return launch.start_pod(self._run, self.plan, task, constants, asked, cause)
            case Importer():
                return launch.import_artifact(self._run, task, constants, cause)
            case plan_types.CreatePvc():
                return launch.create_pvc(self._run, task, cause)
        return launch.delete_pvc(task, cause)

    def announced(self, task: TaskRun) -> dict[str, list[Artifact]]:
        """The artifacts that its current attempt is to make."""
        if not task.task.component.output_artifacts:
            return {}
        if isinstance(task.task.component.body, Importer):
            imported = launch.import_artifact(self._run, task, self._constants_of(task), "")
            return {name: [imported.artifact] for name in task.task.component.output_artifacts}
        return launch.announced(self._run, self.plan, task)

    def _reader(self, task: TaskRun) -> Reader:
        """Of the dag that it stands in."""
        dag = task.parent
        if dag is not None and dag.is_loop:
            dag = dag.parent
        assert dag is not None
        return Reader(dag, self._run.options.success_word, self._run.resource_name)

    def _constants_of(self, task: TaskRun) -> dict[str, str]:
        return launch.task_constants(self._constants, task.task.name, task.id)
