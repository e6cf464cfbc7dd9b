"""The component `pipelines`: Kubeflow Pipelines v2."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from flowdeck.components.base import Context, Front, Right
from flowdeck.components.pipelines import admission
from flowdeck.components.pipelines.kinds import definitions
from flowdeck.components.pipelines.late import EMPTY_S, ENDS, LEFTOVERS, RECURRING_RUNS, RUNS, Late, LateRuns
from flowdeck.components.pipelines.objects import shipped_objects
from flowdeck.components.pipelines.rights import RIGHTS
from flowdeck.components.pipelines.server import FRONT, PipelinesServer
from flowdeck.controller.admission import AdmissionRule
from flowdeck.controller.contract import Controller
from flowdeck.kube.objects import Tree


class Pipelines:
    """See `components.base.Component`."""

    name = "pipelines"
    needs = ()

    def custom_resource_definitions(self) -> Sequence[Tree]:
        return definitions()

    def admission(self) -> Sequence[AdmissionRule]:
        return admission.rules()

    def controllers(self, ctx: Context) -> Sequence[Controller]:
        """None of them loads SQL before it has something to do."""
        retention = Late(ctx, "pipeline-retention", LEFTOVERS, "flowdeck.components.pipelines.retention.made", EMPTY_S)
        return (
            LateRuns(ctx, "pipeline-run", RUNS, "flowdeck.components.pipelines.runner.made"),
            Late(ctx, "recurring-run", RECURRING_RUNS, "flowdeck.components.pipelines.schedules.made"),
            Late(ctx, "pipeline-run-end", ENDS, "flowdeck.components.pipelines.ends.made"),
            *((retention,) if ctx.settings.retention.is_wanted else ()),
        )

    def servers(self, ctx: Context) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        return (PipelinesServer(ctx).run,)

    def objects(self) -> Sequence[Tree]:
        return shipped_objects()

    def rights(self) -> Sequence[Right]:
        return RIGHTS

    def fronts(self) -> Sequence[Front]:
        return (FRONT,)


COMPONENT = Pipelines()
"""What the entry point `pipelines` of the group `flowdeck.components` names."""
