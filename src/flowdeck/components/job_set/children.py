"""The Jobs, the Service and the claims of a JobSet."""

from collections.abc import Iterator, Sequence

from flowdeck.kube.job_set import names
from flowdeck.kube.kinds import JOB_SET
from flowdeck.kube.objects import Tree, copy_of, get_in, owner_reference, uid_of


def replicated_jobs(job_set: Tree) -> Sequence[Tree]:
    found: Sequence[Tree] = get_in(job_set, "spec", "replicatedJobs", default=())
    return found


def replicas_of(replicated: Tree) -> int:
    return int(replicated.get("replicas", 1))


def restarts_of(job_set: Tree) -> int:
    return int(get_in(job_set, "status", "restarts", default=0))


def subdomain_of(job_set: Tree) -> str:
    """The name of the headless Service, and what pods' host names end with."""
    return str(get_in(job_set, "spec", "network", "subdomain", default="") or job_set["metadata"]["name"])


def has_host_names(job_set: Tree) -> bool:
    return bool(get_in(job_set, "spec", "network", "enableDNSHostnames", default=True))


def jobs_of(job_set: Tree, replicated: Tree) -> Iterator[Tree]:
    """The Jobs of a replicated job, of the current restart attempt."""
    for index in range(replicas_of(replicated)):
        yield _job(job_set, replicated, index)


def _job(job_set: Tree, replicated: Tree, index: int) -> Tree:
    template = copy_of(replicated.get("template") or {})
    spec = template["spec"]
    name = names.job_name(job_set["metadata"]["name"], replicated["name"], index)
    marks = _marks(job_set, replicated, index, name)
    pod = spec["template"]
    pod["metadata"] = _marked(pod.get("metadata") or {}, marks)
    if has_host_names(job_set):
        pod["spec"]["subdomain"] = subdomain_of(job_set)
    _add_volumes(job_set, pod["spec"])
    spec["suspend"] = bool(get_in(job_set, "spec", "suspend", default=False))
    metadata = _marked(template.get("metadata") or {}, marks)
    metadata |= {"name": name, "namespace": job_set["metadata"]["namespace"], "ownerReferences": [_owner(job_set)]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _marked(metadata: Tree, marks: dict[str, str]) -> Tree:
    """Labels and annotations alike carry the marks."""
    kept = {field: metadata[field] for field in ("finalizers",) if metadata.get(field)}
    return kept | {
        "labels": {**(metadata.get("labels") or {}), **marks},
        "annotations": {**(metadata.get("annotations") or {}), **marks},
    }


def _marks(job_set: Tree, replicated: Tree, index: int, name: str) -> dict[str, str]:
    meta, everyone = job_set["metadata"], replicated_jobs(job_set)
    group = replicated.get("groupName", "default")
    same_group = [other for other in everyone if other.get("groupName", "default") == group]
    marks = {
        names.NAME: meta["name"],
        names.UID: uid_of(job_set),
        names.REPLICATED_JOB: replicated["name"],
        names.REPLICATED_JOB_REPLICAS: str(replicas_of(replicated)),
        names.GLOBAL_REPLICAS: str(sum(map(replicas_of, everyone))),
        names.RESTART_ATTEMPT: str(restarts_of(job_set)),
        names.JOB_INDEX: str(index),
        names.JOB_GLOBAL_INDEX: str(_before(everyone, replicated) + index),
        names.JOB_KEY: names.job_key(meta["namespace"], name),
        names.GROUP_NAME: group,
        names.GROUP_REPLICAS: str(sum(map(replicas_of, same_group))),
        names.JOB_GROUP_INDEX: str(_before(same_group, replicated) + index),
    }
    if coordinator := get_in(job_set, "spec", "coordinator"):
        marks[names.COORDINATOR] = _coordinator(job_set, coordinator)
    return marks


def _before(everyone: Sequence[Tree], replicated: Tree) -> int:
    """How many Jobs come before the first one of a replicated job."""
    position = next(i for i, other in enumerate(everyone) if other["name"] == replicated["name"])
    return sum(map(replicas_of, everyone[:position]))


def _coordinator(job_set: Tree, coordinator: Tree) -> str:
    job, pod = coordinator.get("jobIndex", 0), coordinator.get("podIndex", 0)
    host = names.pod_name(job_set["metadata"]["name"], coordinator["replicatedJob"], job, pod)
    return f"{host}.{subdomain_of(job_set)}"


def _owner(job_set: Tree) -> Tree:
    return owner_reference({**job_set, "apiVersion": JOB_SET.api_version, "kind": JOB_SET.kind})


def service_of(job_set: Tree) -> Tree:
    """The headless Service that gives the pods their host names."""
    spec = {
        "clusterIP": "None",
        "selector": {names.NAME: job_set["metadata"]["name"]},
        "publishNotReadyAddresses": get_in(job_set, "spec", "network", "publishNotReadyAddresses", default=True),
    }
    metadata = {
        "name": subdomain_of(job_set),
        "namespace": job_set["metadata"]["namespace"],
        "ownerReferences": [_owner(job_set)],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _templates(job_set: Tree) -> Iterator[tuple[Tree, str]]:
    """Each claim template, and what becomes of the claim when the JobSet is deleted."""
    for policy in get_in(job_set, "spec", "volumeClaimPolicies", default=()):
        retention = get_in(policy, "retentionPolicy", "whenDeleted", default="Delete")
        for template in policy.get("templates") or ():
            yield template, retention


def claims_of(job_set: Tree) -> list[tuple[Tree, str]]:
    """The PersistentVolumeClaims and their retention; owned by the JobSet where they go with it."""
    found = []
    for template, retention in _templates(job_set):
        meta = template.get("metadata") or {}
        metadata: Tree = {
            "name": names.claim_name(meta["name"], job_set["metadata"]["name"]),
            "namespace": job_set["metadata"]["namespace"],
            "labels": {**(meta.get("labels") or {}), names.NAME: job_set["metadata"]["name"]},
            "annotations": dict(meta.get("annotations") or {}),
        }
        if retention == "Delete":
            metadata["ownerReferences"] = [_owner(job_set)]
        spec = copy_of(template.get("spec") or {})
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
        found.append((claim, retention))
    return found


def _add_volumes(job_set: Tree, pod: Tree) -> None:
    mounts = {
        mount["name"]
        for container in [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]
        for mount in container.get("volumeMounts") or ()
    }
    for template, _ in _templates(job_set):
        name = template["metadata"]["name"]
        if name in mounts:
            claim = {"claimName": names.claim_name(name, job_set["metadata"]["name"])}
            pod["volumes"] = [*(pod.get("volumes") or ()), {"name": name, "persistentVolumeClaim": claim}]
