"""The operator's Deployment, and what belongs to it."""

import hashlib
from collections.abc import Sequence

from flowdeck.cluster.manifests.objects import an_object
from flowdeck.cluster.names import NAME, PODS, SETTINGS_FILE, STORES, VERSION_LABEL
from flowdeck.cluster.settings import ClusterSettings
from flowdeck.components.base import Component
from flowdeck.kube.kinds import CONFIG_MAP, DEPLOYMENT, POD_DISRUPTION_BUDGET
from flowdeck.kube.objects import Tree
from flowdeck.version import VERSION

REPLICAS = 2
USER = 65532
SETTINGS_ANNOTATION = "flowdeck.dev/settings"
"""Digest of the settings in the pod template: other settings mean other pods."""
_FOLDER = "/etc/flowdeck"


def config_map(text: str) -> Tree:
    return an_object(CONFIG_MAP, NAME, data={SETTINGS_FILE: text})


def disruption_budget() -> Tree:
    return an_object(POD_DISRUPTION_BUDGET, NAME, spec={"minAvailable": 1, "selector": {"matchLabels": PODS}})


def deployment(image: str, text: str, settings: ClusterSettings, parts: Sequence[Component]) -> Tree:
    """Two replicas that may write nowhere but to a small /tmp, and may do nothing as root."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    template = {
        "metadata": {"labels": dict(PODS), "annotations": {SETTINGS_ANNOTATION: digest}},
        "spec": {
            "serviceAccountName": NAME,
            "automountServiceAccountToken": True,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 30,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "affinity": _apart(),
            "containers": [_container(image, settings, parts)],
            "volumes": [
                {"name": "settings", "configMap": {"name": NAME}},
                {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
            ],
        },
    }
    spec = {
        "replicas": REPLICAS,
        "selector": {"matchLabels": dict(PODS)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": template,
    }
    made = an_object(DEPLOYMENT, NAME, spec=spec)
    made["metadata"]["labels"][VERSION_LABEL] = VERSION
    return made


def _container(image: str, settings: ClusterSettings, parts: Sequence[Component]) -> Tree:
    ports = [("webhooks", settings.webhook_port), ("health", settings.health_port)]
    ports += [(front.label, front.target_port) for part in parts for front in part.fronts()]
    return {
        "name": "operator",
        "image": image,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "args": ["operator", "--settings", f"{_FOLDER}/{SETTINGS_FILE}"],
        "envFrom": [{"secretRef": {"name": STORES, "optional": True}}],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports],
        "startupProbe": _probe("/readyz", period_s=1, failures=120),
        "readinessProbe": _probe("/readyz", period_s=5, failures=2),
        "livenessProbe": _probe("/healthz", period_s=10, failures=6),
        # requests still come for a moment after the pod has left its Service
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
        "volumeMounts": [
            {"name": "settings", "mountPath": _FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _probe(path: str, *, period_s: int, failures: int) -> Tree:
    how = {"periodSeconds": period_s, "failureThreshold": failures, "timeoutSeconds": 5}
    return {"httpGet": {"path": path, "port": "health"}, **how}


def _apart() -> Tree:
    """Replicas on different nodes, where there are several."""
    term = {"labelSelector": {"matchLabels": dict(PODS)}, "topologyKey": "kubernetes.io/hostname"}
    wish = {"weight": 100, "podAffinityTerm": term}
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}
