"""When a JobSet has succeeded."""

from flowdeck.components.job_set.children import replicas_of, replicated_jobs
from flowdeck.components.job_set.seen import Seen, replicated_job_of
from flowdeck.kube.objects import Tree, get_in


def has_succeeded(job_set: Tree, seen: Seen) -> bool:
    """`All`: every Job of the targeted replicated jobs has; `Any`: one of them. No targets means all of them."""
    targets = get_in(job_set, "spec", "successPolicy", "targetReplicatedJobs", default=())
    aimed = [replicated for replicated in replicated_jobs(job_set) if not targets or replicated["name"] in targets]
    names = {replicated["name"] for replicated in aimed}
    done = sum(replicated_job_of(job) in names for job in seen.succeeded)
    if get_in(job_set, "spec", "successPolicy", "operator", default="All") == "Any":
        return done > 0
    return done >= sum(map(replicas_of, aimed))
