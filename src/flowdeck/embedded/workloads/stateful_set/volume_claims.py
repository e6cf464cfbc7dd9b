"""The claims of a StatefulSet's pods: made before the pod, kept or deleted by the retention policy.

Source: kubernetes (pkg/controller/statefulset/stateful_pod_control.go, stateful_set_utils.go)
"""

from flowdeck.client.base import Client
from flowdeck.controller.events import Events
from flowdeck.embedded.workloads.stateful_set.identity import (
    claim_name,
    claim_of,
    claim_templates,
    ordinal_of,
    pod_name,
    wanted_ordinals,
)
from flowdeck.kube.errors import AlreadyExists, ApiError
from flowdeck.kube.kinds import PERSISTENT_VOLUME_CLAIM
from flowdeck.kube.objects import ObjectKey, Tree, get_in, key_of, owner_reference, uid_of


async def make_claims(client: Client, events: Events, stateful_set: Tree, ordinal: int) -> None:
    """Creates the missing claims of one pod; raises what the server answers, after an event."""
    owner_name = key_of(stateful_set).name
    for template in claim_templates(stateful_set):
        claim = claim_of(stateful_set, template, ordinal)
        key = key_of(claim)
        if await client.find(PERSISTENT_VOLUME_CLAIM, key) is not None:
            continue
        subject = f"Create Claim {key.name} Pod {pod_name(stateful_set, ordinal)} in StatefulSet {owner_name}"
        try:
            await client.create(PERSISTENT_VOLUME_CLAIM, claim)
        except AlreadyExists:
            continue
        except ApiError as error:
            message = f"{subject} failed error: {error.message}"
            await events.event(stateful_set, type="Warning", reason="FailedCreate", message=message)
            raise
        await events.event(stateful_set, reason="SuccessfulCreate", message=f"{subject} success")


async def own_claims(client: Client, stateful_set: Tree, pod: Tree) -> None:
    """Makes the claims of a pod belong to whom they shall vanish with: the set, the condemned pod, or none."""
    ordinal = ordinal_of(stateful_set, pod)
    if ordinal is None:
        return
    for template in claim_templates(stateful_set):
        key = ObjectKey(key_of(stateful_set).namespace, claim_name(stateful_set, template, ordinal))
        claim = await client.find(PERSISTENT_VOLUME_CLAIM, key)
        if claim is None:
            continue
        owners = wanted_owners(stateful_set, pod, claim)
        if owners is not None:
            patch: Tree = {"metadata": {"uid": uid_of(claim), "ownerReferences": owners}}
            await client.patch(PERSISTENT_VOLUME_CLAIM, key, patch)


def wanted_owners(stateful_set: Tree, pod: Tree, claim: Tree) -> list[Tree] | None:
    """The owner references that a claim shall have; None when it has them. A stranger's controller is left alone."""
    present = claim["metadata"].get("ownerReferences") or []
    ours = {uid_of(stateful_set), uid_of(pod)}
    if any(ref.get("controller") and ref["uid"] not in ours for ref in present):
        return None
    others = [ref for ref in present if ref["uid"] not in ours]
    owner = _owner_of_claims(stateful_set, pod)
    had = {ref["uid"] for ref in present if ref["uid"] in ours}
    if had == ({uid_of(owner)} if owner else set()):
        return None
    return [*others, *([owner_reference(owner)] if owner else [])]


def _owner_of_claims(stateful_set: Tree, pod: Tree) -> Tree | None:
    policy = get_in(stateful_set, "spec", "persistentVolumeClaimRetentionPolicy", default={})
    is_condemned = ordinal_of(stateful_set, pod) not in wanted_ordinals(stateful_set)
    if policy.get("whenScaled") == "Delete" and is_condemned:
        return {"apiVersion": "v1", "kind": "Pod", **pod}
    return stateful_set if policy.get("whenDeleted") == "Delete" else None
