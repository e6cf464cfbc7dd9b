"""Where pods go, and what is said of those that can't go anywhere."""

import pytest
from scheduler_makers import a_group, a_node, a_pod, bound, failed, plan_of

from flowdeck.embedded.workloads.scheduler.gang import COSCHEDULING
from flowdeck.embedded.workloads.scheduler.volumes import PodVolumes
from flowdeck.kube.objects import ObjectKey

ZONE = "topology.kubernetes.io/zone"
NEVER = "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
HOPELESS = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."


def node_affinity(key, *values):
    terms = [{"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def near(kind, app, key="kubernetes.io/hostname"):
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


@pytest.mark.parametrize(
    ("pod", "node", "message"),
    [
        pytest.param({"cpu": "5"}, {}, f"1 Insufficient cpu. {NEVER}", id="cpu"),
        pytest.param({"gpu": "1"}, {}, f"1 Insufficient nvidia.com/gpu. {NEVER}", id="gpu"),
        pytest.param({}, {"pods": "0"}, f"1 Too many pods. {NEVER}", id="pods"),
        pytest.param({}, {"cordoned": True}, f"1 node(s) were unschedulable. {HOPELESS}", id="cordoned"),
        pytest.param(
            {},
            {"taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}]},
            f"1 node(s) had untolerated taint {{a: b}}. {HOPELESS}",
            id="taint",
        ),
        pytest.param(
            {"nodeSelector": {"zone": "x"}},
            {},
            f"1 node(s) didn't match Pod's node affinity/selector. {HOPELESS}",
            id="node-selector",
        ),
        pytest.param(
            {"affinity": node_affinity("zone", "x")},
            {"labels": {"zone": "y"}},
            f"1 node(s) didn't match Pod's node affinity/selector. {HOPELESS}",
            id="node-affinity",
        ),
        pytest.param(
            {"affinity": near("podAffinity", "db")},
            {},
            f"1 node(s) didn't match pod affinity rules. {NEVER}",
            id="near",
        ),
    ],
)
def test_a_pod_that_fits_nowhere_is_told_why(pod, node, message):
    plan = plan_of([a_pod("p", **pod)], [a_node(**node)])
    assert failed(plan) == {"p": f"0/1 nodes are available: {message}"}


@pytest.mark.parametrize(
    ("pod", "node"),
    [
        pytest.param({"cpu": "4"}, {}, id="just-enough"),
        pytest.param({"gpu": "2"}, {"nvidia.com_gpu": "2"}, id="gpus"),
        pytest.param({"tolerations": [{"operator": "Exists"}]}, {"cordoned": True}, id="tolerates-all"),
        pytest.param({"affinity": node_affinity("zone", "x", "y")}, {"labels": {"zone": "y"}}, id="node-affinity"),
        pytest.param({"affinity": near("podAffinity", "me"), "labels": {"app": "me"}}, {}, id="first-of-its-own-kind"),
    ],
)
def test_a_pod_goes_where_it_fits(pod, node):
    assert bound(plan_of([a_pod("p", **pod)], [a_node(**node)])) == {"p": "n1"}


def test_without_nodes_nothing_can_be_scheduled():
    assert failed(plan_of([a_pod("p")], [])) == {"p": "no nodes available to schedule pods"}


def test_pods_of_one_pass_see_each_other():
    plan = plan_of([a_pod("a", cpu="3"), a_pod("b", cpu="3")])
    assert bound(plan) == {"a": "n1"}
    assert "Insufficient cpu" in failed(plan)["b"]


def test_of_many_alike_as_many_are_placed_as_fit_and_the_rest_is_told_why():
    plan = plan_of([a_pod(f"p{number}") for number in range(5)], [a_node(pods="2")])
    assert len(bound(plan)) == 2
    assert set(failed(plan).values()) == {f"0/1 nodes are available: 1 Too many pods. {NEVER}"}
    assert len(failed(plan)) == 3


def test_alike_pods_that_fit_nowhere_are_looked_at_again_once_something_was_placed():
    wish = near("podAffinity", "db")
    pods = [a_pod("a", affinity=wish), a_pod("b", labels={"app": "db"}), a_pod("c", affinity=wish)]
    plan = plan_of(pods, [a_node()])
    assert bound(plan) == {"b": "n1", "c": "n1"}
    assert set(failed(plan)) == {"a"}


def test_running_pods_count_and_ended_ones_do_not():
    plan = plan_of([a_pod(cpu="3", on="n1", phase="Running"), a_pod(cpu="3", on="n1", phase="Succeeded"), a_pod("p")])
    assert bound(plan) == {"p": "n1"}


def test_the_important_pod_comes_first():
    assert bound(plan_of([a_pod("a", cpu="3"), a_pod("b", cpu="3", priority=5)])) == {"b": "n1"}


def test_the_emptier_node_is_better():
    nodes = [a_node("n1"), a_node("n2")]
    assert bound(plan_of([a_pod(on="n1"), a_pod("p")], nodes)) == {"p": "n2"}


def test_a_host_port_is_taken_once():
    web = {"containers": [{"name": "w", "ports": [{"containerPort": 80, "hostPort": 80}]}]}
    plan = plan_of([a_pod("a", on="n1", **web), a_pod("b", **web)])
    assert "free ports" in failed(plan)["b"]


def test_pods_keep_apart_when_either_side_wants_it():
    shy = {"affinity": near("podAntiAffinity", "x"), "labels": {"app": "x"}}
    nodes = [a_node("n1"), a_node("n2")]
    plan = plan_of([a_pod("a", **shy), a_pod("b", **shy), a_pod("c", **shy)], nodes)
    assert sorted(bound(plan).values()) == ["n1", "n2"]
    other = plan_of([a_pod(on="n1", **shy), a_pod("d", labels={"app": "x"})])
    assert "existing pods anti-affinity" in failed(other)["d"]


def test_pods_are_spread_over_zones():
    rule = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}},
    }
    spread = {"labels": {"app": "x"}, "topologySpreadConstraints": [rule]}
    nodes = [a_node("n1", labels={ZONE: "a"}), a_node("n2", labels={ZONE: "b"}, cpu="1"), a_node("n3")]
    plan = plan_of([a_pod(name, **spread) for name in ("p1", "p2", "p3", "p4")], nodes)
    assert sorted(bound(plan).values()) == ["n1", "n1", "n2"]
    assert "topology spread constraints (missing required label)" in failed(plan)["p4"]


class TestPreemption:
    def test_a_less_important_pod_makes_room(self):
        victim = a_pod("low", cpu="4", on="n1", phase="Running")
        plan = plan_of([victim, a_pod("high", cpu="2", priority=10)])
        ((pod, eviction),) = plan.evict
        assert pod["metadata"]["name"] == "high"
        assert list(eviction.victims) == [victim]
        assert failed(plan) == {"high": "0/1 nodes are available: 1 Insufficient cpu."}

    def test_no_more_pods_than_needed_are_ended(self):
        pods = [a_pod("a", cpu="2", on="n1", priority=1), a_pod("b", cpu="2", on="n1")]
        ((_, eviction),) = plan_of([*pods, a_pod("high", cpu="2", priority=10)]).evict
        assert [victim["metadata"]["name"] for victim in eviction.victims] == ["b"]

    def test_a_disruption_budget_is_kept_where_possible(self):
        pods = [
            a_pod("a", cpu="4", on="n1", labels={"app": "guarded"}),
            a_pod("b", cpu="4", on="n2", priority=1),
        ]
        budget = {
            "metadata": {"name": "b", "namespace": "ns", "uid": "b"},
            "spec": {"selector": {"matchLabels": {"app": "guarded"}}},
            "status": {"disruptionsAllowed": 0},
        }
        nodes = [a_node("n1"), a_node("n2")]
        ((_, eviction),) = plan_of([*pods, a_pod(cpu="2", priority=9)], nodes, budgets=[budget]).evict
        assert eviction.place.name == "n2"

    def test_a_pod_may_decline_to_preempt(self):
        pods = [a_pod(cpu="4", on="n1"), a_pod("p", priority=9, preemptionPolicy="Never")]
        plan = plan_of(pods)
        assert not plan.evict
        assert failed(plan)["p"].endswith(HOPELESS)

    def test_room_that_is_being_cleared_is_not_given_away(self):
        waiting = a_pod("high", cpu="4", priority=9)
        waiting["status"]["nominatedNodeName"] = "n1"
        plan = plan_of([a_pod(cpu="2", on="n1", deleted=True), waiting, a_pod("low", cpu="1")])
        assert not plan.bind
        assert not plan.evict


class TestGang:
    def groups(self, *groups):
        return {(COSCHEDULING, ObjectKey("ns", group["metadata"]["name"])): group for group in groups}

    def test_all_pods_of_a_group_start_or_none(self):
        pods = [a_pod("a", cpu="3", group="g"), a_pod("b", cpu="3", group="g")]
        plan = plan_of(pods, groups=self.groups(a_group(members=2, cpu="6")))
        assert not plan.bind
        assert set(failed(plan)) == {"a", "b"}
        plan = plan_of(pods, [a_node(cpu="6")], groups=self.groups(a_group(members=2, cpu="6")))
        assert bound(plan) == {"a": "n1", "b": "n1"}

    def test_a_group_waits_for_its_members_when_it_does_not_say_what_they_need(self):
        group = self.groups(a_group(members=2))
        assert not plan_of([a_pod("a", group="g")], groups=group).bind
        assert len(plan_of([a_pod("a", group="g"), a_pod("b", group="g")], groups=group).bind) == 2

    def test_room_is_kept_for_members_that_come_later(self):
        """Initializers run first; the nodes of the job do not exist yet."""
        group = self.groups(a_group(members=3, cpu="3"))
        plan = plan_of([a_pod("init", group="g"), a_pod("other", cpu="2")], groups=group)
        assert bound(plan) == {"init": "n1"}
        done = a_pod("init", group="g", on="n1", phase="Succeeded")
        plan = plan_of([done, a_pod("x", group="g"), a_pod("y", group="g"), a_pod("other", cpu="2")], groups=group)
        assert bound(plan) == {"x": "n1", "y": "n1", "other": "n1"}

    def test_two_groups_do_not_block_each_other_half_way(self):
        pods = [a_pod(f"{g}{i}", cpu="1.5", group=g) for i in (1, 2) for g in ("g", "h")]
        groups = self.groups(a_group("g", members=2, cpu="3"), a_group("h", members=2, cpu="3"))
        assert set(bound(plan_of(pods, groups=groups))) == {"g1", "g2"}


def test_claims_decide_where_a_pod_may_go():
    pod = a_pod("p")
    plan = plan_of([pod], volumes={"uid-p": PodVolumes('persistentvolumeclaim "c" not found')})
    assert failed(plan) == {"p": '0/1 nodes are available: persistentvolumeclaim "c" not found.'}
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2"]}
    volume = {"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}}}
    plan = plan_of([pod], [a_node("n1"), a_node("n2")], volumes={"uid-p": PodVolumes("", [volume])})
    assert bound(plan) == {"p": "n2"}
