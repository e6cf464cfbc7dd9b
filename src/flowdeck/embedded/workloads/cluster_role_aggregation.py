"""Writes into each ClusterRole with an `aggregationRule` the rules of the roles that it selects.

The authorizer works them out itself; this is for people and tools that read the role.

Reads   ClusterRole
Writes  ClusterRole.rules
Source: Kubernetes (pkg/controller/clusterroleaggregation).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowdeck.client.base import Client
from flowdeck.controller.contract import DONE, Maps, Result
from flowdeck.embedded.apiserver.rbac import aggregated_rules
from flowdeck.kube.kinds import CLUSTER_ROLE
from flowdeck.kube.objects import Kind, ObjectKey, is_being_deleted, key_of


@dataclass(frozen=True, kw_only=True)
class ClusterRoleAggregationController:
    client: Client
    name: str = "clusterrole-aggregation"
    kind: Kind = CLUSTER_ROLE
    watches: Sequence[Maps] = ()

    async def reconcile(self, key: ObjectKey) -> Result:
        """Any role may be part of any aggregating one, so all of these are looked at: they are few."""
        roles = (await self.client.list(CLUSTER_ROLE)).items
        for role in roles:
            if not role.get("aggregationRule") or is_being_deleted(role):
                continue
            rules = aggregated_rules(role, roles)
            if rules != (role.get("rules") or []):
                await self.client.patch(CLUSTER_ROLE, key_of(role), {"rules": rules})
        return DONE
