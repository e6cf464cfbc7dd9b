"""What roles and bindings allow, and the words of a refusal."""

import pytest

from flowdeck.embedded.apiserver.bootstrap_roles import bootstrap_objects
from flowdeck.embedded.apiserver.contract import ANONYMOUS, Attributes, User
from flowdeck.embedded.apiserver.forbidden import forbidden
from flowdeck.embedded.apiserver.node_authorizer import NodeAuthorizer
from flowdeck.embedded.apiserver.rbac import FirstThatAllows, RbacAuthorizer, Rule, missing_rules, rule_text
from flowdeck.kube.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, PERSISTENT_VOLUME, POD, ROLE, ROLE_BINDING
from flowdeck.kube.objects import ObjectKey, Tree
from tests.embedded.apiserver.in_memory import InMemoryStorage
from tests.world.world import World

BOB = User("bob", groups=("dev", "system:authenticated"))
NODE = User("system:node:n1", groups=("system:nodes", "system:authenticated"))
_KINDS = {kind.kind: kind for kind in (CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING)}


def a_cluster(*more: tuple) -> InMemoryStorage:
    return InMemoryStorage(*((_KINDS[obj["kind"]], obj) for obj in bootstrap_objects()), *more)


def a_role(name: str, *rules: Tree, namespace: str = "team") -> tuple:
    return ROLE, {"metadata": {"name": name, "namespace": namespace}, "rules": list(rules)}


def a_binding(role: str, *subjects: Tree, kind: str = "Role", namespace: str = "team") -> tuple:
    where = {"namespace": namespace} if namespace else {}
    return (ROLE_BINDING if namespace else CLUSTER_ROLE_BINDING), {
        "metadata": {"name": f"{role}-binding", **where},
        "roleRef": {"kind": kind, "name": role},
        "subjects": list(subjects),
    }


def a_user(name: str) -> Tree:
    return {"kind": "User", "name": name}


def rule(groups: str = "", resources: str = "pods", verbs: str = "get", **more: list[str]) -> Tree:
    return {"apiGroups": groups.split(",") if groups else [""], "resources": resources.split(","),
            "verbs": verbs.split(","), **more}  # fmt: skip


def ask(user: User, verb: str, resource: str = "", **more: str) -> Attributes:
    return Attributes(user, verb, resource=resource, **more)


@pytest.mark.parametrize(
    ("given", "asked", "allowed"),
    [
        (rule(), {"verb": "get", "resource": "pods"}, True),
        (rule(), {"verb": "list", "resource": "pods"}, False),
        (rule(), {"verb": "get", "resource": "pods", "subresource": "log"}, False),
        (rule(), {"verb": "get", "resource": "pods", "group": "metrics.k8s.io"}, False),
        (rule(), {"verb": "get", "resource": "pods", "namespace": "other"}, False),
        (rule(verbs="*"), {"verb": "delete", "resource": "pods"}, True),
        (rule(resources="pods/log"), {"verb": "get", "resource": "pods", "subresource": "log"}, True),
        (rule(resources="pods/log"), {"verb": "get", "resource": "pods"}, False),
        (rule(resources="*/scale"), {"verb": "get", "resource": "jobs", "subresource": "scale"}, True),
        (rule(resources="*"), {"verb": "get", "resource": "pods", "subresource": "log"}, True),
        (rule("*", "*"), {"verb": "get", "resource": "x", "group": "y"}, True),
        (rule(resourceNames=["a"]), {"verb": "get", "resource": "pods", "name": "a"}, True),
        (rule(resourceNames=["a"]), {"verb": "get", "resource": "pods", "name": "b"}, False),
        (rule(resourceNames=["a"]), {"verb": "get", "resource": "pods"}, False),
    ],
)
def test_a_rule_allows_just_what_it_says(given: Tree, asked: dict, allowed: bool) -> None:
    authorizer = RbacAuthorizer(InMemoryStorage(a_role("r", given), a_binding("r", a_user("bob"))))
    assert authorizer.authorize(Attributes(BOB, **({"namespace": "team"} | asked))).allowed is allowed


@pytest.mark.parametrize(
    ("user", "subject", "allowed"),
    [
        (BOB, a_user("bob"), True),
        (BOB, a_user("eve"), False),
        (BOB, {"kind": "Group", "name": "dev"}, True),
        (BOB, {"kind": "Group", "name": "ops"}, False),
        (
            User("system:serviceaccount:team:builder"),
            {"kind": "ServiceAccount", "name": "builder", "namespace": "team"},
            True,
        ),
        (
            User("system:serviceaccount:other:builder"),
            {"kind": "ServiceAccount", "name": "builder", "namespace": "team"},
            False,
        ),
    ],
)
def test_a_binding_is_for_its_subjects(user: User, subject: Tree, allowed: bool) -> None:
    authorizer = RbacAuthorizer(InMemoryStorage(a_role("r", rule()), a_binding("r", subject)))
    assert authorizer.authorize(ask(user, "get", "pods", namespace="team")).allowed is allowed


@pytest.mark.parametrize(
    ("user", "verb", "path", "allowed"),
    [
        (ANONYMOUS, "get", "/version", True),
        (ANONYMOUS, "get", "/healthz", True),
        (ANONYMOUS, "get", "/apis", False),
        (ANONYMOUS, "post", "/version", False),
        (BOB, "get", "/apis", True),
        (BOB, "get", "/openapi/v3/apis/apps/v1", True),
        (BOB, "get", "/metrics", False),
    ],
)
def test_discovery_is_for_whom_upstream_gives_it(user: User, verb: str, path: str, allowed: bool) -> None:
    assert RbacAuthorizer(a_cluster()).authorize(Attributes(user, verb, path=path)).allowed is allowed


@pytest.mark.parametrize(
    ("role", "verb", "resource", "group", "allowed"),
    [
        ("view", "list", "pods", "", True),
        ("view", "get", "secrets", "", False),
        ("view", "create", "pods", "", False),
        ("edit", "create", "jobs", "batch", True),
        ("edit", "get", "secrets", "", True),
        ("edit", "create", "rolebindings", "rbac.authorization.k8s.io", False),
        ("admin", "create", "rolebindings", "rbac.authorization.k8s.io", True),
        ("admin", "update", "resourcequotas", "", False),
        ("cluster-admin", "delete", "anything", "acme.com", True),
    ],
)
def test_the_default_roles_give_what_upstream_gives(role, verb, resource, group, allowed) -> None:
    storage = a_cluster(a_binding(role, a_user("bob"), kind="ClusterRole"))
    asked = ask(BOB, verb, resource, group=group, namespace="team")
    assert RbacAuthorizer(storage).authorize(asked).allowed is allowed


def test_a_labelled_role_joins_view_edit_and_admin_at_once() -> None:
    storage = a_cluster(a_binding("admin", a_user("bob"), kind="ClusterRole"))
    authorizer = RbacAuthorizer(storage)
    asked = ask(BOB, "list", "trainjobs", group="trainer.kubeflow.org", namespace="team")
    assert not authorizer.authorize(asked).allowed
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    role = {"metadata": {"name": "kf", "labels": labels}, "rules": [rule("trainer.kubeflow.org", "trainjobs", "list")]}
    storage.put(CLUSTER_ROLE, role)
    assert authorizer.authorize(asked).allowed
    storage.remove(CLUSTER_ROLE, ObjectKey("", "kf"))
    assert not authorizer.authorize(asked).allowed


def test_masters_may_do_everything_without_any_role() -> None:
    root = User("root", groups=("system:masters",))
    assert RbacAuthorizer(InMemoryStorage()).authorize(ask(root, "delete", "nodes")).allowed


def test_the_reason_names_binding_role_and_subject() -> None:
    storage = a_cluster(a_role("r", rule()), a_binding("r", {"kind": "ServiceAccount", "name": "builder"}))
    decision = RbacAuthorizer(storage).authorize(
        ask(User("system:serviceaccount:team:builder"), "get", "pods", namespace="team")
    )
    assert decision.reason == (
        'RBAC: allowed by RoleBinding "r-binding/team" of Role "r" to ServiceAccount "builder/team"'
    )


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (
            ask(BOB, "list", "pods", namespace="default"),
            'pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "default"',
        ),
        (
            ask(BOB, "get", "jobs", group="batch", namespace="team", name="x", subresource="status"),
            'jobs.batch "x" is forbidden: User "bob" cannot get resource "jobs/status" in API group "batch" in the '
            'namespace "team"',
        ),
        (
            ask(BOB, "delete", "nodes", name="n1"),
            'nodes "n1" is forbidden: User "bob" cannot delete resource "nodes" in API group "" at the cluster scope',
        ),
        (Attributes(BOB, "get", path="/metrics"), 'forbidden: User "bob" cannot get path "/metrics"'),
    ],
)
def test_a_refusal_reads_as_upstreams(asked: Attributes, text: str) -> None:
    assert str(forbidden(asked)) == text


def test_a_binding_to_a_missing_role_is_told() -> None:
    storage = InMemoryStorage(a_binding("gone", a_user("bob"), kind="ClusterRole", namespace=""))
    asked = ask(BOB, "list", "pods")
    decision = RbacAuthorizer(storage).authorize(asked)
    assert str(forbidden(asked, decision.reason)).endswith(
        'at the cluster scope: RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found'
    )


@pytest.mark.parametrize(
    ("owned", "wanted", "missing"),
    [
        ([rule(verbs="get,list")], rule(verbs="get"), []),
        (
            [rule(verbs="get")],
            rule(verbs="get,list,watch"),
            ['{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}'],
        ),
        ([rule(verbs="*")], rule(verbs="get", resourceNames=["a"]), []),
        (
            [rule(resourceNames=["a"])],
            rule(resourceNames=["a", "b"]),
            ['{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]}'],
        ),
        ([rule(resourceNames=["a"])], rule(), ['{APIGroups:[""], Resources:["pods"], Verbs:["get"]}']),
        ([rule()], rule("*", "*", "*"), ['{APIGroups:["*"], Resources:["*"], Verbs:["*"]}']),
        ([rule("*", "*", "*")], rule("apps", "deployments/scale", "update"), []),
        (
            [{"nonResourceURLs": ["/api/*"], "verbs": ["get"]}],
            {"nonResourceURLs": ["/api/x", "/metrics"], "verbs": ["get"]},
            ['{NonResourceURLs:["/metrics"], Verbs:["get"]}'],
        ),
        (
            [],
            rule("apps", "deployments,statefulsets", "get,list"),
            [
                '{APIGroups:["apps"], Resources:["deployments"], Verbs:["get" "list"]}',
                '{APIGroups:["apps"], Resources:["statefulsets"], Verbs:["get" "list"]}',
            ],
        ),
    ],
)
def test_what_a_user_lacks_of_a_rule(owned: list[Tree], wanted: Tree, missing: list[str]) -> None:
    found = missing_rules([Rule.of(tree) for tree in owned], [Rule.of(wanted)])
    assert [rule_text(item) for item in found] == missing


def a_pod(node: str, **spec: object) -> tuple:
    return POD, {"metadata": {"name": f"pod-{node}", "namespace": "team"}, "spec": {"nodeName": node, **spec}}


_PODS = [
    a_pod(
        "n1",
        serviceAccountName="builder",
        imagePullSecrets=[{"name": "pull"}],
        volumes=[
            {"name": "v", "secret": {"secretName": "mounted"}},
            {"name": "w", "persistentVolumeClaim": {"claimName": "claim"}},
            {"name": "x", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}},
        ],
        containers=[{"name": "c", "envFrom": [{"configMapRef": {"name": "env"}}],
                     "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}}]}],
    ),
    a_pod("n2", volumes=[{"name": "v", "secret": {"secretName": "elsewhere"}}]),
    (PERSISTENT_VOLUME, {"metadata": {"name": "pv"}, "spec": {"claimRef": {"namespace": "team", "name": "claim"}}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "resource", "name", "more", "allowed"),
    [
        ("get", "secrets", "mounted", {}, True),
        ("watch", "secrets", "key", {}, True),
        ("get", "secrets", "pull", {}, True),
        ("get", "secrets", "elsewhere", {}, False),
        ("list", "secrets", "", {}, False),
        ("update", "secrets", "mounted", {}, False),
        ("get", "configmaps", "env", {}, True),
        ("get", "configmaps", "kube-root-ca.crt", {}, True),
        ("get", "configmaps", "other", {}, False),
        ("get", "persistentvolumeclaims", "claim", {}, True),
        ("get", "persistentvolumes", "pv", {"namespace": ""}, True),
        ("create", "serviceaccounts", "builder", {"subresource": "token"}, True),
        ("create", "serviceaccounts", "default", {"subresource": "token"}, False),
        ("list", "pods", "", {"namespace": ""}, True),
        ("patch", "pods", "pod-n1", {"subresource": "status"}, True),
        ("delete", "namespaces", "team", {"namespace": ""}, False),
        ("update", "leases", "n1", {"group": "coordination.k8s.io", "namespace": "kube-node-lease"}, True),
        ("update", "leases", "n2", {"group": "coordination.k8s.io", "namespace": "kube-node-lease"}, False),
        ("update", "leases", "n1", {"group": "coordination.k8s.io"}, False),
        ("list", "endpointslices", "", {"group": "discovery.k8s.io", "namespace": ""}, True),
    ],
)
def test_a_node_touches_only_what_its_pods_need(verb, resource, name, more, allowed) -> None:
    storage = a_cluster(*_PODS)
    authorizer = FirstThatAllows([NodeAuthorizer(storage), RbacAuthorizer(storage)])
    asked = Attributes(NODE, verb, resource=resource, name=name, **({"namespace": "team"} | more))
    assert authorizer.authorize(asked).allowed is allowed


def test_a_nodes_refusal_says_that_nothing_relates_it_to_the_object() -> None:
    asked = ask(NODE, "get", "secrets", namespace="team", name="elsewhere")
    storage = a_cluster(*_PODS)
    decision = FirstThatAllows([NodeAuthorizer(storage), RbacAuthorizer(storage)]).authorize(asked)
    assert decision.reason == "no relationship found between node 'n1' and this object"


async def test_a_default_role_gets_back_at_a_start_what_it_lacks(world: World) -> None:
    key = ObjectKey("", "system:discovery")
    await world.client.patch(CLUSTER_ROLE, key, {"rules": []})
    extra = {"kind": "Group", "name": "ops", "apiGroup": "rbac.authorization.k8s.io"}
    binding = await world.client.get(CLUSTER_ROLE_BINDING, key)
    await world.client.patch(CLUSTER_ROLE_BINDING, key, {"subjects": [extra]})
    await world.api.bootstrap()
    assert (await world.client.get(CLUSTER_ROLE, key))["rules"]
    assert (await world.client.get(CLUSTER_ROLE_BINDING, key))["subjects"] == [extra, *binding["subjects"]]


async def test_a_default_role_that_its_owner_keeps_is_left_alone(world: World) -> None:
    key = ObjectKey("", "system:discovery")
    own = {"metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}, "rules": []}
    await world.client.patch(CLUSTER_ROLE, key, own)
    await world.api.bootstrap()
    assert not (await world.client.get(CLUSTER_ROLE, key)).get("rules")


async def test_a_second_start_writes_nothing(world: World) -> None:
    revision = world.api.store.revision
    await world.api.bootstrap()
    assert world.api.store.revision == revision
