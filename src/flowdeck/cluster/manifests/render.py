"""All objects of an installation, in the order in which they are applied; the same for the same input."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from flowdeck.cluster.manifests import network, rights, workload
from flowdeck.cluster.manifests.objects import an_object, marked
from flowdeck.cluster.manifests.webhooks import webhook_configurations
from flowdeck.cluster.names import NAMESPACE
from flowdeck.cluster.settings import ClusterSettings
from flowdeck.cluster.settings_text import as_tree
from flowdeck.kube import kinds
from flowdeck.kube.objects import Kind, Tree, key_of
from flowdeck.plugins import components
from flowdeck.version import VERSION

IMAGE = f"ghcr.io/flowdeck/flowdeck:{VERSION}"


@dataclass(frozen=True)
class Manifests:
    """What is to be installed."""

    image: str = IMAGE
    """With a version's tag or a digest."""
    settings: ClusterSettings = field(default_factory=ClusterSettings)

    def definitions(self) -> list[Tree]:
        """The CustomResourceDefinitions: what users' objects hang on."""
        parts = components(self.settings.disabled)
        return [marked(crd) for part in parts for crd in part.custom_resource_definitions()]

    def others(self) -> list[Tree]:
        """Everything else."""
        parts, settings = components(self.settings.disabled), self.settings
        text = to_yaml([as_tree(settings)])
        rules = [rule for part in parts for rule in part.admission()]
        brought = [marked(obj) for part in parts for obj in part.objects()]
        custom = {(crd["spec"]["group"], crd["spec"]["names"]["kind"]) for crd in self.definitions()}
        last = [obj for obj in brought if (obj["apiVersion"].partition("/")[0], obj["kind"]) in custom]
        return _once(
            [
                namespace(),
                *(obj for obj in brought if obj not in last),
                rights.service_account(),
                *rights.roles(parts),
                workload.config_map(text),
                *network.services(parts),
                *network.policies(settings, parts),
                workload.disruption_budget(),
                workload.deployment(self.image, text, settings, parts),
                *webhook_configurations(rules),
                *last,
            ]
        )

    def all(self) -> list[Tree]:
        return [*self.definitions(), *self.others()]


def namespace() -> Tree:
    made = an_object(kinds.NAMESPACE, NAMESPACE)
    made["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted"
    return made


def _once(objects: Sequence[Tree]) -> list[Tree]:
    """Without what several bring: the namespace."""
    found: dict[tuple[str, Any], Tree] = {}
    for obj in objects:
        found.setdefault((obj["kind"], key_of(obj)), obj)
    return list(found.values())


def to_yaml(objects: Sequence[Tree]) -> str:
    """YAML documents; equal objects give equal text."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=120)


class _Dumper(yaml.CSafeDumper):
    """Without anchors: a reader of manifests should not have to look elsewhere."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def kind_of(obj: Tree, definitions: Sequence[Tree]) -> Kind:
    """The kind of an object of an installation; `definitions` are the CustomResourceDefinitions that it may be of."""
    wanted = (obj["apiVersion"], obj["kind"])
    return _kinds(definitions)[wanted]


def _kinds(definitions: Sequence[Tree]) -> dict[tuple[str, str], Kind]:
    known = [kind for kind in vars(kinds).values() if isinstance(kind, Kind)]
    for crd in definitions:
        spec = crd["spec"]
        for version in spec["versions"]:
            names = spec["names"]
            known.append(
                Kind(spec["group"], version["name"], names["kind"], names["plural"], spec["scope"] == "Namespaced")
            )
    return {(kind.api_version, kind.kind): kind for kind in known}
