"""The stable names of a StatefulSet's pods and claims. Pure. Source: kubernetes (stateful_set_utils.go)"""

import re
from collections.abc import Sequence

from flowdeck.embedded.workloads.revisions import REVISION_LABEL, template_of
from flowdeck.embedded.workloads.templates import name_prefix, pod_of
from flowdeck.kube.objects import Tree, copy_of, get_in, labels_of

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"

_ORDINAL = re.compile(r"(.*)-([0-9]+)$")


def first_ordinal(stateful_set: Tree) -> int:
    return int(get_in(stateful_set, "spec", "ordinals", "start", default=0))


def replicas_of(stateful_set: Tree) -> int:
    return int(get_in(stateful_set, "spec", "replicas", default=1))


def wanted_ordinals(stateful_set: Tree) -> range:
    start = first_ordinal(stateful_set)
    return range(start, start + replicas_of(stateful_set))


def ordinal_of(stateful_set: Tree, pod: Tree) -> int | None:
    """The pod's ordinal; None when its name is not one of the set's."""
    match = _ORDINAL.match(pod["metadata"]["name"])
    if match is None or match[1] != stateful_set["metadata"]["name"]:
        return None
    return int(match[2])


def pod_name(stateful_set: Tree, ordinal: int) -> str:
    return f"{stateful_set['metadata']['name']}-{ordinal}"


def claim_templates(stateful_set: Tree) -> Sequence[Tree]:
    return list(stateful_set["spec"].get("volumeClaimTemplates") or ())


def claim_name(stateful_set: Tree, template: Tree, ordinal: int) -> str:
    return f"{template['metadata']['name']}-{pod_name(stateful_set, ordinal)}"


def claim_of(stateful_set: Tree, template: Tree, ordinal: int) -> Tree:
    """The PersistentVolumeClaim of one pod."""
    selector_labels = get_in(stateful_set, "spec", "selector", "matchLabels", default={})
    given = template["metadata"]
    metadata: Tree = {
        "name": claim_name(stateful_set, template, ordinal),
        "namespace": stateful_set["metadata"]["namespace"],
        "labels": {**(given.get("labels") or {}), **selector_labels},
    }
    if given.get("annotations"):
        metadata["annotations"] = dict(given["annotations"])
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": copy_of(template["spec"]),
    }


def build_pod(stateful_set: Tree, revision: Tree, ordinal: int) -> Tree:
    """The pod of an ordinal as a revision has it, with its names and volumes."""
    name = pod_name(stateful_set, ordinal)
    pod = pod_of(template_of(revision), stateful_set, name=name)
    pod["metadata"]["generateName"] = name_prefix(stateful_set["metadata"]["name"])
    pod["metadata"]["labels"] |= {
        POD_NAME: name,
        POD_INDEX: str(ordinal),
        REVISION_LABEL: revision["metadata"]["name"],
    }
    spec = pod["spec"]
    spec["hostname"] = name
    if service := stateful_set["spec"].get("serviceName"):
        spec["subdomain"] = service
    claimed = _claimed_volumes(stateful_set, ordinal)
    names = {volume["name"] for volume in claimed}
    volumes = claimed + [volume for volume in spec.get("volumes") or [] if volume["name"] not in names]
    if volumes:
        spec["volumes"] = volumes
    return pod


def _claimed_volumes(stateful_set: Tree, ordinal: int) -> list[Tree]:
    return [
        {
            "name": template["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": claim_name(stateful_set, template, ordinal)},
        }
        for template in claim_templates(stateful_set)
    ]


def missing_identity(stateful_set: Tree, pod: Tree, ordinal: int) -> dict[str, str]:
    """The identity labels that somebody took from a pod."""
    wanted = {POD_NAME: pod_name(stateful_set, ordinal), POD_INDEX: str(ordinal)}
    return {name: text for name, text in wanted.items() if labels_of(pod).get(name) != text}
