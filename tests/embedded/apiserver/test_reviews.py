"""Reviews: who a token is, who I am, what somebody may do; and asking for tokens."""

from pathlib import Path

import orjson
import pytest

from flowdeck.clock import FakeClock
from flowdeck.embedded.apiserver.authentication import BearerTokens
from flowdeck.embedded.apiserver.bootstrap_roles import bootstrap_objects
from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Resource, User
from flowdeck.embedded.apiserver.node_authorizer import NodeAuthorizer
from flowdeck.embedded.apiserver.pki import prepare
from flowdeck.embedded.apiserver.rbac import FirstThatAllows, RbacAuthorizer
from flowdeck.embedded.apiserver.reviews import Reviews, discovery_routes
from flowdeck.embedded.apiserver.token_requests import TokenRequests
from flowdeck.embedded.apiserver.tokens import ServiceAccountTokens
from flowdeck.kube.errors import ApiError, BadRequest, Conflict, Forbidden, Invalid, NotFound
from flowdeck.kube.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, NODE, POD, ROLE, ROLE_BINDING, SERVICE_ACCOUNT
from flowdeck.kube.objects import Kind, ObjectKey, Tree
from flowdeck.kube.schema import Schema
from tests.embedded.apiserver.in_memory import InMemoryStorage

_KINDS = {kind.kind: kind for kind in (CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING)}
_REVIEWS = {
    "tokenreviews": "TokenReview",
    "selfsubjectreviews": "SelfSubjectReview",
    "subjectaccessreviews": "SubjectAccessReview",
    "localsubjectaccessreviews": "LocalSubjectAccessReview",
    "selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "selfsubjectrulesreviews": "SelfSubjectRulesReview",
}
BOB = User("bob", groups=("system:authenticated",))
NODE_USER = User("system:node:n1", groups=("system:nodes",))
KEY = ObjectKey("team", "builder")


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.storage = InMemoryStorage(*((_KINDS[obj["kind"]], obj) for obj in bootstrap_objects()))
        self.storage.put(SERVICE_ACCOUNT, {"metadata": {"name": "builder", "namespace": "team"}})
        self.storage.put(NODE, {"metadata": {"name": "n1"}})
        spec = {"serviceAccountName": "builder", "nodeName": "n1"}
        self.storage.put(POD, {"metadata": {"name": "pod", "namespace": "team"}, "spec": spec})
        self.storage.put(POD, {"metadata": {"name": "other", "namespace": "team"}, "spec": {}})
        role = {"kind": "ClusterRole", "name": "view"}
        binding = {"metadata": {"name": "b", "namespace": "team"}, "roleRef": role,
                   "subjects": [{"kind": "User", "name": "bob"}]}  # fmt: skip
        self.storage.put(ROLE_BINDING, binding)
        pki = prepare(folder, node="n1", now=self.clock.now())
        self.tokens = ServiceAccountTokens(
            pki.service_account, storage=self.storage, clock=self.clock, issuer="https://kubernetes"
        )
        self.requests = TokenRequests(tokens=self.tokens, storage=self.storage, clock=self.clock)
        rbac = RbacAuthorizer(self.storage)
        authorizer = FirstThatAllows([NodeAuthorizer(self.storage), rbac])
        self.reviews = Reviews(tokens=BearerTokens([self.tokens]), authorizer=authorizer, rbac=rbac)

    async def ask(self, resource: str, spec: Tree, *, user: User = BOB, namespace: str = "") -> Tree:
        plural, _, group = resource.partition(".")
        kind = Kind(group, "v1", _REVIEWS[plural], plural, namespaced=bool(namespace))
        info = RequestInfo(
            method="POST", path="", query={}, queries={}, headers={}, user=user, verb="create",
            resource=Resource(kind=kind, singular="", verbs=("create",), schema=Schema.compile({"type": "object"}),
                              strategy=None, storage_version="v1"),
            key=ObjectKey(namespace, ""), body=orjson.dumps({"spec": spec}),
        )  # fmt: skip
        answer: Answer = await self.reviews.handlers()[resource](info)
        assert answer.code == 201
        assert answer.obj is not None
        return answer.obj["status"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


SAR = "subjectaccessreviews.authorization.k8s.io"
SELF = "selfsubjectaccessreviews.authorization.k8s.io"
LOCAL = "localsubjectaccessreviews.authorization.k8s.io"
PODS = {"verb": "list", "resource": "pods", "namespace": "team"}


async def test_a_good_token_is_reviewed_with_its_user_and_audience(world: World) -> None:
    token = world.requests.create(KEY, {"spec": {"audiences": ["vault"]}}, BOB)["status"]["token"]
    status = await world.ask("tokenreviews.authentication.k8s.io", {"token": token, "audiences": ["vault"]})
    assert status["authenticated"] is True
    assert status["audiences"] == ["vault"]
    assert status["user"]["username"] == "system:serviceaccount:team:builder"
    assert status["user"]["groups"][-1] == "system:authenticated"


async def test_a_bad_token_is_reviewed_with_the_reason(world: World) -> None:
    token = world.requests.create(KEY, {"spec": {"expirationSeconds": 600}}, BOB)["status"]["token"]
    world.clock.advance(601)
    status = await world.ask("tokenreviews.authentication.k8s.io", {"token": token})
    assert status == {"user": {}, "error": "[invalid bearer token, service account token has expired]"}


async def test_everybody_may_ask_who_they_are(world: World) -> None:
    status = await world.ask(
        "selfsubjectreviews.authentication.k8s.io", {}, user=User("eve", "7", ("dev",), {"k": ("v",)})
    )
    assert status["userInfo"] == {"username": "eve", "uid": "7", "groups": ["dev"], "extra": {"k": ["v"]}}


@pytest.mark.parametrize(
    ("resource", "spec", "allowed"),
    [
        (SAR, {"user": "bob", "resourceAttributes": PODS}, True),
        (SAR, {"user": "eve", "resourceAttributes": PODS}, False),
        (SAR, {"groups": ["system:masters"], "resourceAttributes": PODS}, True),
        (SAR, {"user": "bob", "nonResourceAttributes": {"verb": "get", "path": "/metrics"}}, False),
        (SELF, {"resourceAttributes": PODS}, True),
        (SELF, {"resourceAttributes": PODS | {"verb": "create"}}, False),
        (SELF, {"nonResourceAttributes": {"verb": "get", "path": "/version"}}, True),
    ],
)
async def test_access_reviews_answer_as_the_authorizer(world: World, resource, spec, allowed) -> None:
    assert (await world.ask(resource, spec))["allowed"] is allowed


async def test_the_answer_says_why(world: World) -> None:
    status = await world.ask(SELF, {"resourceAttributes": PODS})
    assert status["reason"] == 'RBAC: allowed by RoleBinding "b/team" of ClusterRole "view" to User "bob"'


@pytest.mark.parametrize(
    ("resource", "spec", "error"),
    [
        (SAR, {"resourceAttributes": PODS}, Invalid),
        (SAR, {"user": "bob"}, Invalid),
        (SELF, {"resourceAttributes": PODS, "nonResourceAttributes": {}}, Invalid),
        (LOCAL, {"user": "bob", "resourceAttributes": PODS}, Invalid),
        ("tokenreviews.authentication.k8s.io", {}, BadRequest),
        ("selfsubjectrulesreviews.authorization.k8s.io", {}, BadRequest),
    ],
)
async def test_incomplete_questions_are_refused(world: World, resource: str, spec: Tree, error: type[ApiError]) -> None:
    with pytest.raises(error):
        await world.ask(resource, spec, namespace="other")


async def test_somebody_can_list_what_they_may_do(world: World) -> None:
    status = await world.ask("selfsubjectrulesreviews.authorization.k8s.io", {"namespace": "team"})
    assert any("pods" in rule["resources"] for rule in status["resourceRules"])
    assert any("/apis" in rule["nonResourceURLs"] for rule in status["nonResourceRules"])
    assert status["incomplete"] is False


def test_a_pods_token_is_bound_to_its_node_too(world: World) -> None:
    made = world.requests.create(
        KEY, {"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "pod"}}}, BOB
    )
    assert made["spec"]["audiences"] == ["https://kubernetes"]
    assert made["spec"]["expirationSeconds"] == 3600
    assert made["status"]["expirationTimestamp"] == "2026-01-01T01:00:00Z"


@pytest.mark.parametrize(
    ("key", "spec", "user", "error", "text"),
    [
        (ObjectKey("team", "x"), {}, BOB, NotFound, 'serviceaccounts "x" not found'),
        (KEY, {"expirationSeconds": 10}, BOB, Invalid, 'TokenRequest.authentication.k8s.io "" is invalid: '
         "spec.expirationSeconds: Invalid value: 10: may not specify a duration less than 10 minutes"),
        (KEY, {"boundObjectRef": {"kind": "Pod", "name": "x"}}, BOB, NotFound, 'pods "x" not found'),
        (KEY, {"boundObjectRef": {"kind": "Pod", "name": "other"}}, BOB, BadRequest, 'cannot bind token for '
         'serviceaccount "builder" to pod running with different serviceaccount name.'),
        (KEY, {"boundObjectRef": {"kind": "Pod", "name": "pod", "uid": "old"}}, BOB, Conflict, "not match the UID"),
        (KEY, {"boundObjectRef": {"kind": "Job", "name": "x"}}, BOB, BadRequest, "cannot bind token to object of type"),
        (KEY, {}, NODE_USER, Forbidden, "node requested token not bound to a pod"),
    ],
)  # fmt: skip
def test_orders_that_cannot_be_filled_are_refused(world: World, key, spec, user, error, text: str) -> None:
    with pytest.raises(error) as refused:
        world.requests.create(key, {"spec": spec}, user)
    assert text in str(refused.value)


async def test_the_issuers_documents_are_served(world: World) -> None:
    routes = discovery_routes(world.tokens)
    info = RequestInfo(method="GET", path="", query={}, queries={}, headers={}, user=BOB, verb="get")
    answer = await routes["/openid/v1/jwks"](info)
    assert answer.content_type == "application/jwk-set+json"
    assert answer.obj == world.tokens.key_set()
