"""What somebody may: roles and bindings, what they give, escalation, bind, reviews of access, texts of refusals."""

from collections.abc import Sequence
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import a_rule, an_object, binding, config_map, deployment, role, secret
from tests.kubernetes.differential.scenario import (
    TABLE,
    Request,
    Scenario,
    Step,
    apply,
    create,
    delete,
    get,
    json_patch,
    merge,
    request,
    scenario,
    until,
    until_status,
    update,
    watch,
)

_API = "rbac.authorization.k8s.io/v1"
_AUTH = "authorization.k8s.io/v1"
_MASTER = "system:masters"


def _user(name: str = "{ns}-u") -> Tree:
    return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}


def _has(*rules: Tree, user: str = "{ns}-u", name: str = "own") -> Sequence[Step]:
    """A user's rights in the namespace, and the moment until they count: a right of which nobody makes use shows it."""
    mark = {"apiGroups": ["mark.example.com"], "resources": [name], "verbs": ["get"]}
    return [
        create("roles", role(name, *rules, mark)).unseen(),
        create("rolebindings", binding("RoleBinding", name, "Role", name, _user(user))).unseen(),
        _until_may(user, name),
    ]


def _has_everywhere(*rules: Tree, user: str = "{ns}-u", name: str = "{ns}-own") -> Sequence[Step]:
    mark = {"apiGroups": ["mark.example.com"], "resources": [name], "verbs": ["get"]}
    return [
        create("clusterroles", an_object(_API, "ClusterRole", name, rules=[*rules, mark])).unseen(),
        create("clusterrolebindings", binding("ClusterRoleBinding", name, "ClusterRole", name, _user(user))).unseen(),
        _until_may(user, name),
    ]


def _until_may(user: str, mark: str) -> Step:
    """A custom group that nobody serves is asked for: 403 until the right is there, then 404."""
    path = f"/apis/mark.example.com/v1/namespaces/{{ns}}/{mark}/x"
    return until_status(404, get(path).by(user)).unseen()


def _mine(step: Request) -> Request:
    return step.by("{ns}-u")


def _access(user: str = "{ns}-u", **spec: Any) -> Request:
    tree = {"apiVersion": _AUTH, "kind": "SubjectAccessReview", "spec": {"user": user, **spec}}
    return create("/apis/authorization.k8s.io/v1/subjectaccessreviews", tree)


def _self_access(**spec: Any) -> Request:
    tree = {"apiVersion": _AUTH, "kind": "SelfSubjectAccessReview", "spec": spec}
    return create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", tree)


def _local_access(namespace: str = "{ns}", **spec: Any) -> Request:
    tree = {"apiVersion": _AUTH, "kind": "LocalSubjectAccessReview", "metadata": {"namespace": namespace}, "spec": spec}
    return create("/apis/authorization.k8s.io/v1/namespaces/{ns}/localsubjectaccessreviews", tree)


def _rules(namespace: str = "{ns}") -> Request:
    tree = {"apiVersion": _AUTH, "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    return create("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", tree)


def _asks(verb: str, resource: str, **more: Any) -> Tree:
    return {"resourceAttributes": {"namespace": "{ns}", "verb": verb, "resource": resource, **more}}


_CONFIG_MAPS = a_rule(resources=["configmaps"])

SCENARIOS: Sequence[Scenario] = [
    scenario(
        "texts of refusals",
        *(
            step.by("alice", "devs")
            for step in (
                get("configmaps"),
                get("configmaps/a"),
                watch("configmaps"),
                create("configmaps", config_map()),
                update("configmaps/a", config_map()),
                merge("configmaps/a", {}),
                apply("configmaps/a", config_map()),
                delete("configmaps/a"),
                delete("configmaps"),
                get("/api/v1/configmaps"),
                get("nodes"),
                get("nodes/a"),
                get("/api/v1/namespaces/{ns}"),
                get("deployments/a/scale"),
                merge("deployments/a/status", {}),
                get("pods/a/log"),
                request("POST", "pods/a/exec", command="x"),
                get("pods/a/exec", command="x"),
                create("pods/a/eviction", an_object("policy/v1", "Eviction")),
                get("services/a/proxy/x"),
                get("/api/v1/nodes/n/proxy/metrics"),
                get("/apis/none.example.com/v1/namespaces/{ns}/things/x"),
                get("/apis/none.example.com/v1/things"),
                get("/nothing"),
                get("/metrics"),
                request("POST", "/healthz", {}),
                request("HEAD", "configmaps"),
                request("PUT", "configmaps", config_map()),
                get("configmaps").accepting(TABLE),
                create("serviceaccounts/default/token", {"spec": {}}),
                create("/apis/authorization.k8s.io/v1/subjectaccessreviews", {}),
            )
        ),
    ),
    scenario(
        "rights in a namespace",
        create("configmaps", config_map()).unseen(),
        _has(
            _CONFIG_MAPS,
            a_rule(resources=["secrets"], resourceNames=["one"], verbs=["get", "list", "delete", "create"]),
            a_rule(apiGroups=["apps"], resources=["deployments/scale", "*/status"], verbs=["*"]),
        ),
        create("deployments", deployment()).unseen(),
        create("secrets", secret("one")).unseen(),
        _mine(get("configmaps")),
        _mine(get("configmaps/a")),
        _mine(watch("configmaps", timeoutSeconds=1)),
        _mine(delete("configmaps/a")),
        _mine(get("/api/v1/configmaps")),
        _mine(get("secrets/one")),
        _mine(get("secrets/two")),
        _mine(get("secrets")),
        _mine(get("secrets", fieldSelector="metadata.name=one")),
        _mine(create("secrets", secret("one"))),
        _mine(create("secrets", secret("two"))),
        _mine(delete("secrets")),
        _mine(get("deployments/a")),
        _mine(get("deployments/a/scale")),
        _mine(merge("deployments/a/scale", {"spec": {"replicas": 2}})),
        _mine(merge("deployments/a/status", {"status": {"replicas": 2}})),
        _mine(apply("configmaps/new", config_map("new"))),
    ),
    scenario(
        "apply needs to make and to patch",
        _has(a_rule(resources=["configmaps"], verbs=["patch"])),
        _mine(apply("configmaps/a", config_map())),
        create("configmaps", config_map()).unseen(),
        _mine(apply("configmaps/a", config_map(data={"x": "y"}))),
        _mine(merge("configmaps/none", {"data": {}})),
    ),
    scenario(
        "rights everywhere and paths",
        _has_everywhere(
            _CONFIG_MAPS,
            {"nonResourceURLs": ["/metrics", "/logs/*"], "verbs": ["get"]},
            a_rule(apiGroups=["*"], resources=["*/scale"], verbs=["get"]),
        ),
        _mine(get("configmaps")),
        _mine(get("/api/v1/namespaces/{ns}-none/configmaps")),
        _mine(get("/api/v1/configmaps", limit=1)).only("kind"),
        _mine(get("/logs/x")),
        _mine(request("POST", "/metrics", {})),
        _mine(get("/metricsx")),
        _mine(get("deployments/none/scale")),
        _mine(get("deployments/none")),
    ),
    scenario(
        "subjects of all sorts",
        create("roles", role("r", _CONFIG_MAPS)).unseen(),
        create("serviceaccounts", an_object("v1", "ServiceAccount", "bot")).unseen(),
        create(
            "rolebindings",
            binding(
                "RoleBinding",
                "g",
                "Role",
                "r",
                {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "{ns}-devs"},
                {"kind": "ServiceAccount", "name": "bot", "namespace": "{ns}"},
            ),
        ).unseen(),
        until_status(200, get("configmaps").by("someone", "{ns}-devs")),
        get("configmaps").by("someone", "other"),
        get("configmaps").by("system:serviceaccount:{ns}:bot"),
        get("configmaps").by("system:serviceaccount:{ns}:default"),
        create("clusterroles", an_object(_API, "ClusterRole", "{ns}-c", rules=[a_rule(resources=["pods"])])).unseen(),
        create("rolebindings", binding("RoleBinding", "c", "ClusterRole", "{ns}-c", _user())).unseen(),
        until_status(200, _mine(get("pods"))),
        _mine(get("secrets")),
        create("rolebindings", binding("RoleBinding", "n", "Role", "nowhere", _user("{ns}-lost"))).unseen(),
        until_status(403, get("configmaps").by("{ns}-lost"), "nowhere"),
        delete("rolebindings/g").unseen(),
        until_status(403, get("configmaps").by("someone", "{ns}-devs")),
    ),
    scenario(
        "escalation",
        _has(
            a_rule(apiGroups=["rbac.authorization.k8s.io"], resources=["roles", "rolebindings"], verbs=["*"]),
            _CONFIG_MAPS,
        ),
        _mine(create("roles", role("same", _CONFIG_MAPS))),
        _mine(create("roles", role("less", a_rule(resources=["configmaps"], verbs=["get"])))),
        _mine(create("roles", role("more", a_rule(resources=["configmaps", "secrets"], verbs=["get", "delete"])))),
        _mine(create("roles", role("named", a_rule(resources=["secrets"], resourceNames=["x"], verbs=["get"])))),
        _mine(create("roles", role("all", {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}))),
        _mine(
            create(
                "roles",
                role("several", a_rule(resources=["secrets"]), a_rule(apiGroups=["apps"], resources=["deployments"])),
            )
        ),
        _mine(merge("roles/less", {"rules": [a_rule(resources=["secrets"], verbs=["get"])]})),
        _mine(merge("roles/less", {"metadata": {"labels": {"a": "b"}}})),
        create("roles", role("big", a_rule(resources=["secrets"]))).unseen(),
        _mine(merge("roles/big", {"metadata": {"labels": {"a": "b"}}})),
        _mine(create("rolebindings", binding("RoleBinding", "x", "Role", "less", _user("bob")))),
        _mine(create("rolebindings", binding("RoleBinding", "y", "Role", "big", _user("bob")))),
        _mine(
            create(
                "rolebindings", binding("RoleBinding", "z", "ClusterRole", "system:aggregate-to-admin", _user("bob"))
            )
        ),
        _mine(create("rolebindings", binding("RoleBinding", "z", "ClusterRole", "cluster-admin", _user("bob")))),
        _mine(create("rolebindings", binding("RoleBinding", "z", "Role", "none", _user("bob")))),
        _mine(create("clusterroles", an_object(_API, "ClusterRole", "{ns}-c", rules=[_CONFIG_MAPS]))),
        _mine(create("roles", role("bad", {"nonResourceURLs": ["/x"], "verbs": ["get"]}))),
    ),
    scenario(
        "escalate and bind",
        _has(
            a_rule(apiGroups=["rbac.authorization.k8s.io"], resources=["roles"], verbs=["create", "patch", "escalate"]),
            a_rule(apiGroups=["rbac.authorization.k8s.io"], resources=["rolebindings"], verbs=["create"]),
            a_rule(
                apiGroups=["rbac.authorization.k8s.io"], resources=["roles"], verbs=["bind"], resourceNames=["mine"]
            ),
            a_rule(
                apiGroups=["rbac.authorization.k8s.io"],
                resources=["clusterroles"],
                verbs=["bind"],
                resourceNames=["edit"],
            ),
        ),
        _mine(create("roles", role("mine", a_rule(resources=["secrets"])))),
        _mine(create("roles", role("other", a_rule(resources=["secrets"])))),
        _mine(merge("roles/mine", {"rules": [a_rule(resources=["*"], verbs=["*"])]})),
        _mine(create("rolebindings", binding("RoleBinding", "a", "Role", "mine", _user("bob")))),
        _mine(create("rolebindings", binding("RoleBinding", "b", "Role", "other", _user("bob")))),
        _mine(create("rolebindings", binding("RoleBinding", "c", "ClusterRole", "edit", _user("bob")))),
        _mine(
            create("rolebindings", binding("RoleBinding", "d", "ClusterRole", "system:aggregate-to-edit", _user("bob")))
        ),
    ),
    scenario(
        "escalation of cluster roles",
        _has_everywhere(
            a_rule(
                apiGroups=["rbac.authorization.k8s.io"],
                resources=["clusterroles", "clusterrolebindings"],
                verbs=["*"],
            ),
            {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
        ),
        _mine(
            create(
                "clusterroles",
                an_object(_API, "ClusterRole", "{ns}-a", rules=[{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]),
            )
        ),
        _mine(
            create(
                "clusterroles",
                an_object(
                    _API,
                    "ClusterRole",
                    "{ns}-b",
                    rules=[{"nonResourceURLs": ["/metrics", "/logs/*"], "verbs": ["get", "post"]}],
                ),
            )
        ),
        _mine(
            create(
                "clusterroles",
                an_object(
                    _API,
                    "ClusterRole",
                    "{ns}-c",
                    aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]},
                    rules=[],
                ),
            )
        ),
        _mine(
            create(
                "clusterrolebindings",
                binding("ClusterRoleBinding", "{ns}-b", "ClusterRole", "cluster-admin", _user("bob")),
            )
        ),
    ),
    scenario(
        "roles that are wrong",
        *(
            create("roles", role("a", bad), dryRun="All")
            for bad in (
                {"apiGroups": [""], "resources": ["pods"], "verbs": []},
                {"apiGroups": [], "resources": ["pods"], "verbs": ["get"]},
                {"apiGroups": [""], "resources": [], "verbs": ["get"]},
                {"nonResourceURLs": ["/x"], "verbs": ["get"]},
                {"verbs": ["get"]},
            )
        ),
        create("roles", an_object(_API, "Role", rules=None), dryRun="All"),
        create("roles", an_object(_API, "Role", "a:b", rules=[])),
        create(
            "clusterroles",
            an_object(_API, "ClusterRole", "{ns}-a", rules=[{"nonResourceURLs": ["x", "/a*b", "*"], "verbs": ["get"]}]),
            dryRun="All",
        ),
        create(
            "clusterroles",
            an_object(
                _API,
                "ClusterRole",
                "{ns}-a",
                rules=[{"nonResourceURLs": ["/x"], "resources": ["pods"], "apiGroups": [""], "verbs": ["get"]}],
            ),
            dryRun="All",
        ),
        create(
            "clusterroles",
            an_object(_API, "ClusterRole", "{ns}-a", aggregationRule={"clusterRoleSelectors": []}),
            dryRun="All",
        ),
        create(
            "clusterroles",
            an_object(
                _API, "ClusterRole", "{ns}-a", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"a b": "c"}}]}
            ),
            dryRun="All",
        ),
        create("clusterroles", an_object(_API, "ClusterRole", "{ns}/a", rules=[]), dryRun="All"),
    ),
    scenario(
        "bindings that are wrong",
        *(
            create("rolebindings", {**binding("RoleBinding", "a", "Role", "r", _user()), **bad}, dryRun="All")
            for bad in (
                {"roleRef": {"kind": "Role", "name": "r"}},
                {"roleRef": {"apiGroup": "other", "kind": "Role", "name": "r"}},
                {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Other", "name": "r"}},
                {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ""}},
                {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a/b"}},
                {"roleRef": None},
                {"subjects": None},
                {"subjects": [{"kind": "User", "name": ""}]},
                {"subjects": [{"kind": "User", "name": "x"}]},
                {"subjects": [{"kind": "User", "name": "x", "apiGroup": "other"}]},
                {"subjects": [{"kind": "ServiceAccount", "name": "x"}]},
                {"subjects": [{"kind": "ServiceAccount", "name": "Bad_", "namespace": "{ns}"}]},
                {
                    "subjects": [
                        {
                            "kind": "ServiceAccount",
                            "name": "x",
                            "namespace": "{ns}",
                            "apiGroup": "rbac.authorization.k8s.io",
                        }
                    ]
                },
                {"subjects": [{"kind": "Robot", "name": "x"}]},
                {
                    "subjects": [
                        {"kind": "Group", "name": "g", "apiGroup": "rbac.authorization.k8s.io", "namespace": "x"}
                    ]
                },
            )
        ),
        create("clusterrolebindings", binding("ClusterRoleBinding", "{ns}-a", "Role", "r", _user()), dryRun="All"),
        create("rolebindings", binding("RoleBinding", "a", "Role", "r", _user())).unseen(),
        merge("rolebindings/a", {"roleRef": {"name": "other"}}),
        merge("rolebindings/a", {"subjects": [_user("bob")]}),
        json_patch("rolebindings/a", ("remove", "/subjects/0")),
    ),
    scenario(
        "reviews of access",
        _has(_CONFIG_MAPS, a_rule(resources=["secrets"], resourceNames=["one"], verbs=["get"])),
        _access(**_asks("get", "configmaps")),
        _access(**_asks("delete", "configmaps")),
        _access(**_asks("get", "secrets", name="one")),
        _access(**_asks("get", "secrets", name="two")),
        _access(**_asks("get", "pods", subresource="log")),
        _access(resourceAttributes={"verb": "get", "resource": "configmaps"}),
        _access("admin", groups=[_MASTER], resourceAttributes={"verb": "*", "resource": "*", "group": "*"}),
        _access("x", groups=["system:authenticated"], nonResourceAttributes={"path": "/api", "verb": "get"}),
        _access("x", nonResourceAttributes={"path": "/metrics", "verb": "get"}),
        _access("system:node:x", groups=["system:nodes"], **_asks("get", "secrets", name="s")),
        _access("", groups=["devs"], **_asks("get", "configmaps")),
        _access(""),
        _access(),
        _access(**_asks("get", "pods"), nonResourceAttributes={"path": "/x", "verb": "get"}),
        _access("x", extra={"k": ["v"]}, uid="u", **_asks("get", "pods")),
        _access(
            resourceAttributes={
                "namespace": "{ns}",
                "verb": "list",
                "resource": "configmaps",
                "labelSelector": {"rawSelector": "a=b"},
                "fieldSelector": {"requirements": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]},
            }
        ),
        _access(
            resourceAttributes={
                "namespace": "{ns}",
                "verb": "list",
                "resource": "configmaps",
                "labelSelector": {"rawSelector": "a=b", "requirements": [{"key": "a", "operator": "Exists"}]},
            }
        ),
        create(
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {
                "apiVersion": _AUTH,
                "kind": "SubjectAccessReview",
                "metadata": {"name": "x"},
                "spec": {"user": "x", **_asks("get", "pods")},
            },
        ),
        create("/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": {"user": "x", **_asks("get", "pods")}}),
        create("/apis/authorization.k8s.io/v1/subjectaccessreviews", config_map()),
        get("/apis/authorization.k8s.io/v1/subjectaccessreviews"),
    ),
    scenario(
        "reviews of oneself",
        _has(_CONFIG_MAPS),
        _mine(_self_access(**_asks("get", "configmaps"))),
        _mine(_self_access(**_asks("delete", "configmaps"))),
        _mine(_self_access(nonResourceAttributes={"path": "/api", "verb": "get"})),
        _mine(_self_access()),
        _self_access(**_asks("delete", "configmaps")),
        _self_access(**_asks("delete", "configmaps"), nonResourceAttributes={"path": "/x", "verb": "get"}),
        _self_access(**_asks("get", "configmaps")).with_token(""),
        _mine(_local_access(user="{ns}-u", **_asks("get", "configmaps"))),
        _local_access(user="{ns}-u", **_asks("get", "configmaps")),
        _local_access("other", user="{ns}-u", **_asks("get", "configmaps")),
        _local_access(user="{ns}-u", resourceAttributes={"namespace": "other", "verb": "get", "resource": "pods"}),
        _local_access(user="{ns}-u", nonResourceAttributes={"path": "/x", "verb": "get"}),
        _local_access(user="{ns}-u"),
    ),
    scenario(
        "rules of oneself",
        _has(_CONFIG_MAPS, a_rule(resources=["secrets"], resourceNames=["one"], verbs=["get"])),
        _mine(_rules()),
        _mine(_rules("")),
        _mine(_rules("{ns}-none")),
        _rules(),
        _rules().by("nobody"),
        _rules().with_token(""),
        _rules().by("system:serviceaccount:{ns}:default"),
    ),
    scenario(
        "roles that are there from the start",
        *(
            get(f"clusterroles/{name}").only("rules")
            for name in (
                "cluster-admin",
                "system:basic-user",
                "system:discovery",
                "system:public-info-viewer",
                "system:node",
                "system:kube-scheduler",
                "system:monitoring",
                "system:auth-delegator",
            )
        ),
        *(
            get(f"clusterrolebindings/{name}")
            for name in ("cluster-admin", "system:basic-user", "system:discovery", "system:public-info-viewer")
        ),
        get("clusterroles/system:aggregate-to-view").only("rules"),
        get("clusterroles/system:aggregate-to-edit").only("rules"),
        get("clusterroles/system:aggregate-to-admin").only("rules"),
        get(
            "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles/extension-apiserver-authentication-reader"
        ).only("rules"),
    ),
    scenario(
        "aggregation",
        create(
            "clusterroles", an_object(_API, "ClusterRole", "{ns}-part", labels={"{ns}": "yes"}, rules=[_CONFIG_MAPS])
        ).unseen(),
        create(
            "clusterroles",
            an_object(
                _API,
                "ClusterRole",
                "{ns}-sum",
                aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"{ns}": "yes"}}]},
                rules=[a_rule(resources=["nodes"])],
            ),
        ).unseen(),
        until("clusterroles/{ns}-sum", "rules.0.resources.0", "configmaps"),
        create(
            "clusterroles",
            an_object(
                _API,
                "ClusterRole",
                "{ns}-qart",
                labels={"{ns}": "yes"},
                rules=[_CONFIG_MAPS, a_rule(resources=["secrets"])],
            ),
        ).unseen(),
        until("clusterroles/{ns}-sum", "rules.1.resources.0", "secrets"),
        delete("clusterroles/{ns}-qart").unseen(),
        until("clusterroles/{ns}-sum", "rules", [_CONFIG_MAPS]),
        get("clusterroles/admin").only("rules"),
        get("clusterroles/edit").only("rules"),
        get("clusterroles/view").only("rules"),
        whole=True,
    ),
]
