"""The strategy of all custom kinds: their schema says what is particular.

Source: k8s.io/apiextensions-apiserver (pkg/registry/customresource/{strategy,validator,status_strategy}.go).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowdeck.embedded.apiserver.builtin.strategy import only_status_from
from flowdeck.embedded.apiserver.builtin.validation.metadata import validate_metadata, validate_metadata_update
from flowdeck.kube.errors import FieldError, invalid
from flowdeck.kube.json_path import compile_path
from flowdeck.kube.names import dns_subdomain
from flowdeck.kube.objects import Kind, Tree
from flowdeck.kube.schema import Schema


@dataclass(frozen=True)
class CustomStrategy:
    """The `Strategy` of one version of a custom kind. The schema's own checks are run by whoever writes."""

    kind: Kind
    schema: Schema
    has_status: bool
    scale: Tree | None = None

    def default(self, obj: Tree) -> None:
        self.schema.default(obj)

    def prepare_create(self, obj: Tree) -> None:
        if self.has_status:
            obj.pop("status", None)
        obj["metadata"]["generation"] = 1

    def prepare_update(self, obj: Tree, old: Tree) -> None:
        if self.has_status:
            if "status" in old:
                obj["status"] = old["status"]
            else:
                obj.pop("status", None)
        generation = int(old["metadata"].get("generation") or 1)
        obj["metadata"]["generation"] = generation + 1 if _content(obj) != _content(old) else generation

    def prepare_status(self, obj: Tree, old: Tree) -> None:
        only_status_from(obj, old)

    def validate(self, obj: Tree) -> Sequence[FieldError]:
        return validate_metadata(obj, self.kind.namespaced, dns_subdomain) + self._scale_errors(obj)

    def validate_update(self, obj: Tree, old: Tree) -> Sequence[FieldError]:
        return validate_metadata_update(obj, old) + self._scale_errors(obj)

    def validate_status(self, obj: Tree, old: Tree) -> Sequence[FieldError]:
        return validate_metadata_update(obj, old) + self._scale_errors(obj)

    def warnings(self, obj: Tree, old: Tree | None) -> Sequence[str]:
        return ()

    def _scale_errors(self, obj: Tree) -> list[FieldError]:
        """Replica counts, wherever the definition says that they stand."""
        errors = []
        for name in ("specReplicasPath", "statusReplicasPath") if self.scale else ():
            path = (self.scale or {}).get(name)
            count = compile_path(path).first(obj) if path else None
            if isinstance(count, int) and count < 0:
                errors.append(invalid(str(path), count, "should be a non-negative integer"))
        return errors


def _content(obj: Tree) -> Tree:
    """What the generation counts: everything but metadata and type (status is already as it was)."""
    return {name: value for name, value in obj.items() if name not in ("metadata", "apiVersion", "kind")}
