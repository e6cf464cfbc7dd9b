"""apply, diff, edit, patch, replace, label, annotate, kustomize."""

from pathlib import Path

import yaml

from tests.kubectl.kubectl import Kubectl
from tests.kubectl.makers import config_map, deployment, train_job


def test_applying_says_created_configured_and_unchanged(kubectl: Kubectl) -> None:
    assert kubectl.apply(deployment()) == "deployment.apps/web created\n"
    assert kubectl.apply(deployment()) == "deployment.apps/web unchanged\n"
    assert kubectl.apply(deployment(replicas=2)) == "deployment.apps/web configured\n"
    assert kubectl.apply(deployment(replicas=3), options="--dry-run=server").endswith("configured (server dry run)\n")
    assert kubectl("get deployment web -o jsonpath={.spec.replicas}") == "2"


def test_what_is_no_longer_in_the_file_goes(kubectl: Kubectl) -> None:
    kubectl.apply(config_map(a="1", b="2"))
    kubectl.apply(config_map(a="1"))
    assert kubectl("get cm settings -o jsonpath={.data}") == '{"a":"1"}'


def test_server_side_apply_sees_conflicts_and_can_be_forced(kubectl: Kubectl) -> None:
    assert kubectl.apply(deployment(), options="--server-side") == "deployment.apps/web serverside-applied\n"
    other = "--server-side --field-manager=other"
    done = kubectl.run(f"apply {other} -f -", stdin=yaml.safe_dump(deployment(replicas=2)))
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .spec.replicas' in done.stderr
    kubectl.apply(deployment(replicas=2), options=f"{other} --force-conflicts")
    managers = kubectl(
        "get deployment web --show-managed-fields", "-o", "jsonpath={.metadata.managedFields[*].manager}"
    )
    assert {"kubectl", "other"} <= set(managers.split())


def test_client_side_apply_can_become_server_side(kubectl: Kubectl) -> None:
    kubectl.apply(config_map(a="1", b="2"))
    kubectl.apply(config_map(a="1"), options="--server-side")
    assert kubectl("get cm settings -o jsonpath={.data}") == '{"a":"1"}'


def test_diff_shows_what_would_change(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    assert kubectl("diff -f -", stdin=yaml.safe_dump(deployment())) == ""
    done = kubectl.run("diff -f -", stdin=yaml.safe_dump(deployment(replicas=4)))
    assert done.returncode == 1
    assert "-  replicas: 1\n+  replicas: 4\n" in done.stdout
    done = kubectl.run("diff --server-side --force-conflicts -f -", stdin=yaml.safe_dump(deployment(replicas=4)))
    assert "+  replicas: 4\n" in done.stdout


def test_custom_objects_are_applied_again_and_again(kubectl: Kubectl) -> None:
    assert kubectl.apply(train_job(command=["sleep", "1000"])) == "trainjob.trainer.kubeflow.org/train created\n"
    assert kubectl.apply(train_job(command=["sleep", "1000"])) == "trainjob.trainer.kubeflow.org/train unchanged\n"
    job = train_job(command=["sleep", "1000"])
    job["metadata"]["labels"] = {"a": "b"}
    assert kubectl.apply(job) == "trainjob.trainer.kubeflow.org/train configured\n"


def test_pruning_deletes_what_is_not_in_the_files(kubectl: Kubectl) -> None:
    for name in ("keep", "drop"):
        kubectl.apply({**config_map(name, k="v"), "metadata": {"name": name, "labels": {"set": "one"}}})
    shown = kubectl.apply(
        {**config_map("keep", k="v"), "metadata": {"name": "keep", "labels": {"set": "one"}}},
        options="--prune -l set=one --prune-allowlist=core/v1/ConfigMap",
    )
    assert shown == "configmap/keep unchanged\nconfigmap/drop pruned\n"


def test_mistakes_in_files_are_named(kubectl: Kubectl) -> None:
    unknown = kubectl.fails("apply -f -", stdin=yaml.safe_dump({**config_map(), "dat": {}}))
    assert unknown == (
        'Error from server (BadRequest): error when creating "STDIN": ConfigMap in version "v1" cannot be handled as a '
        'ConfigMap: strict decoding error: unknown field "dat"\n'
    )
    bad = deployment()
    bad["spec"]["replicas"] = -1
    bad["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    invalid = kubectl.fails("apply -f -", stdin=yaml.safe_dump(bad))
    assert invalid.startswith('The Deployment "web" is invalid: \n* spec.replicas: Invalid value: -1: must be greater')
    assert "`selector` does not match template `labels`" in invalid
    nope = kubectl.fails("apply -f -", stdin=yaml.safe_dump({**config_map(), "kind": "Nope"}))
    assert 'no matches for kind "Nope" in version "v1"' in nope


def test_patches_of_all_types(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())
    strategic = '{"spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"A","value":"1"}]}]}}}}'
    assert kubectl("patch deployment web -p", strategic) == "deployment.apps/web patched\n"
    container = kubectl.json("get deployment web")["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["env"]) == ("busybox", [{"name": "A", "value": "1"}])
    kubectl("patch deployment web --type=merge -p", '{"spec":{"replicas":2}}')
    kubectl("patch deployment web --type=json -p", '[{"op":"replace","path":"/spec/replicas","value":3}]')
    assert kubectl("get deployment web -o jsonpath={.spec.replicas}") == "3"
    kubectl("patch deployment web --subresource=scale --type=merge -p", '{"spec":{"replicas":1}}')
    assert kubectl("get deployment web -o jsonpath={.spec.replicas}") == "1"
    kubectl.apply(config_map(a="1"))
    assert kubectl("patch configmap settings -p", '{"data":{"a":"1"}}') == "configmap/settings patched (no change)\n"
    failed = kubectl.fails("patch deployment web --type=json -p", '[{"op":"test","path":"/spec/replicas","value":9}]')
    assert failed == "The request is invalid: the server rejected our request due to an error in our request\n"


def test_an_editor_changes_an_object(kubectl: Kubectl) -> None:
    kubectl.apply(deployment())

    def edit(script: str, code: int = 0) -> str:
        editing = Kubectl(kubectl.kubeconfig, kubectl.namespace, {"KUBE_EDITOR": f"sed -i '{script}'"})
        done = editing.run("edit deployment web")
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    assert edit("s/replicas: 1/replicas: 2/") == "deployment.apps/web edited\n"
    assert kubectl("get deployment web -o jsonpath={.spec.replicas}") == "2"
    assert edit("s/nothing/else/") == "Edit cancelled, no changes made.\n"
    assert 'deployments.apps "web" is invalid' in edit("s/replicas: 2/replicas: -2/", code=1)


def test_replacing_and_replacing_by_force(kubectl: Kubectl) -> None:
    kubectl.apply(config_map(a="1"))
    assert kubectl("replace -f -", stdin=yaml.safe_dump(config_map(b="2"))) == "configmap/settings replaced\n"
    assert kubectl("get cm settings -o jsonpath={.data}") == '{"b":"2"}'
    before = kubectl("get cm settings -o jsonpath={.metadata.uid}")
    shown = kubectl("replace --force -f -", stdin=yaml.safe_dump(config_map(c="3")))
    assert shown == 'configmap "settings" deleted\nconfigmap/settings replaced\n'
    assert kubectl("get cm settings -o jsonpath={.metadata.uid}") != before
    stale = yaml.safe_dump({**config_map(), "metadata": {"name": "settings", "resourceVersion": "1"}})
    assert "the object has been modified; please apply your changes to the latest version" in kubectl.fails(
        "replace -f -", stdin=stale
    )


def test_labels_and_annotations(kubectl: Kubectl) -> None:
    kubectl.apply(config_map())
    assert kubectl("label cm settings tier=a") == "configmap/settings labeled\n"
    assert kubectl.fails("label cm settings tier=b") == (
        "error: 'tier' already has a value (a), and --overwrite is false\n"
    )
    kubectl("label cm settings tier=b --overwrite")
    assert kubectl("label cm settings --list") == "tier=b\n"
    assert kubectl("label cm settings tier-") == "configmap/settings unlabeled\n"
    assert kubectl("annotate cm settings note=x") == "configmap/settings annotated\n"
    assert kubectl("annotate cm settings note-") == "configmap/settings annotated\n"
    assert "must start and end with an alphanumeric" in kubectl.fails("label cm settings x=-")


def test_kustomizations_are_applied_compared_and_deleted(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(yaml.safe_dump(deployment()))
    kustomization = {
        "resources": ["web.yaml"],
        "namePrefix": "our-",
        "configMapGenerator": [{"name": "made", "literals": ["a=b"]}],
        "images": [{"name": "busybox", "newTag": "1.36"}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    assert "deployment.apps/our-web created\n" in kubectl(f"apply -k {tmp_path}")
    assert kubectl(f"diff -k {tmp_path}") == ""
    assert kubectl("get deployment our-web -o jsonpath={..image}") == "busybox:1.36"
    assert 'deployment.apps "our-web" deleted' in kubectl(f"delete -k {tmp_path}")
