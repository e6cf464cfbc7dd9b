"""The controllers of Kubernetes' own workloads, in one list."""

from collections.abc import Callable, Sequence
from pathlib import Path

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import Controller
from flowdeck.controller.events import Events
from flowdeck.embedded.apiserver.pki import Pki
from flowdeck.embedded.apiserver.registry import Registry
from flowdeck.embedded.store.store import Store
from flowdeck.embedded.workloads.certificate_signer import CertificateSigner
from flowdeck.embedded.workloads.cluster_role_aggregation import ClusterRoleAggregationController
from flowdeck.embedded.workloads.cron_job.controller import CronJobController
from flowdeck.embedded.workloads.custom_kind_cleanup import CustomKindCleanup
from flowdeck.embedded.workloads.daemon_set.controller import DaemonSetController
from flowdeck.embedded.workloads.deployment.controller import DeploymentController
from flowdeck.embedded.workloads.endpoints.controller import EndpointsController
from flowdeck.embedded.workloads.endpoints.mirroring import EndpointsMirroringController
from flowdeck.embedded.workloads.garbage_collection import GarbageCollector
from flowdeck.embedded.workloads.horizontal_pod_autoscaler.controller import HorizontalPodAutoscalerController
from flowdeck.embedded.workloads.horizontal_pod_autoscaler.metrics import MetricsApi
from flowdeck.embedded.workloads.job.back_off import BackOff
from flowdeck.embedded.workloads.job.controller import JobController, OrphanPodController
from flowdeck.embedded.workloads.namespaces import NamespaceController
from flowdeck.embedded.workloads.node_life_cycle import NodeLifeCycleController
from flowdeck.embedded.workloads.persistent_volumes.claims import ClaimController
from flowdeck.embedded.workloads.persistent_volumes.folders import Folders
from flowdeck.embedded.workloads.persistent_volumes.protection import (
    ClaimProtectionController,
    EphemeralVolumeController,
)
from flowdeck.embedded.workloads.persistent_volumes.volumes import VolumeController
from flowdeck.embedded.workloads.pod_disruption_budget.controller import PodDisruptionBudgetController
from flowdeck.embedded.workloads.pod_garbage_collection import EndedPodController, LostNodeController
from flowdeck.embedded.workloads.replica_set import ReplicaSetController
from flowdeck.embedded.workloads.resource_quota import ResourceQuotaController
from flowdeck.embedded.workloads.scheduler.controller import SchedulerController
from flowdeck.embedded.workloads.service_accounts import ServiceAccountController
from flowdeck.embedded.workloads.stateful_set.controller import StatefulSetController
from flowdeck.embedded.workloads.ttl_after_finished import TtlAfterFinishedController
from flowdeck.kube.kinds import CONTROLLER_REVISION, REPLICATION_CONTROLLER

Recorder = Callable[[str], Events]
"""Makes the event recorder of a component: `recorder("job-controller")`."""


CACHED = (CONTROLLER_REVISION,)
"""Kinds that these controllers read often without watching them: the manager shall cache them, too."""


def controllers(
    client: Client,
    clock: Clock,
    recorder: Recorder,
    *,
    store: Store,
    registry: Registry,
    keys: Pki,
    job_back_off: BackOff,
    volumes: Path,
) -> Sequence[Controller]:
    """What kube-controller-manager and kube-scheduler do on a real cluster.

    `keys` has the cluster's authority, `volumes` is the folder for the volumes of the class `standard`.
    """
    folders = Folders(volumes)
    collector_events = recorder("garbage-collector-controller")
    return (
        NamespaceController(client=client, clock=clock, store=store, registry=registry),
        CustomKindCleanup(client=client, clock=clock),
        ServiceAccountController(client=client, root_ca=keys.ca.read_text()),
        ClusterRoleAggregationController(client=client),
        CertificateSigner(client=client, clock=clock, authority=keys.authority),
        GarbageCollector(client=client, events=collector_events, store=store, registry=registry),
        JobController(client=client, clock=clock, events=recorder("job-controller"), back_off=job_back_off),
        OrphanPodController(client=client),
        CronJobController(client=client, clock=clock, events=recorder("cronjob-controller")),
        TtlAfterFinishedController(client=client, clock=clock),
        SchedulerController(client=client, clock=clock, events=recorder("default-scheduler")),
        NodeLifeCycleController(client=client, clock=clock, events=recorder("node-controller")),
        LostNodeController(client=client, clock=clock),
        EndedPodController(client=client, clock=clock),
        ReplicaSetController(client=client, clock=clock, events=recorder("replicaset-controller")),
        ReplicaSetController(
            client=client, clock=clock, events=recorder("replication-controller"), kind=REPLICATION_CONTROLLER
        ),
        DeploymentController(client=client, clock=clock, events=recorder("deployment-controller")),
        StatefulSetController(client=client, clock=clock, events=recorder("statefulset-controller")),
        DaemonSetController(client=client, clock=clock, events=recorder("daemonset-controller")),
        EndpointsController(client=client),
        EndpointsMirroringController(client=client),
        ClaimController(client=client, events=recorder("persistentvolume-controller"), folders=folders),
        VolumeController(client=client, clock=clock, events=recorder("persistentvolume-controller"), folders=folders),
        ClaimProtectionController(client=client),
        EphemeralVolumeController(client=client, events=recorder("ephemeral_volume")),
        ResourceQuotaController(client=client),
        PodDisruptionBudgetController(client=client, clock=clock, events=recorder("controllermanager")),
        HorizontalPodAutoscalerController(
            client=client, clock=clock, events=recorder("horizontal-pod-autoscaler"), metrics=MetricsApi(client)
        ),
    )
