"""What the platform's objects on a cluster are called."""

from typing import Final

from flowdeck.kube.objects import ObjectKey, Tree

NAMESPACE: Final = "kubeflow-system"
"""Upstream's, too: what pods are told of (the progress server's name) must not depend on who installed."""
NAME: Final = "flowdeck"
"""Of the Deployment, its ServiceAccount, roles, Service, PodDisruptionBudget, NetworkPolicy and ConfigMap."""
KEY: Final = ObjectKey(NAMESPACE, NAME)
OPERATOR_SERVICE: Final = f"{NAME}.{NAMESPACE}.svc"
"""By which the API server reaches the webhooks."""
CERTIFICATES: Final = ObjectKey(NAMESPACE, "flowdeck-certificates")
STORES: Final = "flowdeck-stores"
"""Of the Secret with the operator's variables: `FLOWDECK_DATABASE`, `FLOWDECK_ARTIFACTS`, credentials."""
LEASE: Final = ObjectKey(NAMESPACE, "flowdeck")
SETTINGS_FILE: Final = "settings.yaml"
"""Key in the ConfigMap."""

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OURS: Final = {MANAGED_BY: "flowdeck"}
"""On every object that an installation brings: by it they are found again."""
VERSION_LABEL: Final = "app.kubernetes.io/version"
"""On the Deployment: the Flowdeck that is installed."""
PODS: Final = {"app.kubernetes.io/name": "flowdeck", "app.kubernetes.io/component": "operator"}
"""Labels of the operator's pods."""

INSTALLER: Final = "flowdeck-install"
"""Field manager of what `flowdeck install` applies."""
OPERATOR: Final = "flowdeck"
"""Field manager of what the process on the cluster writes about itself."""


def is_ours(obj: Tree) -> bool:
    return (obj["metadata"].get("labels") or {}).get(MANAGED_BY) == OURS[MANAGED_BY]
