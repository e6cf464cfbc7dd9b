"""Plug-ins that ask who writes: nodes, owners, givers of rights; and the rules of claims and components."""

from typing import Literal

import pytest

from flowdeck.client.base import Reader
from flowdeck.clock import Clock, FakeClock
from flowdeck.controller.admission import AdmissionRule, Review, Reviewer
from flowdeck.embedded.apiserver.admission.component_rules import ComponentRules
from flowdeck.embedded.apiserver.admission.default_storage_class import DefaultStorageClass
from flowdeck.embedded.apiserver.admission.node_restriction import NodeRestriction
from flowdeck.embedded.apiserver.admission.owner_references_permission import OwnerReferencesPermission
from flowdeck.embedded.apiserver.admission.persistent_volume_claim_resize import PersistentVolumeClaimResize
from flowdeck.embedded.apiserver.admission.role_escalation import RoleEscalation
from flowdeck.embedded.apiserver.contract import SYSTEM, Attributes, Decision, User
from flowdeck.embedded.apiserver.rbac import RbacAuthorizer
from flowdeck.kube.errors import Forbidden, NotFound
from flowdeck.kube.kinds import (
    CLUSTER_ROLE,
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    ROLE,
    ROLE_BINDING,
    STORAGE_CLASS,
)
from flowdeck.kube.objects import Kind, Tree
from tests.embedded.apiserver.admission.makers import a_pod, a_request, admit
from tests.embedded.apiserver.in_memory import InMemoryStorage

N1 = User("system:node:n1", groups=("system:nodes",))


def a_node(name: str = "n1", labels: dict[str, str] | None = None, **spec: object) -> Tree:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}


class TestNodes:
    @pytest.mark.parametrize(
        ("request_", "text"),
        [
            (a_request(a_node("n1"), NODE, user=N1), ""),
            (a_request(a_node("n2"), NODE, user=N1), 'node "n1" is not allowed to modify node "n2"'),
            (a_request(a_node("n2"), NODE), ""),
            (a_request(a_node(labels={"kubernetes.io/hostname": "n1"}), NODE, user=N1), ""),
            (
                a_request(a_node(labels={"node-restriction.kubernetes.io/x": "y"}), NODE, user=N1),
                'node "n1" is not allowed to modify labels: node-restriction.kubernetes.io/x',
            ),
            (
                a_request(a_node(taints=[{"key": "x"}]), NODE, user=N1, operation="UPDATE", old=a_node()),
                'node "n1" is not allowed to modify taints',
            ),
            (
                a_request(a_pod(nodeName="n1"), user=N1),
                'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods',
            ),
            (a_request(None, operation="DELETE", old=a_pod(nodeName="n1"), user=N1), ""),
            (
                a_request(None, operation="DELETE", old=a_pod(nodeName="n2"), user=N1),
                'node "n1" can only delete pods with spec.nodeName set to itself',
            ),
            (
                a_request(
                    a_pod(nodeName="n2"), operation="UPDATE", old=a_pod(nodeName="n2"), user=N1, subresource="status"
                ),
                'node "n1" can only update status for pods with spec.nodeName set to itself',
            ),
        ],
    )
    async def test_a_node_changes_itself_and_its_pods(self, request_, text: str) -> None:
        if not text:
            await admit(NodeRestriction(), request_)
            return
        with pytest.raises(Forbidden) as refused:
            await admit(NodeRestriction(), request_)
        assert str(refused.value).partition("is forbidden: ")[2] == text


class Allows:
    """Allows these `verb resource` pairs."""

    def __init__(self, *pairs: str) -> None:
        self.pairs = pairs

    def authorize(self, attributes: Attributes) -> Decision:
        resource = "/".join(filter(None, (attributes.resource, attributes.subresource)))
        return Decision(f"{attributes.verb} {resource}" in self.pairs)


def owned(*, block: bool, kind: str = "Deployment") -> Tree:
    ref = {"apiVersion": "apps/v1", "kind": kind, "name": "d", "uid": "1", "blockOwnerDeletion": block}
    return {"metadata": {"name": "c", "namespace": "team", "ownerReferences": [ref]}}


def _find_kind(group: str, version: str, kind: str) -> Kind | None:
    return DEPLOYMENT if kind == "Deployment" else None


class TestOwners:
    async def test_blocking_an_owners_deletion_needs_its_finalizers(self) -> None:
        allowed = OwnerReferencesPermission(Allows("update deployments/finalizers"), _find_kind)
        await admit(allowed, a_request(owned(block=True), CONFIG_MAP))
        with pytest.raises(Forbidden, match="refers to a resource you can't set finalizers on"):
            await admit(OwnerReferencesPermission(Allows(), _find_kind), a_request(owned(block=True), CONFIG_MAP))

    async def test_not_blocking_needs_nothing(self) -> None:
        await admit(OwnerReferencesPermission(Allows(), _find_kind), a_request(owned(block=False), CONFIG_MAP))

    async def test_an_owner_of_no_known_kind_cannot_be_blocked(self) -> None:
        with pytest.raises(Forbidden, match='no matches for kind "Ghost" in version "apps/v1"'):
            await admit(
                OwnerReferencesPermission(Allows(), _find_kind),
                a_request(owned(block=True, kind="Ghost"), CONFIG_MAP),
            )

    async def test_the_platform_itself_is_not_asked(self) -> None:
        request = a_request(owned(block=True), CONFIG_MAP, user=SYSTEM)
        await admit(OwnerReferencesPermission(Allows(), _find_kind), request)


def a_role(*verbs: str, **more: object) -> Tree:
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": list(verbs)}
    return {"metadata": {"name": "r", "namespace": "team"}, "rules": [rule], **more}


def a_binding(role: str = "r", kind: str = "Role") -> Tree:
    return {
        "metadata": {"name": "b", "namespace": "team"},
        "roleRef": {"kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": "bob"}],
    }


class TestRights:
    def plugin(self, *more: tuple[Kind, Tree]) -> RoleEscalation:
        """Bob may get and list pods in `team`."""
        storage = InMemoryStorage((ROLE, a_role("get", "list")), (ROLE_BINDING, a_binding()), *more)
        rbac = RbacAuthorizer(storage)
        return RoleEscalation(rbac, rbac)

    async def test_a_user_gives_what_he_has(self) -> None:
        await admit(self.plugin(), a_request(a_role("get"), ROLE))
        await admit(self.plugin(), a_request(a_binding(), ROLE_BINDING))

    async def test_a_user_cannot_give_what_he_has_not(self) -> None:
        with pytest.raises(Forbidden) as refused:
            await admit(self.plugin(), a_request(a_role("get", "delete"), ROLE))
        assert str(refused.value) == (
            'roles.rbac.authorization.k8s.io "r" is forbidden: user "bob" (groups=["dev" "system:authenticated"]) is '
            "attempting to grant RBAC permissions not currently held:\n"
            '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}'
        )

    async def test_binding_a_stronger_role_is_refused(self) -> None:
        strong = (CLUSTER_ROLE, {"metadata": {"name": "strong"}, "rules": [{"apiGroups": ["*"], "resources": ["*"],
                                                                            "verbs": ["*"]}]})  # fmt: skip
        with pytest.raises(Forbidden, match="is attempting to grant RBAC permissions not currently held"):
            await admit(self.plugin(strong), a_request(a_binding("strong", "ClusterRole"), ROLE_BINDING))

    async def test_binding_a_missing_role_is_refused(self) -> None:
        with pytest.raises(NotFound, match=r'clusterroles.rbac.authorization.k8s.io "ghost" not found'):
            await admit(self.plugin(), a_request(a_binding("ghost", "ClusterRole"), ROLE_BINDING))

    @pytest.mark.parametrize(
        ("verb", "resource", "request_"),
        [
            ("escalate", "roles", a_request(a_role("delete"), ROLE)),
            ("bind", "roles", a_request(a_binding("r"), ROLE_BINDING, user=User("eve"))),
        ],
    )
    async def test_escalate_and_bind_are_verbs_that_allow_it(self, verb, resource, request_) -> None:
        rbac = RbacAuthorizer(InMemoryStorage((ROLE, a_role("get"))))
        await admit(RoleEscalation(Allows(f"{verb} {resource}"), rbac), request_)

    async def test_aggregation_needs_everything(self) -> None:
        role = {"metadata": {"name": "a"}, "aggregationRule": {"clusterRoleSelectors": []}}
        with pytest.raises(Forbidden, match="must have cluster-admin privileges to use an aggregationRule"):
            await admit(self.plugin(), a_request(role, CLUSTER_ROLE))

    async def test_masters_give_everything(self) -> None:
        await admit(self.plugin(), a_request(a_role("*"), ROLE, user=SYSTEM))


def a_claim(size: str = "1Gi", phase: str = "Bound", **spec: object) -> Tree:
    resources = {"requests": {"storage": size}}
    return {
        "metadata": {"name": "v", "namespace": "team"},
        "spec": {"resources": resources, **spec},
        "status": {"phase": phase},
    }


class TestClaims:
    async def test_a_claim_gets_the_newest_default_class(self) -> None:
        default = {"storageclass.kubernetes.io/is-default-class": "true"}
        storage = InMemoryStorage(
            (STORAGE_CLASS, {"metadata": {"name": "old", "annotations": default, "creationTimestamp": "2025"}}),
            (STORAGE_CLASS, {"metadata": {"name": "new", "annotations": default, "creationTimestamp": "2026"}}),
            (STORAGE_CLASS, {"metadata": {"name": "other", "creationTimestamp": "2027"}}),
        )
        plugin = DefaultStorageClass(storage)
        claim = await admit(plugin, a_request(a_claim(), PERSISTENT_VOLUME_CLAIM))
        assert claim["spec"]["storageClassName"] == "new"
        none = await admit(plugin, a_request(a_claim(storageClassName=""), PERSISTENT_VOLUME_CLAIM))
        assert none["spec"]["storageClassName"] == ""

    @pytest.mark.parametrize(("expandable", "fits"), [(True, True), (False, False)])
    async def test_a_claim_grows_where_its_class_allows_it(self, expandable: bool, fits: bool) -> None:
        storage_class = {"metadata": {"name": "s"}, "allowVolumeExpansion": expandable}
        plugin = PersistentVolumeClaimResize(InMemoryStorage((STORAGE_CLASS, storage_class)))
        old, new = a_claim(storageClassName="s"), a_claim("2Gi", storageClassName="s")
        request = a_request(new, PERSISTENT_VOLUME_CLAIM, operation="UPDATE", old=old)
        if fits:
            await admit(plugin, request)
        else:
            with pytest.raises(Forbidden, match="only dynamically provisioned pvc can be resized"):
                await admit(plugin, request)


async def _label(obj: Tree, old: Tree | None, *, reader: Reader, clock: Clock) -> Review:
    obj["metadata"]["labels"] = {"seen": "yes"}
    return Review(obj=obj, warnings=["labelled"])


async def _refuse_without_spec(obj: Tree, old: Tree | None, *, reader: Reader, clock: Clock) -> Review:
    errors = [] if "spec" in obj else ["spec: Required value", "spec.template: Required value"]
    return Review(obj=obj, errors=errors)


def a_rule(name: str, phase: Literal["mutate", "validate"], review: Reviewer) -> AdmissionRule:
    return AdmissionRule(name=name, configuration="acme.com", path="/r", kind=JOB, phase=phase, review=review)


class TestComponents:
    def plugin(self) -> ComponentRules:
        rules = [
            a_rule("validator.job.acme.com", "validate", _refuse_without_spec),
            a_rule("defaulter.job.acme.com", "mutate", _label),
        ]
        return ComponentRules(rules, None, FakeClock())  # type: ignore[arg-type]

    async def test_a_rule_changes_the_object_and_warns(self) -> None:
        request = a_request({"metadata": {"name": "j", "namespace": "team"}, "spec": {}}, JOB)
        job = await admit(self.plugin(), request)
        assert job["metadata"]["labels"] == {"seen": "yes"}
        assert request.warnings == ["labelled"]

    async def test_a_denial_reads_as_a_webhooks(self) -> None:
        with pytest.raises(Forbidden) as refused:
            await admit(self.plugin(), a_request({"metadata": {"name": "j", "namespace": "team"}}, JOB))
        assert str(refused.value) == (
            'admission webhook "validator.job.acme.com" denied the request: spec: Required value, '
            "spec.template: Required value"
        )

    async def test_other_kinds_status_and_deletes_are_not_asked(self) -> None:
        job = {"metadata": {"name": "j", "namespace": "team"}}
        await admit(self.plugin(), a_request(a_pod(), POD))
        await admit(self.plugin(), a_request(job, JOB, operation="UPDATE", old=job, subresource="status"))
        await admit(self.plugin(), a_request(None, JOB, operation="DELETE", old=job))
