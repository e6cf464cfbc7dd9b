"""What the server fills in that a writer left out."""

import pytest

from flowdeck.embedded.apiserver.builtin.defaults.admission import default_definition, default_mutating_webhooks
from flowdeck.embedded.apiserver.builtin.defaults.apps import default_deployment, default_stateful_set
from flowdeck.embedded.apiserver.builtin.defaults.autoscaling import default_autoscaler
from flowdeck.embedded.apiserver.builtin.defaults.batch import default_cron_job, default_job
from flowdeck.embedded.apiserver.builtin.defaults.core import default_limit_range, default_secret
from flowdeck.embedded.apiserver.builtin.defaults.pods import default_pod, default_pod_template
from flowdeck.embedded.apiserver.builtin.defaults.rbac import default_binding
from flowdeck.embedded.apiserver.builtin.defaults.services import default_network_policy, default_service
from flowdeck.embedded.apiserver.builtin.pods import quality_of_service
from tests.embedded.apiserver.kinds import a_container, a_deployment, a_job, a_pod, a_service, a_template


def test_a_pod_gets_all_that_it_did_not_say() -> None:
    pod = a_pod()
    default_pod(pod)
    assert pod["spec"] == {
        "containers": [
            {
                "name": "main",
                "image": "image:1",
                "imagePullPolicy": "IfNotPresent",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("registry:5000/nginx", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("registry:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
    ],
)
def test_an_image_without_a_fixed_tag_is_always_pulled(image: str, policy: str) -> None:
    pod = a_pod({"name": "a", "image": image})
    default_pod(pod)
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_requests_follow_from_limits_in_pods_but_not_in_templates() -> None:
    limits = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}
    pod, template = (
        a_pod(a_container(resources=dict(limits))),
        a_template(a_container(resources={"limits": {"cpu": "1"}})),
    )
    default_pod(pod)
    default_pod_template(template)
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    assert template["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}}
    assert "enableServiceLinks" not in template["spec"]


def test_probes_and_volumes_get_their_numbers() -> None:
    probe = {"httpGet": {"port": 80}}
    pod = a_pod(
        a_container(readinessProbe=probe, ports=[{"containerPort": 80}]),
        volumes=[{"name": "a"}, {"name": "b", "secret": {"secretName": "s"}}, {"name": "c", "hostPath": {"path": "/"}}],
    )
    default_pod(pod)
    assert probe == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert pod["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert pod["spec"]["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "secret": {"secretName": "s", "defaultMode": 420}},
        {"name": "c", "hostPath": {"path": "/", "type": ""}},
    ]


def test_defaulting_twice_changes_nothing() -> None:
    job = a_job()
    default_job(job)
    once = repr(job)
    default_job(job)
    assert repr(job) == once


def test_a_deployment_rolls_by_quarters() -> None:
    deployment = a_deployment()
    default_deployment(deployment)
    spec = deployment["spec"]
    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }


def test_a_deployment_that_recreates_has_no_rolling_update() -> None:
    deployment = a_deployment(strategy={"type": "Recreate"})
    default_deployment(deployment)
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_the_claims_of_a_stateful_set_are_claims() -> None:
    stateful_set = {"metadata": {}, "spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]}}
    default_stateful_set(stateful_set)
    [claim] = stateful_set["spec"]["volumeClaimTemplates"]  # type: ignore[call-overload]
    assert (claim["kind"], claim["spec"], claim["status"]) == (
        "PersistentVolumeClaim",
        {"volumeMode": "Filesystem"},
        {"phase": "Pending"},
    )


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, {"completions": 1, "parallelism": 1, "backoffLimit": 6, "podReplacementPolicy": "TerminatingOrFailed"}),
        ({"parallelism": 3}, {"completions": None, "parallelism": 3}),
        ({"completions": 3}, {"completions": 3, "parallelism": 1}),
        ({"backoffLimitPerIndex": 1}, {"backoffLimit": 2147483647}),
        ({"podFailurePolicy": {"rules": []}}, {"podReplacementPolicy": "Failed"}),
    ],
)
def test_a_job_gets_counts_that_fit_each_other(spec: dict[str, object], wanted: dict[str, object]) -> None:
    job = a_job(**spec)
    default_job(job)
    assert {name: job["spec"].get(name) for name in wanted} == wanted


def test_a_cron_job_keeps_three_good_and_one_bad_job() -> None:
    cron_job: dict[str, dict[str, object]] = {"metadata": {}, "spec": {"schedule": "* * * * *"}}
    default_cron_job(cron_job)
    spec = cron_job["spec"]
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 1)
    assert (spec["concurrencyPolicy"], spec["suspend"]) == ("Allow", False)


def test_string_data_of_a_secret_becomes_data() -> None:
    secret = {"metadata": {}, "data": {"a": "eA=="}, "stringData": {"a": "new", "b": "y"}}
    default_secret(secret)
    assert secret == {"metadata": {}, "type": "Opaque", "data": {"a": "bmV3", "b": "eQ=="}}


def test_a_service_answers_on_the_port_that_it_names() -> None:
    service = a_service()
    default_service(service)
    assert service["spec"] == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
    }


def test_limits_of_a_limit_range_follow_from_each_other() -> None:
    item = {"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}
    default_limit_range({"spec": {"limits": [item]}})
    assert item["default"] == {"cpu": "2"}
    assert item["defaultRequest"] == {"cpu": "2", "memory": "1Mi"}


def test_smaller_kinds_get_theirs() -> None:
    policy: dict[str, dict[str, object]] = {"spec": {"egress": [{}]}}
    default_network_policy(policy)
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    binding: dict[str, object] = {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}]}
    default_binding(binding)
    assert binding["subjects"] == [{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}]
    webhooks: dict[str, list[dict[str, object]]] = {"webhooks": [{"name": "a.b.c"}]}
    default_mutating_webhooks(webhooks)
    assert webhooks["webhooks"][0]["timeoutSeconds"] == 10
    assert webhooks["webhooks"][0]["reinvocationPolicy"] == "Never"
    autoscaler: dict[str, dict[str, object]] = {"spec": {"maxReplicas": 3}}
    default_autoscaler(autoscaler)
    assert autoscaler["spec"]["minReplicas"] == 1
    definition: dict[str, dict[str, dict[str, str]]] = {"spec": {"names": {"kind": "Foo", "plural": "foos"}}}
    default_definition(definition)
    assert definition["spec"]["names"] == {"kind": "Foo", "plural": "foos", "singular": "foo", "listKind": "FooList"}
    assert definition["spec"]["conversion"] == {"strategy": "None"}


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
        ({"limits": {"nvidia.com/gpu": "1"}}, "BestEffort"),
    ],
)
def test_quality_of_service_follows_from_resources(resources: dict[str, dict[str, str]], wanted: str) -> None:
    assert quality_of_service(a_pod(a_container(resources=resources))) == wanted
