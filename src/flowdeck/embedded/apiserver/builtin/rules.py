"""Which rules each built-in kind has: the table that joins kinds with their defaults and validation."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from flowdeck.controller.clock import Clock
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
from flowdeck.embedded.apiserver.builtin.strategy import Rules
from flowdeck.embedded.apiserver.builtin.validation.definitions import (
    definition_warnings,
    validate_definition,
    validate_definition_update,
)
from flowdeck.embedded.apiserver.contract import Storage
from flowdeck.kube.kinds import CUSTOM_RESOURCE_DEFINITION
from flowdeck.kube.names import NameRule, dns_1035_label, dns_label, dns_subdomain, path_segment
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
    rules = _RULES.get(f"{kind.plural}.{kind.group}/{kind.version}") or _RULES.get(kind.resource) or _plain()
    if kind.resource == "services":
        rules = replace(rules, on_create=dependencies.addresses.give, on_update=dependencies.addresses.change)
    if kind == CUSTOM_RESOURCE_DEFINITION:
        names = Names(dependencies.storage, dependencies.clock)
        rules = replace(rules, on_create=names.new, on_update=names.changed)
    return replace(rules, keeps_status=has_status)


def _plain(name: NameRule = dns_subdomain, default: Callable[[Tree], None] | None = None) -> Rules:
    return Rules(name=name, default=default)


def _counted(
    default: Callable[[Tree], None] | None = None,
    name: NameRule = dns_subdomain,
    on_create: Callable[[Tree], None] | None = None,
    zero: tuple[str, ...] = (),
) -> Rules:
    """A kind with generations; `zero` are the counts that upstream writes into a fresh status as 0."""
    status = dict.fromkeys(zero, 0) or None
    return Rules(name=name, default=default, on_create=on_create, counts_generations=True, initial_status=status)


_RULES: dict[str, Rules] = {
    # core
    "namespaces": Rules(name=dns_label, default=core.default_namespace, on_create=core.set_namespace_finalizer),
    "pods": Rules(
        name=dns_subdomain, default=pods.default_pod, counts_generations=True, initial_status={"phase": "Pending"}
    ),
    "podtemplates": _counted(apps.default_pod_template_object),
    "replicationcontrollers": _counted(apps.default_replication_controller, zero=("replicas",)),
    "services": Rules(name=dns_1035_label, default=services.default_service, initial_status={"loadBalancer": {}}),
    "endpoints": _plain(default=core.default_endpoints),
    "secrets": _plain(default=core.default_secret),
    "limitranges": _plain(default=core.default_limit_range),
    "persistentvolumes": Rules(
        name=dns_subdomain, default=core.default_persistent_volume, initial_status={"phase": "Pending"}
    ),
    "persistentvolumeclaims": Rules(
        name=dns_subdomain, default=core.default_persistent_volume_claim, initial_status={"phase": "Pending"}
    ),
    "nodes": Rules(name=dns_subdomain, default=core.default_node, creator_sets_status=True),
    # apps
    "deployments.apps": _counted(apps.default_deployment),
    "replicasets.apps": _counted(apps.default_replica_set, zero=("replicas",)),
    "statefulsets.apps": _counted(apps.default_stateful_set, zero=("availableReplicas", "replicas")),
    "daemonsets.apps": _counted(
        apps.default_daemon_set,
        zero=("currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady"),
    ),
    # batch
    "jobs.batch": _counted(batch.default_job, on_create=jobs.generate_selector),
    "cronjobs.batch": _counted(batch.default_cron_job),
    # autoscaling, policy
    "horizontalpodautoscalers.autoscaling/v1": Rules(
        name=dns_subdomain,
        default=autoscaling.default_autoscaler_v1,
        initial_status={"currentReplicas": 0, "desiredReplicas": 0},
    ),
    "horizontalpodautoscalers.autoscaling": Rules(
        name=dns_subdomain, default=autoscaling.default_autoscaler, initial_status={"desiredReplicas": 0}
    ),
    "poddisruptionbudgets.policy": _counted(
        zero=("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods")
    ),
    # networking, discovery
    "ingresses.networking.k8s.io": _counted(services.default_ingress),
    "ingressclasses.networking.k8s.io": _counted(),
    "networkpolicies.networking.k8s.io": _counted(services.default_network_policy),
    "endpointslices.discovery.k8s.io": _counted(services.default_endpoint_slice),
    # rbac: names may hold colons
    "roles.rbac.authorization.k8s.io": _plain(path_segment),
    "clusterroles.rbac.authorization.k8s.io": _plain(path_segment),
    "rolebindings.rbac.authorization.k8s.io": _plain(path_segment, rbac.default_binding),
    "clusterrolebindings.rbac.authorization.k8s.io": _plain(path_segment, rbac.default_binding),
    # storage, scheduling
    "storageclasses.storage.k8s.io": _plain(default=storage.default_storage_class),
    "csidrivers.storage.k8s.io": _plain(default=storage.default_csi_driver),
    "priorityclasses.scheduling.k8s.io": _counted(storage.default_priority_class),
    # admission
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _counted(admission.default_mutating_webhooks),
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _counted(admission.default_validating_webhooks),
    "validatingadmissionpolicies.admissionregistration.k8s.io": _counted(admission.default_policy),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": _counted(admission.default_policy_binding),
    "customresourcedefinitions.apiextensions.k8s.io": Rules(
        name=dns_subdomain,
        default=admission.default_definition,
        validate=validate_definition,
        validate_update=validate_definition_update,
        warnings=definition_warnings,
        counts_generations=True,
    ),
}
