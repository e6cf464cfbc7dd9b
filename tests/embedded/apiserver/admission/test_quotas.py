"""No more than a quota allows, however many ask at once."""

import pytest

from flowdeck.embedded.apiserver.admission.resource_quota import ResourceQuota
from flowdeck.kube.errors import Forbidden
from flowdeck.kube.kinds import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, POD, RESOURCE_QUOTA, SERVICE
from flowdeck.kube.objects import Kind, ObjectKey, Tree
from tests.embedded.apiserver.admission.makers import a_pod, a_request, admit
from tests.embedded.apiserver.in_memory import InMemoryStorage


def a_quota(hard: dict[str, str], **spec: object) -> tuple[Kind, Tree]:
    return RESOURCE_QUOTA, {"metadata": {"name": "q", "namespace": "team"}, "spec": {"hard": hard, **spec}}


def asking(name: str = "p", **requests: str) -> Tree:
    return a_pod(name, containers=[{"name": "c", "resources": {"requests": requests, "limits": requests}}])


def a_config_map(name: str) -> Tree:
    return {"metadata": {"name": name, "namespace": "team"}}


async def test_the_refusal_tells_what_was_asked_used_and_allowed() -> None:
    storage = InMemoryStorage(a_quota({"requests.cpu": "1", "pods": "5"}), (POD, asking("a", cpu="600m")))
    with pytest.raises(Forbidden) as refused:
        await admit(ResourceQuota(storage), a_request(asking("b", cpu="500m")))
    assert str(refused.value) == (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, '
        "limited: requests.cpu=1"
    )


@pytest.mark.parametrize(
    ("hard", "obj", "kind", "fits"),
    [
        ({"pods": "1"}, asking("b"), POD, False),
        ({"pods": "2"}, asking("b"), POD, True),
        ({"count/pods": "1"}, asking("b"), POD, False),
        ({"memory": "1Gi"}, asking("b", memory="600Mi"), POD, False),
        ({"limits.memory": "2Gi"}, asking("b", memory="600Mi"), POD, True),
        ({"requests.nvidia.com/gpu": "1"}, asking("b", **{"nvidia.com/gpu": "2"}), POD, False),
        ({"configmaps": "0"}, a_config_map("b"), CONFIG_MAP, False),
        ({"count/configmaps": "0"}, a_config_map("b"), CONFIG_MAP, False),
        ({"secrets": "0"}, a_config_map("b"), CONFIG_MAP, True),
        (
            {"services.nodeports": "0"},
            {"metadata": {"name": "s", "namespace": "team"}, "spec": {"type": "NodePort", "ports": [{}]}},
            SERVICE,
            False,
        ),
        (
            {"gold.storageclass.storage.k8s.io/requests.storage": "1Gi"},
            {
                "metadata": {"name": "v", "namespace": "team"},
                "spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "2Gi"}}},
            },
            PERSISTENT_VOLUME_CLAIM,
            False,
        ),
    ],
)
async def test_each_name_counts_what_it_says(hard, obj: Tree, kind: Kind, fits: bool) -> None:
    plugin = ResourceQuota(InMemoryStorage(a_quota(hard), (POD, asking("a", memory="500Mi"))))
    if fits:
        await admit(plugin, a_request(obj, kind))
    else:
        with pytest.raises(Forbidden, match="exceeded quota: q"):
            await admit(plugin, a_request(obj, kind))


async def test_pods_that_are_over_make_room_but_still_count_as_objects() -> None:
    done = asking("a") | {"status": {"phase": "Succeeded"}}
    await admit(ResourceQuota(InMemoryStorage(a_quota({"pods": "1"}), (POD, done))), a_request(asking("b")))
    with pytest.raises(Forbidden):
        await admit(ResourceQuota(InMemoryStorage(a_quota({"count/pods": "1"}), (POD, done))), a_request(asking("b")))


@pytest.mark.parametrize(
    ("scope", "pod", "counted"),
    [
        ({"scopes": ["BestEffort"]}, a_pod("b"), True),
        ({"scopes": ["BestEffort"]}, asking("b", cpu="1"), False),
        ({"scopes": ["NotBestEffort"]}, asking("b", cpu="1"), True),
        ({"scopes": ["Terminating"]}, a_pod("b", activeDeadlineSeconds=5), True),
        ({"scopes": ["NotTerminating"]}, a_pod("b", activeDeadlineSeconds=5), False),
        (
            {"scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}},
            a_pod("b", priorityClassName="high"),
            True,
        ),
        (
            {"scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}},
            a_pod("b", priorityClassName="low"),
            False,
        ),
    ],
)  # fmt: skip
async def test_a_scope_chooses_the_pods_that_count(scope: dict, pod: Tree, counted: bool) -> None:
    plugin = ResourceQuota(InMemoryStorage(a_quota({"pods": "0"}, **scope)))
    if counted:
        with pytest.raises(Forbidden):
            await admit(plugin, a_request(pod))
    else:
        await admit(plugin, a_request(pod))


async def test_a_limited_resource_must_be_told_by_each_container() -> None:
    plugin = ResourceQuota(InMemoryStorage(a_quota({"requests.cpu": "1", "limits.memory": "1Gi"})))
    with pytest.raises(Forbidden) as refused:
        await admit(plugin, a_request(a_pod("b")))
    assert str(refused.value) == (
        'pods "b" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c'
    )


async def test_requests_on_their_way_cannot_pass_a_quota_together() -> None:
    plugin = ResourceQuota(InMemoryStorage(a_quota({"pods": "1"})))
    first = a_request(asking("a"))
    await admit(plugin, first)
    with pytest.raises(Forbidden):
        await admit(plugin, a_request(asking("b")))
    first.cleanups[0]()  # the first one was refused by somebody else
    await admit(plugin, a_request(asking("b")))


async def test_what_is_stored_is_not_counted_twice_while_its_request_ends() -> None:
    storage = InMemoryStorage(a_quota({"pods": "2"}))
    plugin = ResourceQuota(storage)
    await admit(plugin, a_request(asking("a")))
    stored = asking("a")
    stored["metadata"]["resourceVersion"] = "7"
    storage.put(POD, stored)
    await admit(plugin, a_request(asking("b")))


async def test_a_dry_run_reserves_nothing() -> None:
    plugin = ResourceQuota(InMemoryStorage(a_quota({"pods": "1"})))
    await admit(plugin, a_request(asking("a"), dry_run=True))
    await admit(plugin, a_request(asking("b")))


async def test_a_claim_that_grows_counts_only_its_growth() -> None:
    def claim(size: str) -> Tree:
        return {
            "metadata": {"name": "v", "namespace": "team", "resourceVersion": "1"},
            "spec": {"resources": {"requests": {"storage": size}}},
        }

    storage = InMemoryStorage(a_quota({"requests.storage": "10Gi"}), (PERSISTENT_VOLUME_CLAIM, claim("6Gi")))
    plugin = ResourceQuota(storage)
    old = storage.get(PERSISTENT_VOLUME_CLAIM, ObjectKey("team", "v"))
    grown = a_request(claim("9Gi"), PERSISTENT_VOLUME_CLAIM, operation="UPDATE", old=old)
    await admit(plugin, grown)
    grown.cleanups[0]()
    with pytest.raises(Forbidden, match=r"requested: requests.storage=6Gi, used: requests.storage=6Gi"):
        await admit(plugin, a_request(claim("12Gi"), PERSISTENT_VOLUME_CLAIM, operation="UPDATE", old=old))
