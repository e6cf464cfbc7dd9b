"""Nobody hands out rights by a Role or a binding that he does not have himself.

Exceptions, as upstream: `system:masters`, the verb `escalate` on the role, the verb `bind` on the role that is bound.
Source: kubernetes (pkg/registry/rbac/*/policybased, pkg/registry/rbac/escalation_check.go); there it is part of the
storage, here a plug-in.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from flowdeck.embedded.apiserver.admission.plugin import Plugin, object_of, refusal
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Attributes, Authorizer
from flowdeck.embedded.apiserver.rbac import MASTERS, RbacAuthorizer, Rule, missing_rules, quoted, rule_text
from flowdeck.kube.errors import NotFound
from flowdeck.kube.objects import Tree

_GROUP = "rbac.authorization.k8s.io"
_ROLES = {"Role": "roles", "ClusterRole": "clusterroles"}
_EVERYTHING = (Rule(("*",), ("*",), ("*",)), Rule(("*",), urls=("*",)))


@dataclass(frozen=True)
class RoleEscalation(Plugin):
    authorizer: Authorizer
    rbac: RbacAuthorizer
    concerns: ClassVar = tuple(
        f"{plural}.{_GROUP}" for plural in ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
    )
    name: str = "RoleEscalation"

    async def validate(self, request: AdmissionRequest) -> None:
        if request.resource.kind.group != _GROUP or request.operation == "DELETE" or MASTERS in request.user.groups:
            return
        if _is_clean_up(request):
            return
        if request.resource.kind.plural in ("roles", "clusterroles"):
            self._check_role(request, object_of(request))
        else:
            self._check_binding(request, object_of(request))

    def _check_role(self, request: AdmissionRequest, role: Tree) -> None:
        if self._may(request, "escalate", request.resource.kind.plural, request.key.name):
            return
        self._check_rules(request, map(Rule.of, role.get("rules") or ()))
        aggregates = role.get("aggregationRule") or (request.old or {}).get("aggregationRule")
        if aggregates and self._missing(request, _EVERYTHING):
            raise refusal(request, "must have cluster-admin privileges to use an aggregationRule")

    def _check_binding(self, request: AdmissionRequest, binding: Tree) -> None:
        role = binding.get("roleRef") or {}
        plural = _ROLES.get(role.get("kind", ""), "")
        if self._may(request, "bind", plural, role.get("name", "")):
            return
        rules = self.rbac.rules_of_role(role, request.key.namespace) if plural else None
        if rules is None:
            name = role.get("name", "")
            raise NotFound(f'{plural}.{_GROUP} "{name}" not found', group=_GROUP, kind=plural, name=name)
        self._check_rules(request, rules)

    def _may(self, request: AdmissionRequest, verb: str, plural: str, name: str) -> bool:
        asked = Attributes(
            request.user,
            verb,
            group=_GROUP,
            version="v1",
            resource=plural,
            namespace=request.key.namespace,
            name=name,
        )
        return self.authorizer.authorize(asked).allowed

    def _missing(self, request: AdmissionRequest, rules: Iterable[Rule]) -> list[Rule]:
        owned = [grant.rule for grant in self.rbac.grants(request.user, request.key.namespace).grants]
        return missing_rules(owned, rules)

    def _check_rules(self, request: AdmissionRequest, rules: Iterable[Rule]) -> None:
        missing = self._missing(request, rules)
        if not missing:
            return
        user = request.user
        told = "\n".join(map(rule_text, missing))
        message = (
            f'user "{user.name}" (groups={quoted(user.groups)}) is attempting to grant RBAC permissions not '
            f"currently held:\n{told}"
        )
        unresolved = self.rbac.grants(user, request.key.namespace).missing
        if unresolved:
            message += f"; resolution errors: [{', '.join(unresolved)}]"
        raise refusal(request, message)


def _is_clean_up(request: AdmissionRequest) -> bool:
    """Whether an update only lets the object go: owner references and finalizers changed, nothing else."""
    if request.old is None or request.obj is None:
        return False
    return _without(request.obj) == _without(request.old)


def _without(obj: Tree) -> Tree:
    dropped = ("ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation")
    meta = {name: value for name, value in obj["metadata"].items() if name not in dropped}
    return {**obj, "metadata": meta, "kind": "", "apiVersion": ""}
