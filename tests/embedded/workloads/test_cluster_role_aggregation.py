"""The rules that a labelled role brings can be read in the roles that gather it."""

from flowdeck.embedded.workloads.cluster_role_aggregation import ClusterRoleAggregationController
from flowdeck.kube.kinds import CLUSTER_ROLE
from flowdeck.kube.objects import ObjectKey
from tests.world.world import World


async def test_a_labelled_role_is_gathered_and_let_go_again(world: World) -> None:
    await world.start(lambda client, clock: [ClusterRoleAggregationController(client=client)])
    before = (await world.get(CLUSTER_ROLE, "admin"))["rules"]
    rule = {"apiGroups": ["acme.com"], "resources": ["widgets"], "verbs": ["get"]}
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    role = {"metadata": {"name": "widgets", "labels": labels}, "rules": [rule]}
    await world.create({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", **role})
    await world.settle()
    for name in ("view", "edit", "admin"):
        assert rule in (await world.get(CLUSTER_ROLE, name))["rules"]
    await world.client.delete(CLUSTER_ROLE, ObjectKey("", "widgets"))
    await world.settle()
    assert (await world.get(CLUSTER_ROLE, "admin"))["rules"] == before


async def test_a_fresh_cluster_needs_no_writing(world: World) -> None:
    revision = world.api.store.revision
    await world.start(lambda client, clock: [ClusterRoleAggregationController(client=client)])
    assert world.api.store.revision == revision
