"""get, in all its forms; api-resources, api-versions, explain, version, cluster-info."""

import json

from tests.kubectl.kubectl import Kubectl, rows
from tests.kubectl.makers import config_map, deployment

BUILT_IN = [
    "configmaps", "endpoints", "events", "limitranges", "namespaces", "nodes", "persistentvolumeclaims",
    "persistentvolumes", "pods", "podtemplates", "replicationcontrollers", "resourcequotas", "secrets",
    "serviceaccounts", "services", "mutatingwebhookconfigurations", "validatingadmissionpolicies",
    "validatingadmissionpolicybindings", "validatingwebhookconfigurations", "customresourcedefinitions",
    "controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets", "horizontalpodautoscalers",
    "cronjobs", "jobs", "certificatesigningrequests", "leases", "endpointslices", "events.events.k8s.io", "jobsets",
    "nodes.metrics.k8s.io", "pods.metrics.k8s.io", "ingressclasses", "ingresses", "networkpolicies", "runtimeclasses",
    "poddisruptionbudgets", "clusterrolebindings", "clusterroles", "rolebindings", "roles", "priorityclasses",
    "csidrivers", "csinodes", "csistoragecapacities", "storageclasses", "volumeattachments",
    "volumeattributesclasses", "clustertrainingruntimes", "trainingruntimes", "trainjobs",
]  # fmt: skip


def test_pods_have_the_columns_that_everybody_knows(kubectl: Kubectl) -> None:
    kubectl.pod("one")
    assert rows(kubectl("get pods"))[0] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    header, row = rows(kubectl("get pods -o wide"))
    assert " ".join(header) == "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES"
    assert row[:4] == ["one", "1/1", "Running", "0"]
    assert row[4].endswith("s")
    assert row[-3:] == ["flowdeck", "<none>", "<none>"]


def test_get_all_shows_what_a_deployment_made(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    kubectl("rollout status deployment/web --timeout=30s")
    shown = kubectl("get all")
    for kind in ("pod/web-", "deployment.apps/web ", "replicaset.apps/web-"):
        assert f"\n{kind}" in f"\n{shown}"
    header, row = rows(kubectl("get deployments -o wide"))
    assert header == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert row[:4] == ["web", "1/1", "1", "1"]
    assert row[5:] == ["main", "busybox", "app=web"]
    assert rows(kubectl("get replicasets"))[0] == ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]


def test_every_kind_can_be_listed_in_tables_and_in_full(kubectl: Kubectl) -> None:
    shown = kubectl(f"get {','.join(BUILT_IN)} -A")
    assert " node/flowdeck " in shown
    assert kubectl.json(f"get {','.join(BUILT_IN)} -A")["kind"] == "List"
    listable = {name.partition(".")[0] for name in kubectl("api-resources --verbs=list -o name").split()}
    assert {name.partition(".")[0] for name in BUILT_IN} <= listable


def test_output_can_be_a_name_yaml_jsonpath_or_columns_of_ones_own(kubectl: Kubectl) -> None:
    kubectl.apply(config_map("b", x="1"), config_map("a", x="2"))
    assert kubectl("get configmap/a -o name") == "configmap/a\n"
    assert kubectl("get configmap a -o yaml").startswith('apiVersion: v1\ndata:\n  x: "2"\nkind: ConfigMap\n')
    assert kubectl("get cm a", "-o", "jsonpath={.data.x}") == "2"
    assert (
        kubectl("get cm", "-o", 'jsonpath={range .items[*]}{.metadata.name}{"\\n"}{end}') == "a\nb\nkube-root-ca.crt\n"
    )
    assert rows(kubectl("get cm a b -o custom-columns=NAME:.metadata.name,X:.data.x")) == [
        ["NAME", "X"], ["a", "2"], ["b", "1"]
    ]  # fmt: skip
    assert kubectl("get cm a b", "-o", "go-template={{range .items}}{{.data.x}}{{end}}") == "21"
    kubectl("annotate cm b kube-root-ca.crt order=1")
    kubectl("annotate cm a order=2")
    names = "jsonpath={.items[*].metadata.name}"
    assert kubectl("get cm --sort-by=.metadata.annotations.order", "-o", names) == "b kube-root-ca.crt a"


def test_lists_are_chosen_by_label_and_field(kubectl: Kubectl) -> None:
    kubectl.pod("one", options="--labels=tier=front")
    kubectl("run two --image=busybox --restart=Never --labels=tier=back --command -- true")
    kubectl("wait --for=jsonpath={.status.phase}=Succeeded pod/two --timeout=30s")
    assert kubectl("get pods -l tier=front -o name") == "pod/one\n"
    assert kubectl("get pods -l", "tier in (front,back)", "-o", "name") == "pod/one\npod/two\n"
    assert kubectl("get pods --field-selector=status.phase=Succeeded -o name") == "pod/two\n"
    assert kubectl("get pods --field-selector=spec.nodeName=flowdeck,metadata.name!=one -o name") == "pod/two\n"
    assert rows(kubectl("get pods -L tier"))[1][-1] == "front"
    assert rows(kubectl("get pods --show-labels"))[2][-1] == "tier=back"
    assert 'field selector "foo=bar": field label not supported: foo' in kubectl.fails(
        "get pods --field-selector foo=bar"
    )


def test_long_lists_come_in_parts(kubectl: Kubectl) -> None:
    kubectl.apply(*(config_map(f"part-{number}") for number in range(7)))
    assert len(kubectl("get configmaps --chunk-size=3 -o name").splitlines()) == 8


def test_what_is_not_there_is_said_in_the_usual_words(kubectl: Kubectl) -> None:
    assert kubectl.run("get pods").stderr == f"No resources found in {kubectl.namespace} namespace.\n"
    assert kubectl.fails("get pods nope") == 'Error from server (NotFound): pods "nope" not found\n'
    assert kubectl.fails("get nope") == 'error: the server doesn\'t have a resource type "nope"\n'
    assert kubectl.fails("get deploy x") == 'Error from server (NotFound): deployments.apps "x" not found\n'
    assert kubectl("get pods nope --ignore-not-found") == ""


def test_resources_and_versions_are_listed(kubectl: Kubectl) -> None:
    wide = kubectl("api-resources -o wide")
    for line in (
        "pods po v1 true Pod create,delete,deletecollection,get,list,patch,update,watch all",
        "deployments deploy apps/v1 true Deployment create,delete,deletecollection,get,list,patch,update,watch all",
    ):
        assert line.split() in rows(wide)
    names = kubectl("api-resources -o name --namespaced=false").split()
    assert {"nodes", "namespaces", "clustertrainingruntimes.trainer.kubeflow.org"} <= set(names)
    assert "pods" not in names
    assert {"v1", "apps/v1", "batch/v1", "trainer.kubeflow.org/v1alpha1", "jobset.x-k8s.io/v1alpha2"} <= set(
        kubectl("api-versions").split()
    )


def test_explain_knows_fields_and_their_types(kubectl: Kubectl) -> None:
    shown = kubectl("explain pod.spec.containers.resources")
    assert shown.startswith("KIND:       Pod\nVERSION:    v1\n\nFIELD: resources <ResourceRequirements>\n")
    assert "limits\t<map[string]Quantity>" in shown
    recursive = kubectl("explain deployment --recursive")
    assert "    template\t<PodTemplateSpec> -required-\n      metadata\t<ObjectMeta>\n" in recursive
    assert "numNodes\t<integer>" in kubectl("explain trainjob.spec.trainer")
    assert "metrics\t<[]MetricSpec>" in kubectl("explain hpa.spec --api-version=autoscaling/v2")
    assert kubectl.fails("explain pod.nope").endswith('error: field "nope" does not exist\n')


def test_version_and_cluster_info_tell_where_one_is(kubectl: Kubectl) -> None:
    assert "Server Version: v1.36" in kubectl("version")
    assert json.loads(kubectl("version -o json"))["serverVersion"]["minor"] == "36"
    assert "Kubernetes control plane" in kubectl("cluster-info")
    assert kubectl("get --raw /healthz") == "ok"
    assert "readyz check passed" in kubectl("get --raw /readyz?verbose")
    assert json.loads(kubectl("get --raw /api/v1/namespaces/default"))["metadata"]["name"] == "default"


def test_everything_can_be_dumped(kubectl: Kubectl) -> None:
    kubectl.pod("one", "sh", "-c", "echo dumped; exec sleep 1000")
    dump = kubectl(f"cluster-info dump --namespaces={kubectl.namespace}")
    assert '"kind": "NodeList"' in dump
    assert f"==== START logs for container one of pod {kubectl.namespace}/one ====\ndumped" in dump
