"""What is filled in or refused before objects are stored: quota, limits, pod security, priorities, accounts."""

from collections.abc import Sequence
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import (
    a_container,
    an_object,
    claim,
    config_map,
    cron_job,
    deployment,
    job,
    namespace,
    pod,
    secret,
    service,
    template,
)
from tests.kubernetes.differential.scenario import (
    Request,
    Scenario,
    Step,
    create,
    delete,
    get,
    merge,
    scenario,
    strategic,
    until_status,
)

_SECURITY = "pod-security.kubernetes.io"


def _resources(requests: Tree | None = None, limits: Tree | None = None) -> Tree:
    return {"resources": {key: value for key, value in (("requests", requests), ("limits", limits)) if value}}


def _sized(name: str, requests: Tree | None = None, limits: Tree | None = None) -> Tree:
    return pod(name, a_container(**_resources(requests, limits)))


def _quota(hard: Tree, name: str = "a", **spec: Any) -> Sequence[Step]:
    """A quota that counts, where no controller does that: `_until_counted` says from when on."""
    return [
        create("resourcequotas", an_object("v1", "ResourceQuota", name, spec={"hard": hard, **spec})).unseen(),
        merge(f"resourcequotas/{name}/status", {"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}).unseen(),
    ]


def _counting_quota(hard: Tree) -> Sequence[Step]:
    """The only quota; it allows no leases, by which one sees that the server knows it."""
    mark = {"count/leases.coordination.k8s.io": "0"}
    lease = an_object("coordination.k8s.io/v1", "Lease", "probe")
    return [*_quota({**hard, **mark}), _until_counted("a", create("leases", lease, dryRun="All"))]


def _until_counted(name: str, step: Request) -> Step:
    """A server learns of a quota and of its status a moment after they are written."""
    return until_status(403, step, f"exceeded quota: {name},").unseen()


def _limits(*limits: Tree, name: str = "a") -> Tree:
    return an_object("v1", "LimitRange", name, spec={"limits": list(limits)})


def _level(**labels: str) -> Sequence[Step]:
    """Labels of pod security; a moment passes until they count."""
    return [
        merge(
            "/api/v1/namespaces/{ns}",
            {"metadata": {"labels": {f"{_SECURITY}/{key.replace('_', '-')}": value for key, value in labels.items()}}},
        ).unseen()
    ]


_BASELINE: dict[str, Tree] = {
    "host-network": pod("x", hostNetwork=True),
    "host-pid": pod("x", hostPID=True, hostIPC=True),
    "privileged": pod("x", a_container(securityContext={"privileged": True})),
    "capabilities": pod(
        "x", a_container(securityContext={"capabilities": {"add": ["NET_ADMIN", "CHOWN", "SYS_TIME"]}})
    ),
    "host-path": pod("x", volumes=[{"name": "h", "hostPath": {"path": "/"}}, {"name": "e", "emptyDir": {}}]),
    "host-ports": pod(
        "x", a_container(ports=[{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 81}])
    ),
    "apparmor": pod("x", a_container(securityContext={"appArmorProfile": {"type": "Unconfined"}})),
    "selinux": pod("x", securityContext={"seLinuxOptions": {"type": "custom_t", "user": "u", "role": "r"}}),
    "proc-mount": pod("x", a_container(securityContext={"procMount": "Unmasked"}), hostUsers=True),
    "seccomp": pod("x", securityContext={"seccompProfile": {"type": "Unconfined"}}),
    "sysctls": pod(
        "x",
        securityContext={
            "sysctls": [
                {"name": "kernel.msgmax", "value": "1"},
                {"name": "net.ipv4.ip_local_port_range", "value": "1 2"},
            ]
        },
    ),
    "windows": pod("x", securityContext={"windowsOptions": {"hostProcess": True}}, hostNetwork=True),
    "host-probe": pod("x", a_container(livenessProbe={"httpGet": {"port": 80, "host": "10.0.0.1"}})),
    "several": pod(
        "x",
        a_container("one", securityContext={"privileged": True}),
        a_container("two", securityContext={"privileged": True}),
        hostNetwork=True,
        hostPID=True,
    ),
    "init": pod("x", initContainers=[a_container("i", securityContext={"privileged": True})]),
}
_SAFE: Tree = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_SAFE_POD: Tree = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_RESTRICTED: dict[str, Tree] = {
    "nothing-said": pod("x"),
    "all-said": pod("x", a_container(securityContext=_SAFE), securityContext=_SAFE_POD),
    "escalation": pod(
        "x", a_container(securityContext={**_SAFE, "allowPrivilegeEscalation": True}), securityContext=_SAFE_POD
    ),
    "as-root": pod(
        "x",
        a_container(securityContext={**_SAFE, "runAsUser": 0}),
        securityContext={**_SAFE_POD, "runAsNonRoot": False},
    ),
    "root-user-of-pod": pod("x", a_container(securityContext=_SAFE), securityContext={**_SAFE_POD, "runAsUser": 0}),
    "no-drop": pod(
        "x",
        a_container(
            securityContext={
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["CHOWN"], "add": ["NET_BIND_SERVICE", "CHOWN"]},
            }
        ),
        securityContext=_SAFE_POD,
    ),
    "no-seccomp": pod("x", a_container(securityContext=_SAFE), securityContext={"runAsNonRoot": True}),
    "volumes": pod(
        "x",
        a_container(securityContext=_SAFE),
        securityContext=_SAFE_POD,
        volumes=[
            {"name": "n", "nfs": {"server": "s", "path": "/"}},
            {"name": "c", "configMap": {"name": "c"}},
            {"name": "h", "hostPath": {"path": "/"}},
        ],
    ),
    "windows-os": pod("x", os={"name": "windows"}, securityContext={"runAsNonRoot": True}),
    "two": pod("x", a_container("one", securityContext=_SAFE), a_container("two"), securityContext=_SAFE_POD),
}

_ENDS = pod("b", a_container(**_resources({"cpu": "1m"})), activeDeadlineSeconds=5)
_HIGH = pod("c", a_container(**_resources({"cpu": "1m"})), priorityClassName="system-cluster-critical")

SCENARIOS: Sequence[Scenario] = [
    scenario(
        "quota of objects",
        _counting_quota(
            {
                "configmaps": "1",
                "count/deployments.apps": "1",
                "services": "1",
                "services.nodeports": "0",
                "secrets": "5",
            }
        ),
        create("configmaps", config_map()),
        create("configmaps", config_map("b")),
        create("configmaps", config_map("b"), dryRun="All"),
        create("deployments", deployment()),
        create("deployments", deployment("b")),
        create("services", service(type="NodePort")),
        create("services", service()),
        create("services", service("b")),
        get("resourcequotas/a"),
        merge("configmaps/a", {"data": {"x": "y"}}),
    ),
    scenario(
        "quota of resources",
        _counting_quota({"pods": "3", "requests.cpu": "1", "limits.memory": "1Gi", "requests.example.com/gpu": "1"}),
        create("pods", pod()),
        create("pods", _sized("a", {"cpu": "500m"}, {"memory": "512Mi"})),
        create("pods", _sized("b", {"cpu": "600m"}, {"memory": "512Mi"})),
        create("pods", _sized("b", {"cpu": "600m"}, {"memory": "2Gi"})),
        create("pods", _sized("c", {"cpu": "1m"}, {"memory": "1Mi", "example.com/gpu": "2"})),
        create("pods", _sized("d", {"cpu": "100m"}, {"memory": "100Mi"})),
        get("resourcequotas/a"),
        create("deployments", deployment()),
    ),
    scenario(
        "several quotas and scopes",
        _quota({"pods": "0"}, "best", scopes=["BestEffort"]),
        _quota({"pods": "3", "requests.cpu": "2"}, "rest", scopes=["NotBestEffort"]),
        _quota({"pods": "0"}, "ends", scopes=["Terminating"]),
        _quota(
            {"pods": "0"},
            "high",
            scopeSelector={
                "matchExpressions": [
                    {"scopeName": "PriorityClass", "operator": "In", "values": ["system-cluster-critical"]}
                ]
            },
        ),
        # each pod exceeds one of them: of several, upstream tells any
        _until_counted("best", create("pods", pod(), dryRun="All")),
        _until_counted("rest", create("pods", _sized("a", {"cpu": "3"}), dryRun="All")),
        _until_counted("ends", create("pods", _ENDS, dryRun="All")),
        _until_counted("high", create("pods", _HIGH, dryRun="All")),
        create("pods", pod()),
        create("pods", _sized("a", {"cpu": "1"})),
        create("pods", _ENDS),
        create("pods", _HIGH),
        get("resourcequotas/rest"),
    ),
    scenario(
        "quota of storage",
        _counting_quota(
            {
                "persistentvolumeclaims": "2",
                "requests.storage": "3Gi",
                "slow.storageclass.storage.k8s.io/requests.storage": "1Gi",
            }
        ),
        create("persistentvolumeclaims", claim()),
        create("persistentvolumeclaims", claim("b", resources={"requests": {"storage": "5Gi"}})),
        create(
            "persistentvolumeclaims", claim("c", storageClassName="slow", resources={"requests": {"storage": "2Gi"}})
        ),
        create("persistentvolumeclaims", claim("d", storageClassName="slow")),
        create("persistentvolumeclaims", claim("e")),
        get("resourcequotas/a"),
    ),
    scenario(
        "quotas that are wrong",
        *(
            create("resourcequotas", an_object("v1", "ResourceQuota", spec=spec), dryRun="All")
            for spec in (
                {"hard": {"pods": "-1"}},
                {"hard": {"pods": "1.5"}},
                {"hard": {"unknown": "1"}},
                {"hard": {"requests.example.com/gpu": "1.5"}},
                {"hard": {"example.com/gpu": "1"}},
                {"hard": {"pods": "1"}, "scopes": ["Other"]},
                {"hard": {"pods": "1"}, "scopes": ["BestEffort", "NotBestEffort"]},
                {"hard": {"requests.cpu": "1"}, "scopes": ["BestEffort"]},
                {
                    "hard": {"pods": "1"},
                    "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]},
                },
                {
                    "hard": {"pods": "1"},
                    "scopeSelector": {
                        "matchExpressions": [{"scopeName": "Terminating", "operator": "In", "values": ["x"]}]
                    },
                },
                {"hard": {"cpu": "x"}},
            )
        ),
        create(
            "resourcequotas", an_object("v1", "ResourceQuota", spec={"hard": {"pods": "1"}, "scopes": ["BestEffort"]})
        ).unseen(),
        merge("resourcequotas/a", {"spec": {"scopes": ["NotBestEffort"]}}),
        merge("resourcequotas/a/status", {"status": {"used": {"pods": "-1"}}}),
    ),
    scenario(
        "limits of containers",
        create(
            "limitranges",
            _limits(
                {
                    "type": "Container",
                    "default": {"cpu": "1"},
                    "defaultRequest": {"cpu": "100m", "memory": "1Mi"},
                    "min": {"cpu": "10m"},
                    "max": {"cpu": "2", "memory": "1Gi"},
                    "maxLimitRequestRatio": {"cpu": "4"},
                }
            ),
        ),
        until_status(403, create("pods", _sized("probe", {"cpu": "1m"}, {"cpu": "3"}), dryRun="All")),
        create("pods", pod()),
        create("pods", _sized("b", {"cpu": "1m"}, {"memory": "1Mi"})),
        create("pods", _sized("b", {"cpu": "1"}, {"cpu": "3", "memory": "2Gi"})),
        create("pods", _sized("b", {"cpu": "100m"}, {"cpu": "1", "memory": "1Mi"})),
        create("pods", _sized("c", {"cpu": "500m"}, {"cpu": "1", "memory": "1Mi"})),
        create("pods", _sized("d", {"memory": "2Gi"}, {"cpu": "1"})),
        create(
            "pods",
            pod(
                "e",
                a_container("one"),
                a_container("two", **_resources({"cpu": "1"}, {"cpu": "1"})),
                initContainers=[a_container("i")],
            ),
        ),
        strategic("pods/a/resize", {"spec": {"containers": [{"name": "main", "resources": {"limits": {"cpu": "5"}}}]}}),
    ),
    scenario(
        "limits of pods and claims",
        create(
            "limitranges",
            _limits(
                {"type": "Pod", "max": {"cpu": "1"}, "min": {"memory": "1Mi"}, "maxLimitRequestRatio": {"memory": "2"}},
                {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}},
            ),
        ),
        until_status(
            403,
            create("persistentvolumeclaims", claim("probe", resources={"requests": {"storage": "9Gi"}}), dryRun="All"),
        ),
        create("pods", pod()),
        create(
            "pods",
            pod(
                "b",
                *(
                    a_container(name, **_resources({"cpu": "400m", "memory": "1Mi"}, {"cpu": "600m", "memory": "1Mi"}))
                    for name in ("one", "two")
                ),
            ),
        ),
        create("pods", _sized("c", {"memory": "1Mi"}, {"cpu": "1", "memory": "3Mi"})),
        create("pods", _sized("d", {"memory": "1Mi"}, {"cpu": "1", "memory": "2Mi"})),
        create("persistentvolumeclaims", claim("b", resources={"requests": {"storage": "1Mi"}})),
        create("persistentvolumeclaims", claim("c")),
    ),
    scenario(
        "limits that are wrong",
        *(
            create("limitranges", _limits(limit), dryRun="All")
            for limit in (
                {"type": "Other"},
                {"type": ""},
                {"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}},
                {"type": "Container", "default": {"cpu": "2"}, "max": {"cpu": "1"}},
                {"type": "Container", "defaultRequest": {"cpu": "2"}, "default": {"cpu": "1"}},
                {"type": "Container", "min": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}},
                {"type": "Pod", "default": {"cpu": "1"}},
                {"type": "PersistentVolumeClaim"},
                {"type": "Container", "maxLimitRequestRatio": {"cpu": "500m"}},
                {"type": "Container", "min": {"cpu": "1"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "5"}},
                {"type": "Container", "max": {"unknown": "1"}},
            )
        ),
        create(
            "limitranges",
            _limits({"type": "Pod", "max": {"cpu": "1"}}, {"type": "Pod", "max": {"cpu": "2"}}),
            dryRun="All",
        ),
    ),
    scenario(
        "security of the baseline",
        _level(enforce="baseline"),
        until_status(403, create("pods", pod("probe", hostNetwork=True), dryRun="All")),
        *(create("pods", obj, dryRun="All") for obj in _BASELINE.values()),
        create("pods", pod("fine")),
        create("deployments", deployment(template=template(None, a_container(securityContext={"privileged": True})))),
    ),
    scenario(
        "restricted security",
        _level(enforce="restricted"),
        until_status(403, create("pods", pod("probe"), dryRun="All")),
        *(create("pods", obj, dryRun="All") for obj in (*_RESTRICTED.values(), *_BASELINE.values())),
        create("pods", {**_RESTRICTED["all-said"], "metadata": {"name": "fine"}}),
        strategic("pods/fine", {"metadata": {"labels": {"a": "b"}}}),
        strategic("pods/fine/ephemeralcontainers", {"spec": {"ephemeralContainers": [{"name": "d", "image": "d"}]}}),
    ),
    scenario(
        "security that warns",
        _level(warn="restricted", warn_version="v1.25", audit="restricted"),
        until_status(200, get("configmaps")).unseen(),
        create("pods", pod("first")).unseen(),
        *(create("pods", obj, dryRun="All") for obj in (*_RESTRICTED.values(), _BASELINE["several"])),
        create("deployments", deployment(), dryRun="All"),
        create("jobs", job(), dryRun="All"),
        create("cronjobs", cron_job(), dryRun="All"),
    ),
    scenario(
        "security by version",
        _level(enforce="restricted", enforce_version="v1.20", warn="restricted", warn_version="latest"),
        until_status(403, create("pods", pod("probe", hostNetwork=True), dryRun="All")),
        create("pods", pod(), dryRun="All"),
        create(
            "pods",
            pod(securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}),
            dryRun="All",
        ),
        create("pods", pod("x", a_container(securityContext=_SAFE), securityContext=_SAFE_POD), dryRun="All"),
    ),
    scenario(
        "labels of security that are wrong",
        *(
            create("namespaces", namespace("{ns}-x", labels={f"{_SECURITY}/{key}": value}), dryRun="All")
            for key, value in (
                ("enforce", "strict"),
                ("enforce-version", "1.0"),
                ("warn", ""),
                ("audit-version", "v1.99"),
                ("enforce", "baseline"),
                ("enforce-version", "latest"),
            )
        ),
        create("pods", pod("p", hostNetwork=True)).unseen(),
        create("pods", pod("q", hostPID=True)).unseen(),
        merge("/api/v1/namespaces/{ns}", {"metadata": {"labels": {f"{_SECURITY}/enforce": "other"}}}),
        merge("/api/v1/namespaces/{ns}", {"metadata": {"labels": {f"{_SECURITY}/enforce": "baseline"}}}, dryRun="All"),
        merge("/api/v1/namespaces/{ns}", {"metadata": {"labels": {f"{_SECURITY}/enforce": "restricted"}}}),
    ),
    scenario(
        "priorities",
        create(
            "priorityclasses",
            an_object("scheduling.k8s.io/v1", "PriorityClass", "{ns}-high", value=1000, preemptionPolicy="Never"),
        ).unseen(),
        until_status(201, create("pods", pod("probe", priorityClassName="{ns}-high"), dryRun="All")).unseen(),
        create("pods", pod(priorityClassName="{ns}-high")),
        create("pods", pod("b", priorityClassName="none")),
        create("pods", pod("c", priority=5)),
        create("pods", pod("d", priority=1000, priorityClassName="{ns}-high")),
        create("pods", pod("e", priorityClassName="{ns}-high", preemptionPolicy="PreemptLowerPriority")),
        create("pods", pod("f", priorityClassName="system-node-critical")),
        *(
            create("priorityclasses", an_object("scheduling.k8s.io/v1", "PriorityClass", name, **fields), dryRun="All")
            for name, fields in (
                ("{ns}-x", {"value": 2000000000}),
                ("system-x", {"value": 1}),
                ("{ns}-x", {"value": 1, "preemptionPolicy": "Other"}),
                ("{ns}-x", {"value": -5}),
                ("{ns}-x", {}),
            )
        ),
        merge("priorityclasses/{ns}-high", {"value": 5}),
        merge("priorityclasses/{ns}-high", {"preemptionPolicy": "PreemptLowerPriority"}),
        merge("priorityclasses/{ns}-high", {"description": "d"}),
        delete("priorityclasses/system-node-critical", dryRun="All"),
    ),
    scenario(
        "classes of storage",
        create("persistentvolumeclaims", claim()),
        create(
            "storageclasses", an_object("storage.k8s.io/v1", "StorageClass", "{ns}-fixed", provisioner="example.com/p")
        ).unseen(),
        create(
            "storageclasses",
            an_object(
                "storage.k8s.io/v1",
                "StorageClass",
                "{ns}-grows",
                provisioner="example.com/p",
                allowVolumeExpansion=True,
            ),
        ).unseen(),
        *(
            create("persistentvolumeclaims", claim(name, storageClassName="{ns}-" + name))
            for name in ("fixed", "grows")
        ),
        *(
            merge(
                f"persistentvolumeclaims/{name}/status", {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}
            ).unseen()
            for name in ("fixed", "grows")
        ),
        *(
            merge(f"persistentvolumeclaims/{name}", {"spec": {"volumeName": "v"}}).unseen()
            for name in ("fixed", "grows")
        ),
        *(
            merge(f"persistentvolumeclaims/{name}", {"spec": {"resources": {"requests": {"storage": "2Gi"}}}})
            for name in ("fixed", "grows")
        ),
        merge("persistentvolumeclaims/grows", {"spec": {"resources": {"requests": {"storage": "1Mi"}}}}),
        merge("persistentvolumeclaims/grows", {"spec": {"storageClassName": "other"}}),
        create("persistentvolumeclaims", claim("e", storageClassName="")),
    ),
    scenario(
        "accounts of pods",
        create("pods", pod("nobody", serviceAccountName="none")),
        create(
            "serviceaccounts", an_object("v1", "ServiceAccount", "shy", automountServiceAccountToken=False)
        ).unseen(),
        create(
            "serviceaccounts", an_object("v1", "ServiceAccount", "pulls", imagePullSecrets=[{"name": "reg"}])
        ).unseen(),
        create("pods", pod("shy", serviceAccountName="shy")),
        create("pods", pod("bold", serviceAccountName="shy", automountServiceAccountToken=True)),
        create("pods", pod("pulls", serviceAccountName="pulls")),
        create("pods", pod("own", serviceAccountName="pulls", imagePullSecrets=[{"name": "mine"}])),
        create(
            "pods",
            pod(
                "mounted",
                a_container(volumeMounts=[{"name": "v", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]),
                volumes=[{"name": "v", "emptyDir": {}}],
            ),
        ),
        create("pods", pod("old", serviceAccount="shy")),
        create("pods", pod("two", serviceAccount="shy", serviceAccountName="pulls")),
        create("pods", pod("still", metadata={"annotations": {"kubernetes.io/config.mirror": "x"}})),
        create(
            "secrets",
            secret(
                "t",
                type="kubernetes.io/service-account-token",
                metadata={"annotations": {"kubernetes.io/service-account.name": "none"}},
            ),
        ),
        delete("serviceaccounts/shy"),
    ),
    scenario(
        "runtimes and tolerations",
        create(
            "runtimeclasses",
            an_object(
                "node.k8s.io/v1",
                "RuntimeClass",
                "{ns}-r",
                handler="h",
                overhead={"podFixed": {"cpu": "10m"}},
                scheduling={"nodeSelector": {"r": "1"}, "tolerations": [{"key": "r", "operator": "Exists"}]},
            ),
        ).unseen(),
        until_status(201, create("pods", pod("probe", runtimeClassName="{ns}-r"), dryRun="All")).unseen(),
        create("pods", pod(runtimeClassName="{ns}-r", nodeSelector={"a": "b"})),
        create("pods", pod("b", runtimeClassName="none")),
        create("pods", pod("c", overhead={"cpu": "1"})),
        create("pods", pod("d", runtimeClassName="{ns}-r", overhead={"cpu": "1"})),
        create("pods", pod("e", runtimeClassName="{ns}-r", nodeSelector={"r": "2"})),
        create(
            "pods",
            pod(
                "f",
                tolerations=[
                    {
                        "key": "node.kubernetes.io/not-ready",
                        "operator": "Exists",
                        "effect": "NoExecute",
                        "tolerationSeconds": 5,
                    }
                ],
            ),
        ),
        create("pods", pod("g", tolerations=[{"operator": "Exists"}])),
    ),
]
