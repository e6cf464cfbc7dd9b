"""Which rules each built-in kind has: the table that joins kinds with their defaults and validation."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.builtin import jobs
from flowdeck.embedded.apiserver.builtin.addresses import ServiceAddresses
from flowdeck.embedded.apiserver.builtin.defaults import (
    admission,
    apps,
    autoscaling,
    batch,
    core,
    pods,
    rbac,
    services,
    storage,
)
from flowdeck.embedded.apiserver.builtin.definitions import Names
from flowdeck.embedded.apiserver.builtin.pods import complete_pod_status, set_pod_status
from flowdeck.embedded.apiserver.builtin.strategy import Rules, Validate, ValidateUpdate
from flowdeck.embedded.apiserver.builtin.validation import admission as admission_rules
from flowdeck.embedded.apiserver.builtin.validation import batch as batch_rules
from flowdeck.embedded.apiserver.builtin.validation import core as core_rules
from flowdeck.embedded.apiserver.builtin.validation import definitions as definition_rules
from flowdeck.embedded.apiserver.builtin.validation import pods as pod_rules
from flowdeck.embedded.apiserver.builtin.validation import policy as policy_rules
from flowdeck.embedded.apiserver.builtin.validation import services as service_rules
from flowdeck.embedded.apiserver.builtin.validation import storage as storage_rules
from flowdeck.embedded.apiserver.builtin.validation import workloads
from flowdeck.embedded.apiserver.contract import Storage
from flowdeck.kube.kinds import CUSTOM_RESOURCE_DEFINITION
from flowdeck.kube.names import NameRule, dns_label, dns_subdomain, path_segment
from flowdeck.kube.objects import Kind, Tree


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """What strategies need of the world."""

    addresses: ServiceAddresses
    """Gives Services their cluster IPs and node ports."""
    storage: Storage
    """For the names that other definitions of custom kinds have."""
    clock: Clock


def rules_of(kind: Kind, dependencies: Dependencies, *, has_status: bool) -> Rules:
    """The rules of a kind; a kind that is not in the table has those that all share."""
    rules = _RULES.get(f"{kind.plural}.{kind.group}/{kind.version}") or _RULES.get(kind.resource) or _PLAIN
    if kind.resource == "services":
        rules = replace(rules, on_create=dependencies.addresses.give, on_update=dependencies.addresses.change)
    if kind.resource == "persistentvolumes":
        phases = storage.Phases(dependencies.clock)
        rules = replace(rules, on_create=phases.first, on_status=phases.changed)
    if kind == CUSTOM_RESOURCE_DEFINITION:
        names = Names(dependencies.storage, dependencies.clock)
        rules = replace(rules, on_create=names.new, on_update=names.changed)
    return replace(rules, keeps_status=has_status)


_PLAIN = Rules(name=dns_subdomain)


def _counted(name: NameRule = dns_subdomain, *, zero: tuple[str, ...] = (), **rules: Any) -> Rules:
    """A kind with generations; `zero` are the counts that upstream writes into a fresh status as 0."""
    rules.setdefault("initial_status", dict.fromkeys(zero, 0) or None)
    return Rules(name=name, counts_generations=True, **rules)


def _workload(
    default: Callable[[Tree], None],
    validate: Validate,
    update: ValidateUpdate | None = None,
    *,
    zero: tuple[str, ...] = (),
) -> Rules:
    """A kind with a pod template at `spec.template`."""
    return _counted(
        zero=zero,
        default=default,
        validate=validate,
        validate_update=update,
        validates_first=True,
        warnings=workloads.template_warnings("spec", "template"),
    )


_CORE = {
    "namespaces": Rules(
        name=dns_label,
        default=core.default_namespace,
        on_create=core.set_namespace_finalizer,
        on_update=core.keep_namespace_spec,
        validate_status=core_rules.validate_namespace_status,
    ),
    "pods": _counted(
        default=pods.default_pod,
        validate=pod_rules.validate_pod,
        validate_create=pod_rules.validate_new_pod,
        validate_update=pod_rules.validate_pod_update,
        validates_first=True,
        warnings=pod_rules.pod_warnings,
        on_create=set_pod_status,
        on_status=complete_pod_status,
        status_keeps=("ownerReferences",),
    ),
    "podtemplates": _counted(default=apps.default_pod_template_object, validate=workloads.validate_pod_template_object),
    "replicationcontrollers": _workload(
        apps.default_replication_controller, workloads.validate_replication_controller, zero=("replicas",)
    ),
    "services": Rules(
        name=dns_label,
        default=services.default_service,
        validate=service_rules.validate_service,
        validate_update=service_rules.validate_service_update,
        warnings=service_rules.service_warnings,
        initial_status={"loadBalancer": {}},
    ),
    "endpoints": Rules(name=dns_subdomain, default=core.default_endpoints, validate=service_rules.validate_endpoints),
    "configmaps": Rules(
        name=dns_subdomain,
        validate=core_rules.validate_config_map,
        validate_update=core_rules.validate_config_map_update,
    ),
    "secrets": Rules(
        name=dns_subdomain,
        default=core.default_secret,
        validate=core_rules.validate_secret,
        validate_update=core_rules.validate_secret_update,
    ),
    "limitranges": Rules(
        name=dns_subdomain, default=core.default_limit_range, validate=core_rules.validate_limit_range
    ),
    "resourcequotas": Rules(
        name=dns_subdomain,
        validate=core_rules.validate_quota,
        validate_update=core_rules.validate_quota_update,
        validate_status=core_rules.validate_quota_status,
    ),
    "persistentvolumes": Rules(
        name=dns_subdomain,
        default=core.default_persistent_volume,
        validate=storage_rules.validate_volume,
        validate_update=storage_rules.validate_volume_update,
        initial_status={"phase": "Pending"},
    ),
    "persistentvolumeclaims": Rules(
        name=dns_subdomain,
        on_create=storage.protect("kubernetes.io/pvc-protection"),
        default=core.default_persistent_volume_claim,
        validate=storage_rules.validate_claim,
        validate_update=storage_rules.validate_claim_update,
        initial_status={"phase": "Pending"},
    ),
    "nodes": Rules(
        name=dns_subdomain,
        default=core.default_node,
        on_create=core.taint_new_node,
        validate=core_rules.validate_node,
        validate_update=core_rules.validate_node_update,
        creator_sets_status=True,
    ),
    "events": Rules(
        name=dns_subdomain,
        on_create=core.complete_event,
        on_update=lambda event, _: core.complete_event(event),
        validate=core_rules.validate_event,
    ),
    "events.events.k8s.io": Rules(name=dns_subdomain, validate=core_rules.validate_event_v1),
    "leases.coordination.k8s.io": Rules(name=dns_subdomain, validate=core_rules.validate_lease),
    "priorityclasses.scheduling.k8s.io": _counted(
        default=storage.default_priority_class,
        validate=core_rules.validate_priority_class,
        validate_update=core_rules.validate_priority_class_update,
    ),
    "runtimeclasses.node.k8s.io": Rules(name=dns_subdomain, validate_update=core_rules.validate_runtime_class_update),
}

_WORKLOADS = {
    "deployments.apps": replace(
        _workload(apps.default_deployment, workloads.validate_deployment, workloads.validate_selector_kept),
        counts_annotations=True,
        status_keeps=("labels",),
    ),
    "replicasets.apps": _workload(
        apps.default_replica_set,
        workloads.validate_replica_set,
        workloads.validate_selector_kept,
        zero=("replicas",),
    ),
    "statefulsets.apps": _workload(
        apps.default_stateful_set,
        workloads.validate_stateful_set,
        workloads.validate_stateful_set_update,
        zero=("availableReplicas", "replicas"),
    ),
    "daemonsets.apps": replace(
        _workload(
            apps.default_daemon_set,
            workloads.validate_daemon_set,
            workloads.validate_selector_kept,
            zero=("currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady"),
        ),
        on_create=apps.first_template_generation,
        on_status=apps.keep_template_generation,
        on_update=apps.count_template_generation,
    ),
    "controllerrevisions.apps": Rules(
        name=dns_subdomain,
        validate=workloads.validate_revision,
        validate_update=workloads.validate_revision_update,
    ),
    "jobs.batch": _counted(
        default=batch.default_job,
        on_create=jobs.prepare_job,
        validate=batch_rules.validate_job,
        validate_update=batch_rules.validate_job_update,
        validates_first=True,
        warnings=workloads.template_warnings("spec", "template"),
    ),
    "cronjobs.batch": _counted(
        default=batch.default_cron_job,
        validate=batch_rules.validate_cron_job,
        warnings=workloads.template_warnings("spec", "jobTemplate", "spec", "template"),
    ),
    "horizontalpodautoscalers.autoscaling/v1": Rules(
        name=dns_subdomain,
        default=autoscaling.default_autoscaler_v1,
        validate=policy_rules.validate_autoscaler,
        initial_status={"currentReplicas": 0, "desiredReplicas": 0},
    ),
    "horizontalpodautoscalers.autoscaling": Rules(
        name=dns_subdomain,
        default=autoscaling.default_autoscaler,
        validate=policy_rules.validate_autoscaler,
        initial_status={"desiredReplicas": 0},
    ),
    "poddisruptionbudgets.policy": _counted(
        validate=policy_rules.validate_budget,
        zero=("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"),
    ),
}

_NETWORK = {
    "ingresses.networking.k8s.io": _counted(
        default=services.default_ingress,
        validate=service_rules.validate_ingress,
        initial_status={"loadBalancer": {}},
    ),
    "ingressclasses.networking.k8s.io": _counted(),
    "networkpolicies.networking.k8s.io": _counted(
        default=services.default_network_policy, validate=service_rules.validate_network_policy
    ),
    "endpointslices.discovery.k8s.io": _counted(
        default=services.default_endpoint_slice,
        validate=service_rules.validate_endpoint_slice,
        validate_update=service_rules.validate_endpoint_slice_update,
    ),
}

_ACCESS = {
    # Names of roles may hold colons and capitals.
    "roles.rbac.authorization.k8s.io": Rules(name=path_segment, validate=policy_rules.validate_role),
    "clusterroles.rbac.authorization.k8s.io": Rules(name=path_segment, validate=policy_rules.validate_cluster_role),
    "rolebindings.rbac.authorization.k8s.io": Rules(
        name=path_segment,
        default=rbac.default_binding,
        validate=policy_rules.validate_role_binding,
        validate_update=policy_rules.validate_binding_update,
    ),
    "clusterrolebindings.rbac.authorization.k8s.io": Rules(
        name=path_segment,
        default=rbac.default_binding,
        validate=policy_rules.validate_cluster_role_binding,
        validate_update=policy_rules.validate_binding_update,
    ),
    "certificatesigningrequests.certificates.k8s.io": Rules(
        name=dns_subdomain,
        validate=policy_rules.validate_signing_request,
        validate_update=policy_rules.validate_signing_request_update,
    ),
}

_STORAGE = {
    "storageclasses.storage.k8s.io": Rules(
        name=dns_subdomain,
        default=storage.default_storage_class,
        validate=storage_rules.validate_storage_class,
        validate_update=storage_rules.validate_storage_class_update,
    ),
    "volumeattachments.storage.k8s.io": Rules(name=dns_subdomain, initial_status={"attached": False}),
    "csidrivers.storage.k8s.io": Rules(name=dns_subdomain, default=storage.default_csi_driver),
}

_ADMISSION = {
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _counted(
        default=admission.default_mutating_webhooks, validate=admission_rules.validate_webhooks
    ),
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _counted(
        default=admission.default_validating_webhooks, validate=admission_rules.validate_webhooks
    ),
    "validatingadmissionpolicies.admissionregistration.k8s.io": _counted(
        default=admission.default_policy, validate=admission_rules.validate_policy
    ),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": _counted(
        default=admission.default_policy_binding, validate=admission_rules.validate_policy_binding
    ),
    "customresourcedefinitions.apiextensions.k8s.io": _counted(
        default=admission.default_definition,
        validate=definition_rules.validate_definition,
        validate_update=definition_rules.validate_definition_update,
        warnings=definition_rules.definition_warnings,
    ),
}

_RULES: dict[str, Rules] = {**_CORE, **_WORKLOADS, **_NETWORK, **_ACCESS, **_STORAGE, **_ADMISSION}
