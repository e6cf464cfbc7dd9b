"""The plug-ins in the order in which they are asked. Source: kubernetes (pkg/kubeapiserver/options/plugins.go)."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from flowdeck.client.base import Reader
from flowdeck.clock import Clock
from flowdeck.controller.admission import AdmissionRule
from flowdeck.embedded.apiserver.admission.certificate_requests import CertificateRequests
from flowdeck.embedded.apiserver.admission.component_rules import ComponentRules
from flowdeck.embedded.apiserver.admission.default_storage_class import DefaultStorageClass
from flowdeck.embedded.apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from flowdeck.embedded.apiserver.admission.limit_ranger import LimitRanger
from flowdeck.embedded.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from flowdeck.embedded.apiserver.admission.node_restriction import NodeRestriction
from flowdeck.embedded.apiserver.admission.owner_references_permission import FindKind, OwnerReferencesPermission
from flowdeck.embedded.apiserver.admission.persistent_volume_claim_resize import PersistentVolumeClaimResize
from flowdeck.embedded.apiserver.admission.plugin import Plugins
from flowdeck.embedded.apiserver.admission.pod_security import PodSecurity
from flowdeck.embedded.apiserver.admission.priority import Priority
from flowdeck.embedded.apiserver.admission.resource_quota import ResourceQuota
from flowdeck.embedded.apiserver.admission.role_escalation import RoleEscalation
from flowdeck.embedded.apiserver.admission.runtime_class import RuntimeClass
from flowdeck.embedded.apiserver.admission.service_account import ServiceAccount
from flowdeck.embedded.apiserver.admission.service_account_secrets import ServiceAccountSecrets
from flowdeck.embedded.apiserver.admission.service_resolver import ServiceResolver
from flowdeck.embedded.apiserver.admission.validating_admission_policy import ValidatingAdmissionPolicies
from flowdeck.embedded.apiserver.admission.webhook_client import WebhookClient
from flowdeck.embedded.apiserver.admission.webhooks import Caller, MutatingWebhooks, ValidatingWebhooks
from flowdeck.embedded.apiserver.contract import Authorizer, Storage
from flowdeck.embedded.apiserver.pods_network import ToPod
from flowdeck.embedded.apiserver.rbac import RbacAuthorizer
from flowdeck.embedded.apiserver.tokens import ServiceAccountTokens


def chain(
    storage: Storage,
    *,
    authorizer: Authorizer,
    rbac: RbacAuthorizer,
    find_kind: FindKind,
    rules: Sequence[AdmissionRule],
    reader: Reader,
    clock: Clock,
    random: Random,
    tokens: ServiceAccountTokens,
    ca_file: Path,
    to_pod: ToPod,
) -> Plugins:
    """All plug-ins; `rules` are those of the components, which read through `reader`.

    `ca_file` is the certificate of the cluster's authority, which service-account Secrets hold beside their token.
    """
    caller = Caller(storage, WebhookClient(ServiceResolver(storage), to_pod), find_kind)
    own = (
        NamespaceLifecycle(storage),
        LimitRanger(storage),
        ServiceAccount(storage, random),
        ServiceAccountSecrets(storage, tokens, ca_file),
        NodeRestriction(),
        PodSecurity(storage),
        Priority(storage),
        DefaultTolerationSeconds(),
        DefaultStorageClass(storage),
        OwnerReferencesPermission(authorizer, find_kind),
        PersistentVolumeClaimResize(storage),
        RuntimeClass(storage),
        RoleEscalation(authorizer, rbac),
        CertificateRequests(authorizer),
        ComponentRules(rules, reader, clock),
    )
    return Plugins(
        (
            *own,
            MutatingWebhooks(caller, earlier=own),
            ValidatingAdmissionPolicies(storage, find_kind),
            ValidatingWebhooks(caller),
            ResourceQuota(storage),
        )
    )
