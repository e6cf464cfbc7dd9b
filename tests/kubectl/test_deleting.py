"""delete: by name, label, file, now, by force, and with each way to treat what is owned."""

import yaml

from tests.kubectl.kubectl import Kubectl
from tests.kubectl.makers import config_map, deployment

STUBBORN = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]


def test_by_name_label_file_and_all(kubectl: Kubectl) -> None:
    for name in ("a", "b", "c", "d"):
        kubectl.apply({**config_map(name), "metadata": {"name": name, "labels": {"name": name}}})
    assert kubectl("delete configmap a") == 'configmap "a" deleted\n'
    assert kubectl("delete configmap -l name=b") == 'configmap "b" deleted\n'
    assert kubectl("delete -f -", stdin=yaml.safe_dump(config_map("c"))) == 'configmap "c" deleted\n'
    assert kubectl("delete configmap d --dry-run=server") == 'configmap "d" deleted (server dry run)\n'
    assert kubectl("get configmap d -o name") == "configmap/d\n"
    assert 'configmap "d" deleted\n' in kubectl("delete configmaps --all")
    assert kubectl.fails("delete configmap a") == 'Error from server (NotFound): configmaps "a" not found\n'
    assert kubectl("delete configmap a --ignore-not-found") == ""


def test_what_is_owned_goes_in_the_background_first_or_never(kubectl: Kubectl) -> None:
    for way in ("background", "foreground"):
        kubectl.apply(deployment())
        kubectl("rollout status deployment/web --timeout=30s")
        pods = kubectl("get pods -o name").split()
        assert kubectl(f"delete deployment web --cascade={way}") == 'deployment.apps "web" deleted\n'
        kubectl("wait --for=delete", *pods, "--timeout=30s")
        assert kubectl("get replicasets -o name") == ""
    kubectl.apply(deployment())
    kubectl("rollout status deployment/web --timeout=30s")
    kubectl("delete deployment web --cascade=orphan")
    kubectl("delete replicaset -l app=web --cascade=orphan")
    [pod] = kubectl("get pods -o name").split()
    assert kubectl(f"get {pod}", "-o", "jsonpath={.metadata.ownerReferences}") == ""


def test_now_and_by_force(kubectl: Kubectl) -> None:
    kubectl.pod("one", *STUBBORN)
    assert kubectl("delete pod one --now") == 'pod "one" deleted\n'
    kubectl.pod("two", *STUBBORN)
    done = kubectl.run("delete pod two --force")
    assert done.stdout == 'pod "two" force deleted\n'
    assert done.stderr.startswith("Warning: Immediate deletion does not wait for confirmation")
    assert kubectl("get pods -o name") == ""


def test_a_namespace_goes_with_all_that_is_in_it(kubectl: Kubectl) -> None:
    name = f"{kubectl.namespace[:50]}-2"
    kubectl(f"create namespace {name}")
    Kubectl(kubectl.kubeconfig, name).apply(config_map(), deployment())
    assert kubectl(f"delete namespace {name}") == f'namespace "{name}" deleted\n'
    assert kubectl(f"get configmaps --field-selector=metadata.namespace={name} -A -o name") == ""


def test_a_finalizer_holds_an_object(kubectl: Kubectl) -> None:
    kubectl.apply({**config_map(), "metadata": {"name": "settings", "finalizers": ["example.com/hold"]}})
    kubectl("delete configmap settings --wait=false")
    assert kubectl("get configmap settings -o jsonpath={.metadata.deletionTimestamp}")
    kubectl("patch configmap settings --type=json -p", '[{"op":"remove","path":"/metadata/finalizers"}]')
    assert kubectl("get configmap settings --ignore-not-found") == ""
