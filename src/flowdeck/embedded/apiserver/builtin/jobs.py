"""The selector and the labels that tie a Job to its pods.

Source: k8s.io/kubernetes (pkg/registry/batch/job/strategy.go).
"""

from flowdeck.kube.objects import Tree

CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
_LEGACY_CONTROLLER_UID = "controller-uid"
_LEGACY_JOB_NAME = "job-name"


def prepare_job(job: Tree) -> None:
    """A Job without labels of its own has those of its pods."""
    generate_selector(job)
    labels = job["spec"]["template"]["metadata"].get("labels")
    if labels and not job["metadata"].get("labels"):
        job["metadata"]["labels"] = dict(labels)


def generate_selector(job: Tree) -> None:
    """Unless the user brings a selector of their own (`manualSelector`), pods are told apart by the Job's uid."""
    spec = job["spec"]
    if spec.get("manualSelector"):
        return
    meta = job["metadata"]
    labels = spec["template"]["metadata"].setdefault("labels", {})
    for key, value in (
        (CONTROLLER_UID, meta["uid"]),
        (JOB_NAME, meta["name"]),
        (_LEGACY_CONTROLLER_UID, meta["uid"]),
        (_LEGACY_JOB_NAME, meta["name"]),
    ):
        labels.setdefault(key, value)
    if not spec.get("selector"):
        spec["selector"] = {"matchLabels": {CONTROLLER_UID: meta["uid"]}}
