"""Who may do what, by Roles and their bindings.

`RbacAuthorizer` answers from an index of the bindings, made anew when a Role or a binding has changed, and from the
rules that it found for a user and a namespace, kept as long. ClusterRoles with an `aggregationRule` are resolved here,
too, so a role works the moment its label is set.

Source: kubernetes (plugin/pkg/auth/authorizer/rbac, pkg/registry/rbac/validation/rule.go).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from flowdeck.embedded.apiserver.contract import Attributes, Authorizer, Decision, Storage, User
from flowdeck.kube.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from flowdeck.kube.objects import ObjectKey, Tree, labels_of
from flowdeck.kube.selectors import label_selector_of

MASTERS = "system:masters"
"""The group that may do everything, whatever the roles say."""

_KINDS = (CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING)
_REMEMBERED = 4096


@dataclass(frozen=True)
class Rule:
    """A `PolicyRule`."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """`resourceNames`; empty means any."""
    urls: tuple[str, ...] = ()
    """`nonResourceURLs`."""

    @classmethod
    def of(cls, tree: Tree) -> "Rule":
        fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
        return cls(*(tuple(tree.get(name) or ()) for name in fields))

    def to_tree(self) -> Tree:
        tree: Tree = {"verbs": list(self.verbs)}
        if self.urls:
            return tree | {"nonResourceURLs": list(self.urls)}
        tree |= {"apiGroups": list(self.groups), "resources": list(self.resources)}
        return tree | {"resourceNames": list(self.names)} if self.names else tree

    def allows(self, asked: Attributes) -> bool:
        if asked.verb not in self.verbs and "*" not in self.verbs:
            return False
        if not asked.resource:
            return any(_covers_url(url, asked.path) for url in self.urls)
        return (
            (asked.group in self.groups or "*" in self.groups)
            and self.has_resource(asked.resource, asked.subresource)
            and (not self.names or asked.name in self.names)
        )

    def has_resource(self, resource: str, subresource: str) -> bool:
        if "*" in self.resources:
            return True
        if not subresource:
            return resource in self.resources
        return f"{resource}/{subresource}" in self.resources or f"*/{subresource}" in self.resources


@dataclass(frozen=True)
class Grant:
    """A rule that a user has, and through what."""

    rule: Rule
    why: str
    """`RBAC: allowed by ...`."""


@dataclass
class Grants:
    """All that a user has in a namespace, and which roles were bound to him but are not there."""

    grants: list[Grant] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Binding:
    name: str
    namespace: str
    role: Tree
    subject: str
    """As the reason tells it: `User "x"`."""


@dataclass
class _Index:
    """All bindings by subject: `(namespace, kind, name)`; the namespace of a ClusterRoleBinding is `""`."""

    revisions: tuple[int, ...]
    bindings: dict[tuple[str, str, str], list[_Binding]] = field(default_factory=dict)
    known: dict[tuple[str, tuple[str, ...], str], Grants] = field(default_factory=dict)
    rules: dict[tuple[str, str, str], tuple[Rule, ...] | None] = field(default_factory=dict)


class RbacAuthorizer:
    """Allows what `system:masters` asks, and what a binding grants."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._index = _Index(())

    def authorize(self, attributes: Attributes) -> Decision:
        user = attributes.user
        if MASTERS in user.groups:
            return Decision(True)
        found = self.grants(user, attributes.namespace)
        for grant in found.grants:
            if grant.rule.allows(attributes):
                return Decision(True, grant.why)
        return Decision(False, f"RBAC: {_told(found.missing)}" if found.missing else "")

    def grants(self, user: User, namespace: str) -> Grants:
        """Everything that bindings give a user, cluster-wide and in a namespace."""
        index = self._fresh_index()
        key = (user.name, user.groups, namespace)
        found = index.known.get(key)
        if found is None:
            if len(index.known) >= _REMEMBERED:
                index.known.clear()
            index.known[key] = found = self._resolve(index, user, namespace)
        return found

    def rules_of_role(self, role: Tree, namespace: str) -> Sequence[Rule] | None:
        """The rules that a `roleRef` stands for; None when there is no such role."""
        return self._rules(self._fresh_index(), role, namespace)

    def _fresh_index(self) -> _Index:
        revisions = tuple(map(self._storage.revision, _KINDS))
        if self._index.revisions != revisions:
            self._index = _Index(revisions)
            for binding in self._storage.list(CLUSTER_ROLE_BINDING):
                _put(self._index, binding)
            for binding in self._storage.list(ROLE_BINDING):
                _put(self._index, binding)
        return self._index

    def _resolve(self, index: _Index, user: User, namespace: str) -> Grants:
        found = Grants()
        for space in dict.fromkeys(("", namespace)):
            for subject in (("User", user.name), *(("Group", name) for name in user.groups)):
                for binding in index.bindings.get((space, *subject), ()):
                    rules = self._rules(index, binding.role, binding.namespace)
                    if rules is None:
                        found.missing.append(_not_found(binding.role))
                        continue
                    why = _why(binding)
                    found.grants.extend(Grant(rule, why) for rule in rules)
        return found

    def _rules(self, index: _Index, role: Tree, namespace: str) -> tuple[Rule, ...] | None:
        key = (role["kind"], "" if role["kind"] == "ClusterRole" else namespace, role["name"])
        if key not in index.rules:
            kind = CLUSTER_ROLE if role["kind"] == "ClusterRole" else ROLE
            obj = self._storage.get(kind, ObjectKey(key[1], role["name"]))
            index.rules[key] = None if obj is None else tuple(map(Rule.of, self._rule_trees(obj)))
        return index.rules[key]

    def _rule_trees(self, role: Tree) -> Iterable[Tree]:
        if not role.get("aggregationRule"):
            return role.get("rules") or ()
        return aggregated_rules(role, self._storage.list(CLUSTER_ROLE))


def aggregated_rules(role: Tree, cluster_roles: Sequence[Tree]) -> list[Tree]:
    """The rules of a ClusterRole with an `aggregationRule`: those of the roles that its selectors select, in order of
    their names, each rule once; followed through roles that aggregate themselves."""
    found: list[Tree] = []
    _gather(role, cluster_roles, found, {role["metadata"]["name"]})
    return found


def _gather(role: Tree, cluster_roles: Sequence[Tree], found: list[Tree], seen: set[str]) -> None:
    for tree in (role["aggregationRule"] or {}).get("clusterRoleSelectors") or ():
        selector = label_selector_of(tree)
        for other in sorted(cluster_roles, key=lambda item: item["metadata"]["name"]):
            name = other["metadata"]["name"]
            if name in seen or not selector.matches(labels_of(other)):
                continue
            seen.add(name)
            if other.get("aggregationRule"):
                _gather(other, cluster_roles, found, seen)
            else:
                found.extend(rule for rule in other.get("rules") or () if rule not in found)


@dataclass(frozen=True)
class FirstThatAllows:
    """Several authorizers: allowed as soon as one allows; the reasons of the others are joined."""

    authorizers: Sequence[Authorizer]

    def authorize(self, attributes: Attributes) -> Decision:
        reasons = []
        for authorizer in self.authorizers:
            decision = authorizer.authorize(attributes)
            if decision.allowed:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, "\n".join(reasons))


def _put(index: _Index, binding: Tree) -> None:
    namespace = binding["metadata"].get("namespace", "")
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind", ""), subject.get("name", "")
        told = f'{kind} "{name}"'
        if kind == "ServiceAccount":
            space = subject.get("namespace") or namespace
            kind, name, told = "User", f"system:serviceaccount:{space}:{name}", f'{kind} "{name}/{space}"'
        entry = _Binding(binding["metadata"]["name"], namespace, binding["roleRef"], told)
        index.bindings.setdefault((namespace, kind, name), []).append(entry)


def _why(binding: _Binding) -> str:
    if binding.namespace:
        what = f'RoleBinding "{binding.name}/{binding.namespace}"'
    else:
        what = f'ClusterRoleBinding "{binding.name}"'
    role = binding.role
    return f'RBAC: allowed by {what} of {role["kind"]} "{role["name"]}" to {binding.subject}'


def _not_found(role: Tree) -> str:
    return f'{role["kind"].lower()}.rbac.authorization.k8s.io "{role["name"]}" not found'


def _told(errors: Sequence[str]) -> str:
    """Errors as upstream joins them: each once, in brackets when there are several."""
    once = list(dict.fromkeys(errors))
    return once[0] if len(once) == 1 else "[" + ", ".join(once) + "]"


def _covers_url(pattern: str, path: str) -> bool:
    return pattern == path or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def missing_rules(owned: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """What of `wanted` is not covered by `owned`: single rights, those for one resource put together, sorted."""
    missing: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for part in (part for rule in wanted for part in _parts(rule)):
        if not any(_covers(rule, part) for rule in owned):
            verbs = missing.setdefault((part.groups, part.resources, part.names, part.urls), [])
            if part.verbs[0] not in verbs:
                verbs.append(part.verbs[0])
    return sorted((Rule(tuple(verbs), *key) for key, verbs in missing.items()), key=rule_text)


def rule_text(rule: Rule) -> str:
    """A rule as upstream's messages have it: `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}`."""
    parts = (
        ("APIGroups", rule.groups),
        ("Resources", rule.resources),
        ("NonResourceURLs", rule.urls),
        ("ResourceNames", rule.names),
        ("Verbs", rule.verbs),
    )
    return "{" + ", ".join(f"{name}:{quoted(values)}" for name, values in parts if values) + "}"


def quoted(values: Iterable[str]) -> str:
    """A list of texts as Go's `%q` prints it."""
    return "[" + " ".join(f'"{value}"' for value in values) + "]"


def _parts(rule: Rule) -> Iterator[Rule]:
    """The single rights that a rule is made of."""
    for verb in rule.verbs:
        for url in rule.urls:
            yield Rule((verb,), urls=(url,))
        for group in rule.groups:
            for resource in rule.resources:
                for name in rule.names or (None,):
                    yield Rule((verb,), (group,), (resource,), (name,) if name else ())


def _covers(owned: Rule, part: Rule) -> bool:
    """Whether `owned` includes the single right `part`, which may be a wildcard itself."""
    if "*" not in owned.verbs and part.verbs[0] not in owned.verbs:
        return False
    if part.urls:
        return any(_covers_url(url, part.urls[0]) for url in owned.urls)
    resource, _, subresource = part.resources[0].partition("/")
    return (
        ("*" in owned.groups or part.groups[0] in owned.groups)
        and owned.has_resource(resource, subresource)
        and (not owned.names or (bool(part.names) and part.names[0] in owned.names))
    )
