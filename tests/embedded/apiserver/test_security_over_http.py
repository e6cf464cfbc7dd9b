"""The front of the API server as clients meet it over TLS: who they are, what they may, how refusals read."""

import asyncio
import base64
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowdeck.embedded.apiserver import pki
from flowdeck.kube.objects import Tree
from tests.embedded.apiserver.served import served

PODS = "/api/v1/namespaces/default/pods"
ROLES = "/apis/rbac.authorization.k8s.io/v1"


class Front:
    """A running server, and clients of it."""

    def __init__(self, keys: pki.Pki, port: int) -> None:
        self.keys = keys
        self.url = f"https://127.0.0.1:{port}"
        self._clients: list[httpx.AsyncClient] = []

    def client(self, certificate: Path | None = None, **headers: str) -> httpx.AsyncClient:
        context = pki.client_context(self.keys, certificate)
        client = httpx.AsyncClient(base_url=self.url, verify=context, headers=headers, trust_env=False)
        self._clients.append(client)
        return client

    @property
    def admin(self) -> httpx.AsyncClient:
        return self.client(self.keys.admin)

    @property
    def node(self) -> httpx.AsyncClient:
        return self.client(self.keys.node)

    async def make(self, path: str, obj: Tree) -> Tree:
        answer = await self.admin.post(path, json=obj)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def token(self, account: str = "default", **spec: Any) -> str:
        made = await self.make(f"/api/v1/namespaces/default/serviceaccounts/{account}/token", {"spec": spec})
        return made["status"]["token"]

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with served(tmp_path) as running:
        front = Front(running.keys, running.port)
        yield front
        await front.close()


def a_pod(name: str = "p", **spec: Any) -> Tree:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]} | spec,
    }


async def who(client: httpx.AsyncClient) -> Tree:
    review = await client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json={})
    return review.json()["status"]["userInfo"]


async def test_the_administrators_certificate_may_do_everything(front: Front) -> None:
    assert (await who(front.admin))["username"] == "kubernetes-admin"
    assert (await front.admin.get("/api/v1/namespaces/kube-system/secrets")).status_code == 200


async def test_nobody_reads_the_version_and_nothing_else(front: Front) -> None:
    nobody = front.client()
    assert (await nobody.get("/version")).status_code == 200
    refused = await nobody.get(PODS)
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the namespace '
        '"default"'
    )
    assert refused.json()["details"] == {"kind": "pods"}


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0."])
async def test_a_bad_token_is_unauthorized(front: Front, token: str) -> None:
    refused = await front.client(Authorization=f"Bearer {token}").get("/version")
    assert refused.status_code == 401
    assert refused.json() == {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
        "reason": "Unauthorized", "code": 401,
    }  # fmt: skip


async def test_an_account_uses_its_token_until_it_is_deleted(front: Front) -> None:
    await front.make("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "robot"}})
    robot = front.client(Authorization=f"Bearer {await front.token('robot')}")
    assert (await who(robot))["username"] == "system:serviceaccount:default:robot"
    refused = await robot.get("/api/v1/nodes")
    assert refused.json()["message"] == (
        'nodes is forbidden: User "system:serviceaccount:default:robot" cannot list resource "nodes" in API group '
        '"" at the cluster scope'
    )
    await front.admin.delete("/api/v1/namespaces/default/serviceaccounts/robot")
    assert (await robot.get("/version")).status_code == 401


async def test_a_token_for_another_audience_is_refused_here_and_known_by_review(front: Front) -> None:
    token = await front.token(audiences=["vault"])
    assert (await front.client(Authorization=f"Bearer {token}").get("/version")).status_code == 401
    review = {"spec": {"token": token, "audiences": ["vault"]}}
    answer = await front.make("/apis/authentication.k8s.io/v1/tokenreviews", review)
    assert answer["status"]["authenticated"] is True
    assert answer["status"]["audiences"] == ["vault"]


async def test_a_binding_takes_effect_at_once(front: Front) -> None:
    robot = front.client(Authorization=f"Bearer {await front.token()}")
    assert (await robot.get(PODS)).status_code == 403
    binding = {
        "metadata": {"name": "robot-views"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    }
    await front.make(f"{ROLES}/namespaces/default/rolebindings", binding)
    assert (await robot.get(PODS)).status_code == 200
    assert (await robot.get("/api/v1/namespaces/default/secrets")).status_code == 403
    await front.admin.delete(f"{ROLES}/namespaces/default/rolebindings/robot-views")
    assert (await robot.get(PODS)).status_code == 403


async def test_the_administrator_acts_as_others_and_others_may_not(front: Front) -> None:
    headers = [("Impersonate-User", "bob"), ("Impersonate-Group", "dev"), ("Impersonate-Group", "ops")]
    seen = await front.admin.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json={}, headers=headers)
    assert seen.json()["status"]["userInfo"] == {"username": "bob", "groups": ["dev", "ops", "system:authenticated"]}
    refused = await front.node.get(PODS, headers={"Impersonate-User": "bob"})
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        'users "bob" is forbidden: User "system:node:n1" cannot impersonate resource "users" in API group "" at the '
        "cluster scope"
    )


async def test_nobody_hands_out_more_than_he_has(front: Front) -> None:
    role = {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
    grants = {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]}
    await front.make(f"{ROLES}/namespaces/default/roles", {"metadata": {"name": "maker"}, "rules": [grants]})
    binding = {
        "metadata": {"name": "maker"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "maker"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
    }
    await front.make(f"{ROLES}/namespaces/default/rolebindings", binding)
    bob = {"Impersonate-User": "bob"}
    refused = await front.admin.post(f"{ROLES}/namespaces/default/roles", json=role, headers=bob)
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        'roles.rbac.authorization.k8s.io "r" is forbidden: user "bob" (groups=["system:authenticated"]) is attempting '
        'to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["get"]}'
    )


async def test_a_node_reads_the_secrets_of_its_own_pods_only(front: Front) -> None:
    secrets = "/api/v1/namespaces/default/secrets"
    for name in ("mine", "other"):
        await front.make(secrets, {"metadata": {"name": name}})
    volumes = [{"name": "v", "secret": {"secretName": "mine"}}]
    await front.make(PODS, a_pod(nodeName="n1", volumes=volumes))
    assert (await front.node.get(f"{secrets}/mine")).status_code == 200
    refused = await front.node.get(f"{secrets}/other")
    assert refused.status_code == 403
    assert refused.json()["message"].endswith("no relationship found between node 'n1' and this object")


async def test_a_pod_gets_its_account_token_volume_and_tolerations(front: Front) -> None:
    spec = (await front.make(PODS, a_pod()))["spec"]
    assert spec["serviceAccountName"] == "default"
    assert spec["volumes"][0]["name"].startswith("kube-api-access-")
    assert [item["key"] for item in spec["tolerations"]] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")


async def test_a_quota_holds_however_many_ask_at_once(front: Front) -> None:
    quotas = "/api/v1/namespaces/default/resourcequotas"
    await front.make(quotas, {"metadata": {"name": "few"}, "spec": {"hard": {"count/configmaps": "5"}}})
    admin = front.admin
    maps = "/api/v1/namespaces/default/configmaps"
    answers = await asyncio.gather(*(admin.post(maps, json={"metadata": {"name": f"c{n}"}}) for n in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [403] * 15
    refusal = next(answer.json()["message"] for answer in answers if answer.status_code == 403)
    assert refusal.endswith(
        "is forbidden: exceeded quota: few, requested: count/configmaps=1, used: count/configmaps=5, "
        "limited: count/configmaps=5"
    )
    await admin.delete(f"{maps}/{next(a.json()['metadata']['name'] for a in answers if a.status_code == 201)}")
    assert (await admin.post(maps, json={"metadata": {"name": "one-more"}})).status_code == 201


async def test_a_namespace_label_refuses_privileged_pods(front: Front) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    await front.make("/api/v1/namespaces", {"metadata": {"name": "safe", "labels": labels}})
    await front.make("/api/v1/namespaces/safe/serviceaccounts", {"metadata": {"name": "default"}})
    pod = a_pod(hostNetwork=True) | {"metadata": {"name": "p"}}
    refused = await front.admin.post("/api/v1/namespaces/safe/pods", json=pod)
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        'pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'
    )


async def test_a_policy_refuses_and_warns_over_http(front: Front) -> None:
    group = "/apis/admissionregistration.k8s.io/v1"
    rules = [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]
    policy = {
        "metadata": {"name": "named"},
        "spec": {
            "matchConstraints": {"resourceRules": rules},
            "validations": [{"expression": "object.metadata.name.startsWith('ok-')", "message": "start with ok-"}],
        },
    }
    await front.make(f"{group}/validatingadmissionpolicies", policy)
    for name, action in (("deny", "Deny"), ("warn", "Warn")):
        spec = {"policyName": "named", "validationActions": [action]}
        await front.make(f"{group}/validatingadmissionpolicybindings", {"metadata": {"name": name}, "spec": spec})
    refused = await front.admin.post("/api/v1/namespaces/default/configmaps", json={"metadata": {"name": "x"}})
    assert refused.status_code == 422
    assert refused.json()["message"] == (
        "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy 'named' with binding 'deny' denied request: "
        "start with ok-"
    )
    assert "with binding 'warn': start with ok-" in refused.headers["warning"]
    await front.admin.delete(f"{group}/validatingadmissionpolicybindings/deny")
    warned = await front.admin.post("/api/v1/namespaces/default/configmaps", json={"metadata": {"name": "x"}})
    assert warned.status_code == 201
    assert "with binding 'warn': start with ok-" in warned.headers["warning"]
    fine = await front.admin.post("/api/v1/namespaces/default/configmaps", json={"metadata": {"name": "ok-x"}})
    assert fine.status_code == 201


async def test_the_issuers_keys_are_public_to_accounts(front: Front) -> None:
    robot = front.client(Authorization=f"Bearer {await front.token()}")
    found = await robot.get("/.well-known/openid-configuration")
    keys = await robot.get("/openid/v1/jwks")
    assert found.json()["issuer"] == "https://kubernetes.default.svc.cluster.local"
    assert keys.headers["content-type"] == "application/jwk-set+json"
    assert keys.json()["keys"][0]["alg"] == "ES256"


async def test_a_token_secret_is_filled_at_once_and_its_token_works(front: Front) -> None:
    account = {"kubernetes.io/service-account.name": "default"}
    secret = {
        "metadata": {"name": "forever", "annotations": account},
        "type": "kubernetes.io/service-account-token",
    }
    made = await front.make("/api/v1/namespaces/default/secrets", secret)
    assert set(made["data"]) == {"ca.crt", "namespace", "token"}
    robot = front.client(Authorization=f"Bearer {base64.b64decode(made['data']['token']).decode()}")
    assert (await who(robot))["username"] == "system:serviceaccount:default:default"
    await front.admin.delete("/api/v1/namespaces/default/secrets/forever")
    assert (await robot.get("/version")).status_code == 401


async def a_user_who_may(front: Front, *rules: Tree) -> dict[str, str]:
    """Headers that make the administrator act as somebody with just these rights in `default`."""
    await front.make(f"{ROLES}/namespaces/default/roles", {"metadata": {"name": "r"}, "rules": list(rules)})
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
    }
    await front.make(f"{ROLES}/namespaces/default/rolebindings", binding)
    return {"Impersonate-User": "bob"}


async def test_applying_what_is_not_there_needs_the_right_to_create(front: Front) -> None:
    bob = await a_user_who_may(front, {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch", "get"]})
    maps = "/api/v1/namespaces/default/configmaps"
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}

    async def apply() -> httpx.Response:
        headers = {**bob, "Content-Type": "application/apply-patch+yaml"}
        return await front.admin.patch(f"{maps}/c?fieldManager=bob", json=config, headers=headers)

    refused = await apply()
    assert refused.status_code == 403
    assert 'User "bob" cannot create resource "configmaps"' in refused.json()["message"]
    await front.make(maps, {"metadata": {"name": "c"}})
    assert (await apply()).status_code == 200


async def test_a_list_of_one_name_is_allowed_by_a_role_that_names_it(front: Front) -> None:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"], "resourceNames": ["c"]}
    bob = await a_user_who_may(front, rule)
    maps = "/api/v1/namespaces/default/configmaps"
    allowed = await front.admin.get(f"{maps}?fieldSelector=metadata.name%3Dc", headers=bob)
    assert allowed.status_code == 200
    for query in ("", "?fieldSelector=metadata.name%3Dd", "?fieldSelector=metadata.name!%3Dc"):
        assert (await front.admin.get(f"{maps}{query}", headers=bob)).status_code == 403


async def test_exec_over_a_websocket_needs_the_right_to_create(front: Front) -> None:
    import websockets

    await a_user_who_may(front, {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]})
    await front.make(PODS, a_pod())
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(
            f"wss{front.url.removeprefix('https')}{PODS}/p/exec?command=sh",
            ssl=pki.client_context(front.keys, front.keys.admin),
            additional_headers={"Impersonate-User": "bob"},
            subprotocols=[websockets.Subprotocol("v5.channel.k8s.io")],
        )
    assert refused.value.response.status_code == 403
    assert b'cannot create resource \\"pods/exec\\"' in refused.value.response.body


async def test_a_policy_refuses_to_open_a_shell(front: Front) -> None:
    import websockets

    group = "/apis/admissionregistration.k8s.io/v1"
    rules = [{"operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/exec"]}]
    validation = {"expression": "object.command[0] != 'sh'", "message": "no shells"}
    spec = {"matchConstraints": {"resourceRules": rules}, "validations": [validation]}
    await front.make(f"{group}/validatingadmissionpolicies", {"metadata": {"name": "p"}, "spec": spec})
    bound = {"policyName": "p", "validationActions": ["Deny"]}
    await front.make(f"{group}/validatingadmissionpolicybindings", {"metadata": {"name": "b"}, "spec": bound})
    await front.make(PODS, a_pod())
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(
            f"wss{front.url.removeprefix('https')}{PODS}/p/exec?command=sh&stdout=true",
            ssl=pki.client_context(front.keys, front.keys.admin),
            subprotocols=[websockets.Subprotocol("v5.channel.k8s.io")],
        )
    assert refused.value.response.status_code == 422
    assert b"denied request: no shells" in refused.value.response.body


@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x]\n" + "".join(f"{n}: &{n} [{','.join([f'*{p}'] * 9)}]\n" for p, n in pairwise("abcdefghi")),
        "a: &a [*a]\n",
    ],
)
async def test_a_yaml_bomb_does_not_go_off(front: Front, bomb: str) -> None:
    headers = {"Content-Type": "application/yaml"}
    answer = await front.admin.post("/api/v1/namespaces/default/configmaps", content=bomb, headers=headers)
    assert answer.status_code == 400
    assert "excessive aliasing" in answer.json()["message"]
