"""Who somebody is: impersonation, tokens of accounts and what they are bound to, reviews of tokens, nobody."""

from collections.abc import Sequence
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import an_object, binding, config_map, pod, secret
from tests.kubernetes.differential.scenario import Request, Scenario, Step, create, delete, get, scenario, until_status

_API = "authentication.k8s.io/v1"
_SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"


def _who() -> Request:
    return create(_SELF, {"apiVersion": _API, "kind": "SelfSubjectReview"})


def _as(**headers: str) -> Request:
    """`User`, `Group`, `Uid`, `Extra_scopes`."""
    return _who().with_headers({f"Impersonate-{name.replace('_', '-')}": value for name, value in headers.items()})


def _token(account: str = "default", **spec: Any) -> Request:
    return create(f"serviceaccounts/{account}/token", an_object(_API, "TokenRequest", account, spec=spec))


def _review(token: str, *audiences: str) -> Request:
    spec: Tree = {"token": token, **({"audiences": list(audiences)} if audiences else {})}
    return create(_REVIEWS, {"apiVersion": _API, "kind": "TokenReview", "spec": spec})


def _may_impersonate(name: str, *rules: Tree) -> Sequence[Step]:
    """A user who may impersonate somebody, by name `{ns}-NAME`."""
    role = an_object("rbac.authorization.k8s.io/v1", "ClusterRole", f"{{ns}}-{name}", rules=list(rules))
    user = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": f"{{ns}}-{name}"}
    bound = binding("ClusterRoleBinding", f"{{ns}}-{name}", "ClusterRole", f"{{ns}}-{name}", user)
    return [create("clusterroles", role).unseen(), create("clusterrolebindings", bound).unseen()]


def _rule(resource: str, *names: str, group: str = "") -> Tree:
    return {
        "apiGroups": [group],
        "resources": [resource],
        "verbs": ["impersonate"],
        **({"resourceNames": list(names)} if names else {}),
    }


_ACCOUNT = "system:serviceaccount:{ns}:default"

SCENARIOS: Sequence[Scenario] = [
    scenario(
        "who one is",
        _who(),
        _as(User="alice"),
        _as(User="alice", Group="one\ntwo"),
        _as(User="alice", Group="system:authenticated"),
        _as(User="alice", Uid="u-1"),
        _as(User="alice", Extra_scopes="a\nb", Extra_example_com="c"),
        _as(User="alice", **{"Extra_Acme%2Ecom%2Fproject": "x"}),
        _as(User=_ACCOUNT),
        _as(User="system:serviceaccount:{ns}:none"),
        _as(User="system:serviceaccount:bad"),
        _as(User="system:anonymous"),
        _as(User="system:node:x", Group="system:nodes"),
        _as(Group="one"),
        _as(Uid="u"),
        _as(Extra_scopes="a"),
        _as(User=""),
        create(_SELF, {"apiVersion": _API, "kind": "SelfSubjectReview"}, dryRun="All"),
        create(_SELF, {"apiVersion": "authentication.k8s.io/v1beta1", "kind": "SelfSubjectReview"}),
        get(_SELF),
    ),
    scenario(
        "impersonation that is not allowed",
        _as(User="bob").with_token(""),
        _who().by("alice"),
        create("configmaps", config_map()).by("alice"),
        _token().kept("t"),
        _as(User="bob").with_token("{t:status.token}"),
        _as(User="bob", Group="one").with_token("{t:status.token}"),
        _as(User=_ACCOUNT).with_token("{t:status.token}"),
        _as(User="bob", Uid="1").with_token("{t:status.token}"),
        _as(User="bob", Extra_scopes="a").with_token("{t:status.token}"),
    ),
    scenario(
        "impersonation that is allowed in part",
        create(
            "clusterroles",
            an_object(
                "rbac.authorization.k8s.io/v1",
                "ClusterRole",
                "{ns}-imp",
                rules=[
                    _rule("users", "bob"),
                    _rule("groups", "devs"),
                    _rule("userextras/scopes", "read", group="authentication.k8s.io"),
                    _rule("uids", "u-1", group="authentication.k8s.io"),
                ],
            ),
        ).unseen(),
        create(
            "clusterrolebindings",
            binding(
                "ClusterRoleBinding",
                "{ns}-imp",
                "ClusterRole",
                "{ns}-imp",
                {"kind": "ServiceAccount", "name": "default", "namespace": "{ns}"},
            ),
        ).unseen(),
        _token().kept("t").unseen(),
        until_status(201, _as(User="bob").with_token("{t:status.token}")),
        _as(User="carol").with_token("{t:status.token}"),
        _as(User="bob", Group="devs").with_token("{t:status.token}"),
        _as(User="bob", Group="ops").with_token("{t:status.token}"),
        _as(User="bob", Group="devs\nops").with_token("{t:status.token}"),
        _as(User="bob", Extra_scopes="read").with_token("{t:status.token}"),
        _as(User="bob", Extra_scopes="write").with_token("{t:status.token}"),
        _as(User="bob", Extra_other="read").with_token("{t:status.token}"),
        _as(User="bob", Uid="u-1").with_token("{t:status.token}"),
        _as(User="bob", Uid="u-2").with_token("{t:status.token}"),
        _as(User="system:serviceaccount:{ns}:default").with_token("{t:status.token}"),
    ),
    scenario(
        "nobody",
        _who().with_token(""),
        get("configmaps").with_token(""),
        create("configmaps", config_map()).with_token(""),
        get("/healthz").with_token(""),
        get("/version").with_token("").only("major"),
        get("/api").with_token(""),
        get("/apis").with_token(""),
        get("/metrics").with_token(""),
        get("/openapi/v2").with_token(""),
        get("/livez/ping").with_token(""),
        get("/nothing").with_token(""),
        get("configmaps").with_token("nonsense"),
        get("/healthz").with_token("nonsense"),
        get("configmaps").with_token("a.b.c"),
        get("configmaps").with_token("").with_headers({"Authorization": "Basic YTpi"}),
        get("configmaps").with_token("").with_headers({"Authorization": "Bearer"}),
        get("configmaps").with_token("").with_headers({"Authorization": "bearer  nonsense"}),
    ),
    scenario(
        "tokens",
        _token().kept("t"),
        _who().with_token("{t:status.token}"),
        get("configmaps").with_token("{t:status.token}"),
        _token(expirationSeconds=600),
        _token(expirationSeconds=599),
        _token(expirationSeconds=4294967297),
        _token(audiences=["other"]).kept("o"),
        _who().with_token("{o:status.token}"),
        _token(audiences=["https://kubernetes.default.svc.cluster.local", "other"]).kept("both"),
        _who().with_token("{both:status.token}"),
        _token(audiences=[""]),
        _token("none"),
        create("serviceaccounts/default/token", an_object(_API, "TokenRequest", "other", spec={})),
        create(
            "serviceaccounts/default/token",
            {**an_object(_API, "TokenRequest", "default", spec={}), "metadata": {"namespace": "other"}},
        ),
        create("serviceaccounts/default/token", an_object(_API, "TokenRequest", "default", spec={}), dryRun="All"),
        create("serviceaccounts/default/token", config_map()),
        _token().by("alice"),
        delete("serviceaccounts/default").unseen(),
        until_status(401, _who().with_token("{t:status.token}")),
    ),
    scenario(
        "tokens that are bound",
        create("pods", pod()).kept("p").unseen(),
        create("pods", pod("q", serviceAccountName="other")),
        create(
            "secrets",
            secret(
                metadata={"annotations": {"kubernetes.io/service-account.name": "default"}},
                type="kubernetes.io/service-account-token",
            ),
        ).unseen(),
        create("secrets", secret("plain")).unseen(),
        _token(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "a"}).kept("t"),
        _token(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "a", "uid": "{p:metadata.uid}"}),
        _token(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "a", "uid": "other"}),
        _token(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "none"}),
        _token(boundObjectRef={"kind": "Pod", "apiVersion": "v2", "name": "a"}),
        _token(boundObjectRef={"kind": "Secret", "apiVersion": "v1", "name": "plain"}).kept("s"),
        _token(boundObjectRef={"kind": "Node", "apiVersion": "v1", "name": "none"}),
        _token(boundObjectRef={"kind": "ConfigMap", "apiVersion": "v1", "name": "a"}),
        _token(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": ""}),
        _who().with_token("{t:status.token}"),
        _who().with_token("{s:status.token}"),
        _review("{t:status.token}"),
        delete("pods/a", gracePeriodSeconds=0).unseen(),
        until_status(401, _who().with_token("{t:status.token}")),
        _review("{t:status.token}"),
        delete("secrets/plain").unseen(),
        until_status(401, _who().with_token("{s:status.token}")),
    ),
    scenario(
        "a pod of another account",
        create("serviceaccounts", an_object("v1", "ServiceAccount", "other")).unseen(),
        create("pods", pod(serviceAccountName="other")),
        _token(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "a"}),
    ),
    scenario(
        "reviews of tokens",
        _token().kept("t").unseen(),
        _token(audiences=["other", "third"]).kept("o").unseen(),
        _review("{t:status.token}"),
        _review("{t:status.token}", "other"),
        _review("{o:status.token}"),
        _review("{o:status.token}", "other"),
        _review("{o:status.token}", "third", "other", "more"),
        _review("{o:status.token}", "none"),
        _review("nonsense"),
        _review(""),
        create(_REVIEWS, {"apiVersion": _API, "kind": "TokenReview"}),
        create(
            _REVIEWS,
            {
                "apiVersion": _API,
                "kind": "TokenReview",
                "metadata": {"name": "x", "namespace": "y"},
                "spec": {"token": "x"},
            },
        ),
        create(_REVIEWS, {"apiVersion": _API, "kind": "TokenReview", "spec": {"token": 5}}),
        create(_REVIEWS, {"apiVersion": _API, "kind": "Other", "spec": {"token": "x"}}),
        _review("nonsense").by("alice"),
        get(_REVIEWS),
        create(_REVIEWS, {"apiVersion": _API, "kind": "TokenReview", "spec": {"token": "x"}}, dryRun="All"),
    ),
    scenario(
        "what one may without rights",
        *(
            _step.by("alice")
            for _step in (
                get("/api"),
                get("/apis"),
                get("/version").only("major"),
                get("/healthz"),
                get("/readyz"),
                get("/metrics"),
                get("/openapi/v3"),
                get("/logs"),
                get("/apis/apps/v1"),
                get("/nothing"),
            )
        ),
        *(
            get(path).by("alice").only("message")
            for path in ("/api/v1/nodes", "/api/v1/namespaces", "/apis/apps/v1/deployments")
        ),
        alone=True,
    ),
]
