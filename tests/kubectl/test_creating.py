"""create, run, expose, autoscale, set."""

import base64
import json

import pytest

from tests.kubectl.kubectl import Kubectl, rows
from tests.kubectl.makers import deployment


def test_config_maps_and_secrets_from_the_command_line(kubectl: Kubectl) -> None:
    assert kubectl("create configmap c --from-literal=a=1 --from-literal=b=two") == "configmap/c created\n"
    assert json.loads(kubectl("get cm c -o jsonpath={.data}")) == {"a": "1", "b": "two"}
    kubectl("create secret generic s --from-literal=password=xyz")
    assert base64.b64decode(kubectl("get secret s -o jsonpath={.data.password}")) == b"xyz"
    assert "password:  3 bytes\n" in kubectl("describe secret s")
    kubectl("create secret docker-registry d --docker-username=u --docker-password=p")
    assert rows(kubectl("get secret d"))[1][1] == "kubernetes.io/dockerconfigjson"
    assert kubectl.fails("create configmap c") == ('error: failed to create configmap: configmaps "c" already exists\n')


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("quota q --hard=pods=10", "resourcequota/q created"),
        ("serviceaccount bot", "serviceaccount/bot created"),
        ("role r --verb=get,list --resource=pods,deployments.apps", "role.rbac.authorization.k8s.io/r created"),
        ("rolebinding b --clusterrole=view --user=jane", "rolebinding.rbac.authorization.k8s.io/b created"),
        ("service clusterip s --tcp=80:8080", "service/s created"),
        ("service nodeport s --tcp=80:8080", "service/s created"),
        ("service loadbalancer s --tcp=80:8080", "service/s created"),
        ("service externalname s --external-name=example.com", "service/s created"),
        ("ingress i --rule=example.com/path=s:80", "ingress.networking.k8s.io/i created"),
        ("poddisruptionbudget p --selector=app=x --min-available=1", "poddisruptionbudget.policy/p created"),
        ("deployment d --image=busybox --replicas=2 -- sleep 1000", "deployment.apps/d created"),
        ("cronjob c --image=busybox --schedule=@hourly -- true", "cronjob.batch/c created"),
        ("job j --image=busybox -- true", "job.batch/j created"),
    ],
)  # fmt: skip
def test_creating(kubectl: Kubectl, what: str, told: str) -> None:
    assert kubectl(f"create {what}") == f"{told}\n"
    assert kubectl(f"get {told.split()[0]} -o name") == f"{told.split()[0]}\n"


def test_cluster_wide_objects_are_created(kubectl: Kubectl) -> None:
    name = kubectl.namespace
    for what, told in [
        (f"clusterrole {name} --verb=get --resource=nodes", f"clusterrole.rbac.authorization.k8s.io/{name}"),
        (f"clusterrolebinding {name} --clusterrole=view", f"clusterrolebinding.rbac.authorization.k8s.io/{name}"),
        (f"priorityclass {name} --value=10", f"priorityclass.scheduling.k8s.io/{name}"),
        (f"namespace {name}-2", f"namespace/{name}-2"),
    ]:  # fmt: skip
        assert kubectl(f"create {what}") == f"{told} created\n"
        kubectl(f"delete {told} --wait=false")


def test_a_job_is_made_from_a_cron_job(kubectl: Kubectl) -> None:
    kubectl("create cronjob hourly --image=busybox --schedule=@hourly -- echo tick")
    assert kubectl("create job now --from=cronjob/hourly") == "job.batch/now created\n"
    kubectl("wait --for=condition=Complete job/now --timeout=30s")
    assert kubectl("logs job/now") == "tick\n"
    assert rows(kubectl("get cronjob hourly"))[0] == [
        "NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST", "SCHEDULE", "AGE"
    ]  # fmt: skip


def test_run_makes_a_pod_shows_its_output_and_removes_it(kubectl: Kubectl) -> None:
    shown = kubectl.run("run once -i --rm --restart=Never --image=busybox -- cat", stdin="piped through\n")
    assert "piped through\n" in shown.stdout
    assert 'pod "once" deleted' in shown.stdout
    assert kubectl("run dry --image=busybox --dry-run=client -o jsonpath={.spec.containers[0].image}") == "busybox"


def test_expose_and_autoscale(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    kubectl("rollout status deployment/web --timeout=30s")
    assert kubectl("expose deployment web --port=80 --target-port=8080") == "service/web exposed\n"
    kubectl("wait --for=jsonpath={.subsets[0].addresses[0].ip} endpoints/web --timeout=30s")
    header, row = rows(kubectl("get service web"))
    assert header == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert (row[1], row[3], row[4]) == ("ClusterIP", "<none>", "80/TCP")
    shown = kubectl("autoscale deployment web --min=1 --max=3 --cpu-percent=80")
    assert shown == "horizontalpodautoscaler.autoscaling/web autoscaled\n"
    header, row = rows(kubectl("get hpa"))
    assert header == ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"]
    assert row[:3] == ["web", "Deployment/web", "cpu:"]


def test_set_changes_image_environment_resources_and_account(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    assert kubectl("set image deployment/web main=busybox:1.36") == "deployment.apps/web image updated\n"
    assert kubectl("set env deployment/web A=1 B=2") == "deployment.apps/web env updated\n"
    assert kubectl("set env deployment/web A- --list") == "# Deployment web, container main\nB=2\n"
    kubectl("set resources deployment/web -c main --limits=cpu=200m,memory=64Mi")
    kubectl("create serviceaccount bot")
    kubectl("set serviceaccount deployment/web bot")
    spec = kubectl.json("get deployment web")["spec"]["template"]["spec"]
    assert (spec["serviceAccountName"], spec["containers"][0]["image"]) == ("bot", "busybox:1.36")
    assert spec["containers"][0]["resources"]["limits"] == {"cpu": "200m", "memory": "64Mi"}
    kubectl("create service clusterip s --tcp=80")
    assert kubectl("set selector service s app=web") == "service/s selector updated\n"
