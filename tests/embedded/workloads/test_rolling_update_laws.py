"""Whatever pods do meanwhile, a rolling update keeps its limits, and ends when the pods become available."""

from hypothesis import given, settings
from hypothesis import strategies as st

from flowdeck.embedded.workloads.deployment import sizes
from flowdeck.kube.objects import Tree


def a_set(name: str, replicas: int, available: int, age: int) -> Tree:
    return {
        "metadata": {"name": name, "creationTimestamp": f"2026-01-01T00:00:{age:02d}Z"},
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "availableReplicas": available},
    }


def a_deployment(replicas: int, surge: int, unavailable: int) -> Tree:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}}


def resize(rs: Tree, size: int) -> None:
    """The pods that are not available go first, as a ReplicaSet deletes them."""
    rs["spec"]["replicas"] = rs["status"]["replicas"] = size
    rs["status"]["availableReplicas"] = min(rs["status"]["availableReplicas"], size)


def step(deployment: Tree, new: Tree, old: list[Tree]) -> bool:
    """One reconcile; says whether it changed anything."""
    size = sizes.size_of_new(deployment, new, old)
    if size != sizes.replicas_of(new):
        resize(new, size)
        return True
    smaller = sizes.sizes_of_old(deployment, new, old)
    for rs in old:
        resize(rs, smaller.get(rs["metadata"]["name"], sizes.replicas_of(rs)))
    return bool(smaller)


@settings(max_examples=300, deadline=None)
@given(
    replicas=st.integers(1, 20),
    surge=st.integers(0, 6),
    unavailable=st.integers(0, 6),
    old_sizes=st.lists(st.integers(0, 10), min_size=1, max_size=3),
    luck=st.lists(st.integers(0, 3), max_size=60),
)
def test_a_rolling_update_keeps_its_limits_and_ends(
    replicas: int, surge: int, unavailable: int, old_sizes: list[int], luck: list[int]
) -> None:
    old_sizes[0] = max(0, replicas - sum(old_sizes[1:]))
    deployment = a_deployment(replicas, surge, unavailable)
    old = [a_set(f"o{i}", size, size, i) for i, size in enumerate(old_sizes)]
    new = a_set("new", 0, 0, 59)
    most = max(sizes.largest_total(deployment), sum(old_sizes))
    least = min(replicas, sum(old_sizes)) - sizes.surge_and_unavailable(deployment)[1]
    for ready in [*luck, *([10] * 100)]:
        changed = step(deployment, new, old)
        everything = [new, *old]
        assert sizes.total(everything) <= most
        assert sizes.status_total(everything, "availableReplicas") >= least
        gain = min(ready, sizes.replicas_of(new) - new["status"]["availableReplicas"])
        new["status"]["availableReplicas"] += gain
        if not changed and not gain and ready == 10:
            break
    assert sizes.replicas_of(new) == replicas
    assert sizes.total(old) == 0


@settings(max_examples=300, deadline=None)
@given(
    wanted=st.integers(0, 30),
    surge=st.integers(0, 5),
    active=st.lists(st.tuples(st.integers(1, 15), st.integers(0, 5)), min_size=2, max_size=5),
)
def test_scaling_in_proportion_gives_out_all_there_is_and_takes_no_more_than_asked(
    wanted: int, surge: int, active: list[tuple[int, int]]
) -> None:
    deployment = a_deployment(wanted, surge, 1)
    old = [a_set(f"o{i}", size, max(0, size - broken), i) for i, (size, broken) in enumerate(active)]
    for rs in old:
        rs["metadata"]["annotations"] = {sizes.MAX_REPLICAS: str(sizes.total(old))}
    after = sizes.sizes_after_scaling(deployment, None, old)
    assert all(size >= 0 for size in after.values())
    allowed, before = (sizes.largest_total(deployment) if wanted else 0), sizes.total(old)
    if allowed >= before:
        assert sum(after.values()) == allowed
    else:  # the largest set takes what rounding left over, and may be too small for it: as upstream
        assert allowed <= sum(after.values()) <= before
