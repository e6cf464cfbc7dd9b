"""In which order the replicated jobs of a JobSet start: all at once, in order, or after those they depend on."""

from collections.abc import Mapping, Sequence

from flowdeck.components.job_set.children import replicated_jobs
from flowdeck.components.job_set.seen import has_completed, has_started
from flowdeck.kube.objects import Tree, get_in


def is_in_order(job_set: Tree) -> bool:
    return bool(get_in(job_set, "spec", "startupPolicy", "startupPolicyOrder") == "InOrder")


def may_start(job_set: Tree, counted: Sequence[Tree]) -> list[Tree]:
    """The replicated jobs that may run now, given the counters of all."""
    by_name = {counter["name"]: counter for counter in counted}
    everyone = replicated_jobs(job_set)
    if is_in_order(job_set):
        return _first_ones(everyone, by_name)
    specs = {replicated["name"]: replicated for replicated in everyone}
    return [replicated for replicated in everyone if _is_free(replicated, specs, by_name)]


def has_all_started(job_set: Tree, counted: Sequence[Tree]) -> bool:
    everyone = replicated_jobs(job_set)
    return all(has_started(replicated, counter) for replicated, counter in zip(everyone, counted, strict=True))


def _first_ones(everyone: Sequence[Tree], by_name: Mapping[str, Tree]) -> list[Tree]:
    """Those that have started, and the next one."""
    found = []
    for replicated in everyone:
        found.append(replicated)
        if not has_started(replicated, by_name[replicated["name"]]):
            break
    return found


def _is_free(replicated: Tree, specs: Mapping[str, Tree], by_name: Mapping[str, Tree]) -> bool:
    for dependency in replicated.get("dependsOn") or ():
        name = dependency["name"]
        is_reached = has_completed if dependency["status"] == "Complete" else has_started
        if name not in specs or not is_reached(specs[name], by_name[name]):
            return False
    return True
