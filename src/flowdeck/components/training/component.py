"""The component `training`: Trainer v2 (`trainer.kubeflow.org`)."""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from flowdeck.components.base import Context, Front, Right
from flowdeck.components.training import admission
from flowdeck.components.training.children import Children
from flowdeck.components.training.controller import RuntimeController, TrainJobController
from flowdeck.components.training.definitions import definitions
from flowdeck.components.training.draft import Plugin
from flowdeck.components.training.frameworks import all_frameworks
from flowdeck.components.training.gang import GANGS
from flowdeck.components.training.metrics import Phases
from flowdeck.components.training.objects import shipped_objects
from flowdeck.components.training.pod_trouble import PodTroubleController
from flowdeck.components.training.progress import Progress
from flowdeck.components.training.progress_server import FRONT, ProgressServer, certificates_in
from flowdeck.components.training.rights import RIGHTS
from flowdeck.components.training.settings import PROGRESS_URL, TrainingSettings
from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME, TRAINING_RUNTIME
from flowdeck.controller.admission import AdmissionRule
from flowdeck.controller.contract import Controller
from flowdeck.kube.objects import Tree


class Training:
    """See `components.base.Component`."""

    name = "training"
    needs = ("jobset",)

    def custom_resource_definitions(self) -> Sequence[Tree]:
        return definitions()

    def admission(self) -> Sequence[AdmissionRule]:
        return admission.rules((*all_frameworks(), *GANGS))

    def controllers(self, ctx: Context) -> Sequence[Controller]:
        return (
            TrainJobController(
                client=ctx.client,
                clock=ctx.clock,
                events=ctx.events,
                children=Children(client=ctx.client, plugins=_plugins(ctx.settings)),
                phases=Phases(),
            ),
            PodTroubleController(client=ctx.client, events=ctx.events),
            RuntimeController(client=ctx.client, kind=TRAINING_RUNTIME),
            RuntimeController(client=ctx.client, kind=CLUSTER_TRAINING_RUNTIME),
        )

    def servers(self, ctx: Context) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        if not ctx.settings.serves_progress:
            return ()
        server = ProgressServer(client=ctx.client, clock=ctx.clock, settings=ctx.settings, publish=ctx.publish)
        return (server.run,)

    def objects(self) -> Sequence[Tree]:
        return shipped_objects()

    def rights(self) -> Sequence[Right]:
        return RIGHTS

    def fronts(self) -> Sequence[Front]:
        return (FRONT,)


def _plugins(settings: TrainingSettings) -> Sequence[Plugin]:
    plugins = (*all_frameworks(), *GANGS)
    if settings.serves_progress and settings.tls_authority:
        return (*plugins, Progress(url=PROGRESS_URL, authority=partial(certificates_in, settings.tls_authority)))
    return plugins


COMPONENT = Training()
"""What the entry point `training` of the group `flowdeck.components` names."""
