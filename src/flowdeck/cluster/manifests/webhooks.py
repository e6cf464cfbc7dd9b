"""The webhook configurations: the components' admission rules, as the API server shall ask for them.

`caBundle` is the operator's to fill in: it is not mentioned here, so an installation leaves it alone.
"""

from collections.abc import Iterator, Sequence

from flowdeck.cluster.manifests.objects import an_object
from flowdeck.cluster.names import NAME, NAMESPACE
from flowdeck.cluster.operator import configurations
from flowdeck.controller.admission import AdmissionRule
from flowdeck.kube.kinds import MUTATING_WEBHOOK_CONFIGURATION
from flowdeck.kube.objects import Tree

TIMEOUT_S = 10


def webhook_configurations(rules: Sequence[AdmissionRule]) -> Iterator[Tree]:
    for kind, name in configurations(rules):
        phase = "mutate" if kind == MUTATING_WEBHOOK_CONFIGURATION else "validate"
        hooks = [_webhook(rule) for rule in rules if (rule.configuration, rule.phase) == (name, phase)]
        yield an_object(kind, name, webhooks=hooks)


def _webhook(rule: AdmissionRule) -> Tree:
    kind = rule.kind
    scope = "Namespaced" if kind.namespaced else "Cluster"
    matched = {"apiGroups": [kind.group], "apiVersions": [kind.version], "resources": [kind.plural], "scope": scope}
    webhook: Tree = {
        "name": rule.name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": NAME, "namespace": NAMESPACE, "path": rule.path, "port": 443}},
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "rules": [{**matched, "operations": list(rule.operations)}],
        "sideEffects": "None",
        "timeoutSeconds": TIMEOUT_S,
    }
    if rule.exempt is not None:
        key, value = rule.exempt
        without = {"key": key, "operator": "NotIn", "values": [value]}
        webhook["objectSelector"] = {"matchExpressions": [without]}
    return webhook
