"""What a JobSet is filled up with, and what is refused."""

import pytest

from flowdeck.kube.job_set.admission import default, longest_pod_name, validate, validate_update
from flowdeck.kube.objects import copy_of


def a_replicated_job(name="node", completions=1, **more):
    pod = {"containers": [{"name": "main", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}
    job = {"parallelism": completions, "completions": completions, "template": {"spec": pod}}
    return {"name": name, "template": {"spec": job}, **more}


def a_job_set(*replicated, name="js", **spec):
    return {"metadata": {"name": name}, "spec": {"replicatedJobs": list(replicated or [a_replicated_job()]), **spec}}


def errors_of(job_set):
    default(job_set)
    return validate(job_set)


def test_defaults_are_filled_in():
    job_set = a_job_set(failurePolicy={"rules": [{"action": "FailJobSet"}, {"action": "FailJobSet", "name": "x"}]})
    default(job_set)
    spec = job_set["spec"]
    assert spec["successPolicy"] == {"operator": "All"}
    assert spec["startupPolicy"] == {"startupPolicyOrder": "AnyOrder"}
    assert spec["network"] == {"enableDNSHostnames": True, "publishNotReadyAddresses": True}
    assert [rule["name"] for rule in spec["failurePolicy"]["rules"]] == ["failurePolicyRule0", "x"]
    (replicated,) = spec["replicatedJobs"]
    assert (replicated["replicas"], replicated["groupName"]) == (1, "default")
    assert replicated["template"]["spec"]["completionMode"] == "Indexed"
    assert replicated["template"]["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    again = copy_of(job_set)
    default(again)
    assert again == job_set


def test_a_plain_job_set_is_fine():
    assert errors_of(a_job_set()) == []


LONG = "x" * 55
TEMPLATE = {"metadata": {"name": "data"}, "spec": {}}


@pytest.mark.parametrize(
    ("job_set", "error"),
    [
        pytest.param(
            a_job_set(a_replicated_job("worker"), name=LONG),
            "JobSet name is too long, pod names generated for this JobSet will exceed 63 characters",
            id="pod-name-too-long",
        ),
        pytest.param(
            a_job_set(name="x" * 60),
            "JobSet name is too long, job names generated for this JobSet will exceed 63 characters",
            id="job-name-too-long",
        ),
        pytest.param(a_job_set(name="1js"), "a DNS-1035 label must consist of lower case", id="name-not-a-label"),
        pytest.param(
            a_job_set(a_replicated_job(dependsOn=[{"name": "x", "status": "Ready"}])),
            "DependsOn can't be set for the first ReplicatedJob",
            id="first-depends",
        ),
        pytest.param(
            a_job_set(a_replicated_job("a"), a_replicated_job("b", dependsOn=[{"name": "c", "status": "Ready"}])),
            "replicatedJob: b cannot depend on replicatedJob: c",
            id="depends-on-nobody",
        ),
        pytest.param(
            a_job_set(successPolicy={"operator": "All", "targetReplicatedJobs": ["x"]}),
            "invalid replicatedJob name 'x' does not appear in .spec.ReplicatedJobs",
            id="success-target",
        ),
        pytest.param(
            a_job_set(failurePolicy={"rules": [{"action": "FailJobSet", "onJobFailureReasons": ["Bored"]}]}),
            "invalid job failure reason 'Bored' in failure policy is not a recognized job failure reason",
            id="failure-reason",
        ),
        pytest.param(
            a_job_set(failurePolicy={"rules": [{"action": "FailJobSet", "targetReplicatedJobs": ["x"]}]}),
            "invalid replicatedJob name 'x' in failure policy does not appear in .spec.ReplicatedJobs",
            id="failure-target",
        ),
        pytest.param(
            a_job_set(failurePolicy={"rules": [{"action": "FailJobSet", "name": "r"}] * 2}),
            "rule names are not unique, rules with indices [0 1] all have the same name 'r'",
            id="rule-names",
        ),
        pytest.param(
            a_job_set(failurePolicy={"rules": [{"action": "FailJobSet", "name": "1"}]}),
            "invalid failure policy rule name '1', a failure policy rule name must start with an alphabetic character",
            id="rule-name",
        ),
        pytest.param(
            a_job_set(coordinator={"replicatedJob": "x"}),
            "coordinator replicatedJob x does not exist",
            id="coordinator",
        ),
        pytest.param(
            a_job_set(coordinator={"replicatedJob": "node", "jobIndex": 1}),
            "coordinator job index 1 is invalid for replicatedJob node",
            id="coordinator-job",
        ),
        pytest.param(
            a_job_set(coordinator={"replicatedJob": "node", "podIndex": 1}),
            "coordinator pod index 1 is invalid for replicatedJob node job index 0",
            id="coordinator-pod",
        ),
        pytest.param(
            a_job_set(network={"subdomain": "Net"}), "a lowercase RFC 1123 subdomain must consist of", id="subdomain"
        ),
        pytest.param(
            a_job_set(network={"subdomain": "n" * 64}),
            ".spec.network.subdomain is too long, must be less than 63 characters",
            id="subdomain-too-long",
        ),
        pytest.param(
            a_job_set(managedBy="me"),
            'spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")',
            id="manager",
        ),
        pytest.param(
            a_job_set(volumeClaimPolicies=[{"templates": [TEMPLATE, TEMPLATE]}]),
            "duplicate VolumeClaimPolicies template name 'data'",
            id="claim-twice",
        ),
        pytest.param(
            a_job_set(volumeClaimPolicies=[{"templates": [{"metadata": {"name": "other"}}]}]),
            "VolumeClaimPolicies template 'other' is not mounted by any container of the JobSet",
            id="claim-not-mounted",
        ),
    ],
)
def test_what_is_wrong_is_said_in_upstreams_words(job_set, error):
    assert any(found.startswith(error) for found in errors_of(job_set))


def test_the_longest_pod_name_has_room_for_the_suffix():
    assert longest_pod_name("js", a_replicated_job(completions=12, replicas=3)) == "js-node-2-11-abcde"


class TestUpdate:
    def pair(self, *, suspended, **pod_changes):
        old = a_job_set(suspend=suspended)
        default(old)
        new = copy_of(old)
        pod = new["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]
        for part, fields in pod_changes.items():
            pod.setdefault(part, {}).update(fields)
        return new, old

    def test_while_suspended_the_place_of_pods_may_change(self):
        spec = {"nodeSelector": {"a": "b"}, "tolerations": [{}], "schedulingGates": [{"name": "g"}]}
        new, old = self.pair(suspended=True, metadata={"labels": {"x": "y"}}, spec=spec)
        assert validate_update(new, old) == []

    @pytest.mark.parametrize("change", [{"nodeSelector": {"a": "b"}}, {"containers": []}])
    def test_a_running_one_does_not_change(self, change):
        new, old = self.pair(suspended=False, spec=change)
        (error,) = validate_update(new, old)
        assert error.startswith("spec.replicatedJobs: Invalid value: ")
        assert error.endswith(": field is immutable")

    def test_a_suspended_one_keeps_its_containers(self):
        new, old = self.pair(suspended=True, spec={"containers": []})
        assert len(validate_update(new, old)) == 1

    def test_its_manager_stays(self):
        new, old = self.pair(suspended=True)
        new["spec"]["managedBy"] = "a.io/b"
        assert validate_update(new, old) == ['spec.managedBy: Invalid value: "a.io/b": field is immutable']
