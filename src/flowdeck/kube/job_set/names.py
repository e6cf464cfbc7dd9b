"""The names that a JobSet gives to what belongs to it. Source: kubernetes-sigs/jobset (api/jobset/v1alpha2)."""

import hashlib
from typing import Final

PREFIX: Final = "jobset.sigs.k8s.io/"
NAME: Final = PREFIX + "jobset-name"
UID: Final = PREFIX + "jobset-uid"
REPLICATED_JOB: Final = PREFIX + "replicatedjob-name"
REPLICATED_JOB_REPLICAS: Final = PREFIX + "replicatedjob-replicas"
GLOBAL_REPLICAS: Final = PREFIX + "global-replicas"
RESTART_ATTEMPT: Final = PREFIX + "restart-attempt"
JOB_INDEX: Final = PREFIX + "job-index"
JOB_GLOBAL_INDEX: Final = PREFIX + "job-global-index"
JOB_KEY: Final = PREFIX + "job-key"
GROUP_NAME: Final = PREFIX + "group-name"
GROUP_REPLICAS: Final = PREFIX + "group-replicas"
JOB_GROUP_INDEX: Final = PREFIX + "job-group-index"
COORDINATOR: Final = PREFIX + "coordinator"
CONTROLLER: Final = PREFIX + "jobset-controller"
"""The value of `managedBy` that means us, as an absent one does."""


def job_name(job_set: str, replicated_job: str, index: int) -> str:
    return f"{job_set}-{replicated_job}-{index}"


def pod_name(job_set: str, replicated_job: str, job_index: int, pod_index: int) -> str:
    """Also the pod's hostname; the pod's object has five more characters."""
    return f"{job_name(job_set, replicated_job, job_index)}-{pod_index}"


def job_key(namespace: str, job: str) -> str:
    """SHA-1 of `<namespace>/<job name>` in hex: the same for all pods of a Job, also after a restart."""
    return hashlib.sha1(f"{namespace}/{job}".encode(), usedforsecurity=False).hexdigest()


def claim_name(template: str, job_set: str) -> str:
    """The PersistentVolumeClaim of a claim template."""
    return f"{template}-{job_set}"
