"""The component `jobset`: JobSets (`jobset.x-k8s.io`), for clusters that have no controller of their own for them."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from flowdeck.components.base import Context, Front, Right
from flowdeck.components.job_set.admission import RULES
from flowdeck.components.job_set.controller import JobSetController
from flowdeck.components.job_set.rights import RIGHTS
from flowdeck.controller.admission import AdmissionRule
from flowdeck.controller.contract import Controller
from flowdeck.controller.events import EventRecorder
from flowdeck.kube.job_set.types import job_set_definition
from flowdeck.kube.objects import Tree


class JobSets:
    """See `components.base.Component`."""

    name = "jobset"
    needs = ()

    def custom_resource_definitions(self) -> Sequence[Tree]:
        return (job_set_definition(),)

    def admission(self) -> Sequence[AdmissionRule]:
        return RULES

    def controllers(self, ctx: Context) -> Sequence[Controller]:
        events = EventRecorder(ctx.client, ctx.clock, "jobset")  # as upstream's controller reports
        return (JobSetController(client=ctx.client, clock=ctx.clock, events=events),)

    def servers(self, ctx: Context) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        return ()

    def objects(self) -> Sequence[Tree]:
        return ()

    def rights(self) -> Sequence[Right]:
        return RIGHTS

    def fronts(self) -> Sequence[Front]:
        return ()


COMPONENT = JobSets()
"""What the entry point `jobset` of the group `flowdeck.components` names."""
