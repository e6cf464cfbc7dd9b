"""The controllers of Kubernetes' own workloads, in one list."""

from collections.abc import Callable, Sequence

from flowdeck.client.base import Client
from flowdeck.controller.clock import Clock
from flowdeck.controller.contract import Controller
from flowdeck.controller.events import Events
from flowdeck.embedded.workloads.daemon_set import DaemonSetController
from flowdeck.embedded.workloads.deployment.controller import DeploymentController
from flowdeck.embedded.workloads.endpoints.controller import EndpointsController
from flowdeck.embedded.workloads.endpoints.mirroring import EndpointsMirroringController
from flowdeck.embedded.workloads.job.back_off import BackOff
from flowdeck.embedded.workloads.job.controller import JobController, OrphanPodController
from flowdeck.embedded.workloads.job_set.controller import JobSetController
from flowdeck.embedded.workloads.replica_set import ReplicaSetController
from flowdeck.embedded.workloads.scheduler.controller import SchedulerController
from flowdeck.embedded.workloads.stateful_set.controller import StatefulSetController

Recorder = Callable[[str], Events]
"""Makes the event recorder of a component: `recorder("job-controller")`."""


def controllers(client: Client, clock: Clock, recorder: Recorder, *, job_back_off: BackOff) -> Sequence[Controller]:
    """What kube-controller-manager, kube-scheduler and the JobSet controller do on a real cluster."""
    return (
        JobController(client=client, clock=clock, events=recorder("job-controller"), back_off=job_back_off),
        OrphanPodController(client=client),
        SchedulerController(client=client, clock=clock, events=recorder("default-scheduler")),
        JobSetController(client=client, clock=clock, events=recorder("jobset")),
        ReplicaSetController(client, clock, recorder("replicaset-controller")),
        DeploymentController(client, clock, recorder("deployment-controller")),
        StatefulSetController(client, clock, recorder("statefulset-controller")),
        DaemonSetController(client, clock, recorder("daemonset-controller")),
        EndpointsController(client),
        EndpointsMirroringController(client),
    )
