"""Defaults of role bindings.

Source: k8s.io/kubernetes (pkg/apis/rbac/v1/defaults.go).
"""

from flowdeck.kube.objects import Tree

_GROUP = "rbac.authorization.k8s.io"


def default_binding(binding: Tree) -> None:
    reference = binding.setdefault("roleRef", {})
    if not reference.get("apiGroup"):
        reference["apiGroup"] = _GROUP
    for subject in binding.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = _GROUP
