"""The life of an installation as its administrator sees it, with the operator's Deployment run by our node as pods."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowdeck.cluster.manifests.render import IMAGE, Manifests, to_yaml
from flowdeck.cluster.names import MANAGED_BY
from tests.kubectl.kubectl import Kubectl
from tests.kubernetes.install.site import flowdeck
from tests.kubernetes.joined_node import joined
from tests.kubernetes.rig import binaries
from tests.kubernetes.rig.control_plane import RealCluster, control_plane

pytestmark = pytest.mark.timeout(600)
EXAMPLE = Path(__file__).parents[3] / "examples" / "training" / "xgboost_digits.yaml"
BUILD = Path(__file__).parents[3] / "tools" / "build_image.py"
OURS = f"{MANAGED_BY}=flowdeck"
KINDS = (
    "customresourcedefinitions,namespaces,configmaps,roles,rolebindings,clusterroles,clusterrolebindings,services,"
    "serviceaccounts,networkpolicies,poddisruptionbudgets,mutatingwebhookconfigurations,validatingwebhookconfigurations"
)


@dataclass(frozen=True)
class Admin:
    """Who installs, and looks."""

    cluster: RealCluster
    kubectl: Kubectl

    def versions(self, kinds: str = KINDS) -> dict[str, str]:
        """The resourceVersion of every object of ours, by kind and name."""
        found = self.kubectl.json(f"get {kinds} -A -l {OURS}")["items"]
        return {f"{o['kind']}/{o['metadata']['name']}": o["metadata"]["resourceVersion"] for o in found}


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """An empty cluster with a node that runs pods; the operator's image is the one that our script builds."""
    data = tmp_path_factory.mktemp("node")
    archive = data / "flowdeck.tar"
    subprocess.run([sys.executable, BUILD, "flowdeck", "--output", archive], check=True)
    add = ["image", "add", IMAGE, "--archive", str(archive), "--data", str(data)]
    subprocess.run([sys.executable, "-m", "flowdeck.cli.main", *add], check=True)
    with (
        control_plane(binaries.folder(), controllers=True) as cluster,
        joined(cluster, "node-a", data, "--no-taint"),
    ):
        yield Admin(cluster, Kubectl(cluster.kubeconfig, "default", cluster.env))


def test_install_waits_until_the_platform_is_ready_and_it_trains(admin: Admin) -> None:
    told = json.loads(flowdeck(admin.cluster, "install", "--timeout", "150", "-o", "json"))
    assert told["ready"] is True
    assert told["counts"] == {"created": len(told["changes"])}
    pods = admin.kubectl.json("get pods -n kubeflow-system")["items"]
    assert [pod["status"]["containerStatuses"][0]["ready"] for pod in pods] == [True, True]
    assert all(pod["status"]["containerStatuses"][0]["imageID"].startswith("flowdeck://sha256:") for pod in pods)
    admin.kubectl(f"apply -f {EXAMPLE}")
    for _ in range(4):  # the first run builds the image's environment
        done = admin.kubectl.run("wait trainjob/digits --for=condition=Complete --timeout=55s")
        if done.returncode == 0:
            break
    assert done.returncode == 0, admin.kubectl("get trainjobs,jobsets,jobs,pods,events")
    assert "accuracy on 360 images held out: 0.9" in admin.kubectl("logs -l jobset.sigs.k8s.io/jobset-name=digits")


def test_wrong_jobs_are_refused_by_the_webhooks(admin: Admin) -> None:
    job = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "wrong"},
        "spec": {"runtimeRef": {"name": "no-such-runtime"}},
    }
    refused = admin.kubectl.fails("create -f -", stdin=json.dumps(job))
    assert 'admission webhook "validator.trainjob.trainer.kubeflow.org" denied the request' in refused
    assert "specified clusterTrainingRuntime must be created before the TrainJob is created" in refused


def test_installing_again_changes_nothing(admin: Admin) -> None:
    before = admin.versions()
    told = json.loads(flowdeck(admin.cluster, "install", "--timeout", "60", "-o", "json"))
    assert set(told["counts"]) == {"unchanged"}
    assert admin.versions() == before


def test_the_rendered_text_is_what_was_installed(admin: Admin) -> None:
    rendered = admin.cluster.folder / "flowdeck.yaml"
    rendered.write_text(to_yaml(Manifests().all()))
    before = admin.versions()
    command = [admin.cluster.kubectl, "--kubeconfig", admin.cluster.kubeconfig, "apply", "--server-side"]
    subprocess.run([*command, "--field-manager=flowdeck-install", "-f", rendered], check=True, capture_output=True)
    assert admin.versions() == before


def test_an_upgrade_keeps_settings_and_users_objects_and_takes_old_things_away(admin: Admin) -> None:
    kubectl = admin.kubectl
    kubectl("label -n kubeflow-system deployment/flowdeck --overwrite", "app.kubernetes.io/version=0.0.1")
    kubectl("create clusterrole of-an-old-version --verb=get --resource=pods")
    kubectl(f"label clusterrole of-an-old-version {OURS}")
    old = kubectl.json("get clustertrainingruntime torch-distributed")
    kubectl.apply({**old, "metadata": {"name": "users-own", "labels": {"trainer.kubeflow.org/framework": "torch"}}})
    settings = json.dumps({"data": {"settings.yaml": "leader: {lease_s: 20}\n"}})
    kubectl("patch -n kubeflow-system configmap/flowdeck -p", settings)

    assert "use `flowdeck upgrade`" in flowdeck(admin.cluster, "install", code=1)
    told = json.loads(flowdeck(admin.cluster, "upgrade", "--timeout", "150", "-o", "json"))
    changed = {change["name"] for change in told["changes"] if change["change"] == "deleted"}
    assert changed == {"of-an-old-version"}
    assert "lease_s: 20" in kubectl("get -n kubeflow-system configmap/flowdeck -o yaml")
    assert kubectl("get trainjob digits -o", "jsonpath={.status.conditions[-1:].type}") == "Complete"
    kubectl("get clustertrainingruntime users-own")


def test_what_is_not_ready_is_told_with_its_reason(admin: Admin) -> None:
    told = flowdeck(admin.cluster, "upgrade", "--image", "ghcr.io/flowdeck/missing:9.9.9", "--timeout", "8", code=1)
    assert "not ready after 8 s" in told
    assert "ErrImagePull" in told or "ImagePullBackOff" in told
    ready = admin.kubectl("get -n kubeflow-system deployment/flowdeck -o", "jsonpath={.status.availableReplicas}")
    assert ready == "2", "the old replicas serve on"
    moving = flowdeck(admin.cluster, "upgrade", "--image", "ghcr.io/flowdeck/flowdeck:latest", code=1)
    assert "may change by itself" in moving


def test_going_away_keeps_users_objects_unless_their_definitions_go_too(admin: Admin) -> None:
    flowdeck(admin.cluster, "uninstall", "--keep-crds")
    left = {name.partition("/")[0] for name in admin.versions()}
    assert left <= {"CustomResourceDefinition", "Namespace"}
    admin.kubectl("get trainjob digits")
    admin.kubectl("get clustertrainingruntime users-own")
    admin.kubectl("delete trainjob digits")  # no webhook is in the way

    asked = flowdeck(admin.cluster, "uninstall", "--crds", stdin="n\n")
    assert "kept" in asked
    flowdeck(admin.cluster, "uninstall", "--crds", stdin="y\n")
    for name in ("trainjobs.trainer.kubeflow.org", "jobsets.jobset.x-k8s.io"):
        admin.kubectl("wait --for=delete --timeout=50s", f"crd/{name}")
    admin.kubectl("wait --for=delete --timeout=55s", "namespace/kubeflow-system")
    assert admin.versions() == {}
