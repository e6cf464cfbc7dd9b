"""The roles and bindings that every cluster has from its first start.

Source: kubernetes (plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go). The roles of Kubernetes' own
controllers are left out: ours run inside the API process and need none.
"""

from collections.abc import Sequence

from flowdeck.kube.objects import Tree, annotations_of

GROUP = "rbac.authorization.k8s.io"
AUTO_UPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_ALL = (*_WRITE, *_READ)


def _rule(groups: str, resources: str, verbs: Sequence[str]) -> Tree:
    """A rule; groups and resources are told apart by spaces, `-` is the core group."""
    return {
        "apiGroups": ["" if group == "-" else group for group in groups.split()],
        "resources": resources.split(),
        "verbs": list(verbs),
    }


def _urls(*urls: str) -> Tree:
    return {"nonResourceURLs": list(urls), "verbs": ["get"]}


_VIEW = [
    _rule("-", "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers"
          " replicationcontrollers/scale serviceaccounts services services/status", _READ),
    _rule("-", "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status"
          " resourcequotas resourcequotas/status", _READ),
    _rule("-", "namespaces", _READ),
    _rule("discovery.k8s.io", "endpointslices", _READ),
    _rule("apps", "controllerrevisions statefulsets statefulsets/status statefulsets/scale daemonsets"
          " daemonsets/status deployments deployments/status deployments/scale replicasets replicasets/status"
          " replicasets/scale", _READ),
    _rule("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", _READ),
    _rule("batch", "jobs cronjobs cronjobs/status jobs/status", _READ),
    _rule("policy", "poddisruptionbudgets poddisruptionbudgets/status", _READ),
    _rule("networking.k8s.io", "networkpolicies ingresses ingresses/status", _READ),
    _rule("resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates", _READ),
]  # fmt: skip

_EDIT = [
    _rule("-", "pods/attach pods/proxy pods/exec pods/portforward secrets services/proxy", _READ),
    _rule("-", "serviceaccounts", ["impersonate"]),
    _rule("-", "pods pods/attach pods/proxy pods/exec pods/portforward", _WRITE),
    _rule("-", "pods/eviction", ["create"]),
    _rule("-", "configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets"
          " serviceaccounts services services/proxy", _WRITE),
    _rule("-", "serviceaccounts/token", ["create"]),
    _rule("-", "events", _WRITE),
    _rule("apps", "statefulsets statefulsets/scale daemonsets deployments deployments/scale deployments/rollback"
          " replicasets replicasets/scale", _WRITE),
    _rule("autoscaling", "horizontalpodautoscalers", _WRITE),
    _rule("batch", "jobs cronjobs", _WRITE),
    _rule("policy", "poddisruptionbudgets", _WRITE),
    _rule("networking.k8s.io", "networkpolicies ingresses", _WRITE),
    _rule("coordination.k8s.io", "leases", _ALL),
    _rule("resource.k8s.io", "resourceclaims resourceclaimtemplates", _WRITE),
]  # fmt: skip

_ADMIN = [
    _rule("authorization.k8s.io", "localsubjectaccessreviews", ["create"]),
    _rule(GROUP, "roles rolebindings", _ALL),
]

NODE_RULES = [
    _rule("authentication.k8s.io", "tokenreviews", ["create"]),
    _rule("authorization.k8s.io", "subjectaccessreviews localsubjectaccessreviews", ["create"]),
    _rule("-", "services", _READ),
    _rule("-", "nodes", ["create", *_READ]),
    _rule("-", "nodes/status", ["patch", "update"]),
    _rule("-", "nodes", ["patch", "update"]),
    _rule("- events.k8s.io", "events", ["create", "patch", "update"]),
    _rule("-", "pods", _READ),
    _rule("-", "pods", ["create", "delete"]),
    _rule("-", "pods/status", ["patch", "update"]),
    _rule("-", "pods/eviction", ["create"]),
    _rule("-", "configmaps secrets", _READ),
    _rule("-", "persistentvolumeclaims persistentvolumes", ["get"]),
    _rule("-", "endpoints", ["get"]),
    _rule("certificates.k8s.io", "certificatesigningrequests", ["create", *_READ]),
    _rule("coordination.k8s.io", "leases", ["create", "delete", "get", "patch", "update"]),
    _rule("storage.k8s.io", "volumeattachments", ["get"]),
    _rule("-", "serviceaccounts/token", ["create"]),
    _rule("-", "persistentvolumeclaims/status", ["get", "patch", "update"]),
    _rule("storage.k8s.io", "csidrivers", _READ),
    _rule("storage.k8s.io", "csinodes", ["create", "delete", "get", "patch", "update"]),
    _rule("node.k8s.io", "runtimeclasses", _READ),
]
"""What the user of a node may do, apart from what `node_authorizer.py` decides object by object."""

_PROXIER = [
    _rule("-", "nodes", _READ),
    _rule("-", "endpoints services", ["list", "watch"]),
    _rule("discovery.k8s.io", "endpointslices", ["list", "watch"]),
    _rule("networking.k8s.io", "servicecidrs", ["list", "watch"]),
    _rule("- events.k8s.io", "events", ["create", "patch", "update"]),
]


def bootstrap_objects() -> list[Tree]:
    """ClusterRoles and ClusterRoleBindings, then the Role in `kube-system`; to be created where they are missing."""
    return [*_cluster_roles(), *_cluster_role_bindings(), *_kube_system()]


def what_is_missing(stored: Tree, wanted: Tree) -> Tree | None:
    """A merge patch that adds the rules or subjects that a stored default object lacks, as after an upgrade.

    None when nothing is missing, and for objects whose `autoupdate` annotation is not `true` (any more).
    """
    if annotations_of(stored).get(AUTO_UPDATE) != "true" or "aggregationRule" in wanted:
        return None
    word = "rules" if "rules" in wanted else "subjects"
    had = stored.get(word) or []
    missing = [item for item in wanted[word] if item not in had]
    return {word: [*had, *missing]} if missing else None


def _cluster_roles() -> list[Tree]:
    everything = [_rule("*", "*", ["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}]
    reviews = _rule("authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", ["create"])
    public = _urls("/healthz", "/livez", "/readyz", "/version", "/version/")
    discovery = _urls(
        "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version",
        "/version/",
    )  # fmt: skip
    monitoring = _urls(
        "/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/slis", "/readyz", "/readyz/*"
    )  # fmt: skip
    issuer = _urls(
        "/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/"
    )  # fmt: skip
    return [
        _role("cluster-admin", everything),
        _role("system:discovery", [discovery]),
        _role("system:monitoring", [monitoring]),
        _role("system:basic-user", [reviews, _rule("authentication.k8s.io", "selfsubjectreviews", ["create"])]),
        _role("system:public-info-viewer", [public]),
        _aggregating("admin", "admin"),
        _aggregating("edit", "edit", labels={_to("admin"): "true"}),
        _aggregating("view", "view", labels={_to("edit"): "true"}),
        _role("system:aggregate-to-admin", _ADMIN, labels={_to("admin"): "true"}),
        _role("system:aggregate-to-edit", _EDIT, labels={_to("edit"): "true"}),
        _role("system:aggregate-to-view", _VIEW, labels={_to("view"): "true"}),
        _role("system:node", NODE_RULES),
        _role("system:node-proxier", _PROXIER),
        _role(
            "system:auth-delegator",
            [
                _rule("authentication.k8s.io", "tokenreviews", ["create"]),
                _rule("authorization.k8s.io", "subjectaccessreviews", ["create"]),
            ],
        ),
        _role("system:service-account-issuer-discovery", [issuer]),
    ]


def _cluster_role_bindings() -> list[Tree]:
    everybody = ("system:authenticated", "system:unauthenticated")
    return [
        _binding("cluster-admin", "cluster-admin", "system:masters"),
        _binding("system:monitoring", "system:monitoring", "system:monitoring"),
        _binding("system:discovery", "system:discovery", "system:authenticated"),
        _binding("system:basic-user", "system:basic-user", "system:authenticated"),
        _binding("system:public-info-viewer", "system:public-info-viewer", *everybody),
        _binding("system:node-proxier", "system:node-proxier", "system:nodes"),
        _binding("system:service-account-issuer-discovery", "system:service-account-issuer-discovery",
                 "system:serviceaccounts"),
    ]  # fmt: skip


def _kube_system() -> list[Tree]:
    name = "extension-apiserver-authentication-reader"
    rule = _rule("-", "configmaps", _READ) | {"resourceNames": ["extension-apiserver-authentication"]}
    return [_object("Role", name, namespace="kube-system") | {"rules": [rule]}]


def _to(name: str) -> str:
    return f"{GROUP}/aggregate-to-{name}"


def _object(kind: str, name: str, *, namespace: str = "", labels: dict[str, str] | None = None) -> Tree:
    metadata: Tree = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    metadata["labels"] = {"kubernetes.io/bootstrapping": "rbac-defaults", **(labels or {})}
    metadata["annotations"] = {AUTO_UPDATE: "true"}
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata}


def _role(name: str, rules: Sequence[Tree], *, labels: dict[str, str] | None = None) -> Tree:
    return _object("ClusterRole", name, labels=labels) | {"rules": list(rules)}


def _aggregating(name: str, gathers: str, *, labels: dict[str, str] | None = None) -> Tree:
    """A role of gathered rules; it already holds those of a fresh cluster."""
    gathered = {"view": _VIEW, "edit": [*_EDIT, *_VIEW], "admin": [*_EDIT, *_VIEW, *_ADMIN]}[name]
    selector = {"matchLabels": {_to(gathers): "true"}}
    return _role(name, gathered, labels=labels) | {"aggregationRule": {"clusterRoleSelectors": [selector]}}


def _binding(name: str, role: str, *groups: str) -> Tree:
    return _object("ClusterRoleBinding", name) | {
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group} for group in groups],
    }
