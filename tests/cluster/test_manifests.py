"""What `flowdeck install` would apply, as a security review reads it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from flowdeck.cluster.manifests.render import Manifests, kind_of, to_yaml
from flowdeck.cluster.names import OURS
from flowdeck.cluster.settings import ClusterSettings
from flowdeck.kube import yaml_text
from flowdeck.kube.objects import Tree, get_in, key_of

ALL = Manifests().all()


def of_kind(*kinds: str) -> list[Tree]:
    """Fails where there are none: what is said of all of them would say nothing."""
    found = [obj for obj in ALL if obj["kind"] in kinds]
    assert found, kinds
    return found


def pod_specs(tree: Any) -> Iterator[Tree]:
    """Every pod specification of our own pods."""
    for deployment in of_kind("Deployment", "DaemonSet", "StatefulSet", "Job", "CronJob"):
        yield deployment["spec"]["template"]["spec"]


def containers() -> Iterator[Tree]:
    for spec in pod_specs(ALL):
        yield from [*spec["containers"], *spec.get("initContainers", [])]


def policy_rules() -> Iterator[Tree]:
    for role in of_kind("Role", "ClusterRole"):
        yield from role.get("rules", [])


def test_the_same_input_gives_the_same_text() -> None:
    assert to_yaml(Manifests().all()) == to_yaml(Manifests().all())


def test_the_text_is_yaml_that_says_what_the_objects_say() -> None:
    others = Manifests().others()
    assert list(yaml_text.load_all(to_yaml(others))) == others


def test_every_object_can_be_found_again_by_its_label_and_its_kind() -> None:
    definitions = Manifests().definitions()
    for obj in ALL:
        assert OURS.items() <= obj["metadata"]["labels"].items(), obj["metadata"]["name"]
        assert kind_of(obj, definitions).namespaced == bool(key_of(obj).namespace)


def test_no_rule_has_a_wildcard() -> None:
    for rule in policy_rules():
        assert "*" not in str(rule), rule
        assert "nonResourceURLs" not in rule


@pytest.mark.parametrize("dangerous", ["escalate", "bind", "impersonate"])
def test_no_rule_lets_anybody_become_more(dangerous: str) -> None:
    assert [rule for rule in policy_rules() if dangerous in rule["verbs"]] == []


READS = {"get", "list", "watch"}


@pytest.mark.parametrize(
    ("disabled", "verbs"), [(frozenset(), READS | {"create", "delete"}), (frozenset({"pipelines"}), READS)]
)
def test_the_operator_may_not_run_code_in_pods_and_makes_those_of_pipelines_alone(
    disabled: frozenset[str], verbs: set[str]
) -> None:
    objects = Manifests(settings=ClusterSettings(disabled=disabled)).all()
    for role in (obj for obj in objects if "Role" in obj["kind"] and obj["metadata"]["name"] == "flowdeck"):
        for rule in role.get("rules", ()):
            assert not {"pods/exec", "pods/attach", "serviceaccounts/token", "nodes"} & set(rule["resources"])
            assert "pods" not in rule["resources"] or set(rule["verbs"]) <= verbs


def test_the_operator_may_read_no_secret_but_its_own_and_those_in_the_namespace_of_pipelines() -> None:
    for role in of_kind("Role", "ClusterRole"):
        for rule in (rule for rule in role.get("rules", []) if "secrets" in rule["resources"]):
            if role["metadata"].get("namespace") == "kubeflow":
                assert rule["verbs"] == ["get"]
            else:
                assert rule["verbs"] == ["create"] or rule["resourceNames"] == ["flowdeck-certificates"]


def test_no_container_is_privileged_and_each_may_only_read_its_file_system() -> None:
    found = list(containers())
    assert found
    for container in found:
        context = container["securityContext"]
        assert context["privileged"] is False
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["runAsNonRoot"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_pods_keep_to_the_restricted_standard() -> None:
    for spec in pod_specs(ALL):
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any(spec.get(host) for host in ("hostNetwork", "hostPID", "hostIPC"))
        assert all("hostPath" not in volume for volume in spec["volumes"])


def test_no_image_has_a_tag_that_moves() -> None:
    for container in containers():
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        assert "@sha256:" in container["image"] or re.fullmatch(r"v?\d+\.\d+\.\d+.*", tag), container["image"]


def images(tree: Any) -> Iterator[str]:
    """Every image that anything names, runtimes of users' jobs included."""
    if isinstance(tree, dict):
        if isinstance(tree.get("image"), str):
            yield tree["image"]
        tree = list(tree.values())
    for part in tree if isinstance(tree, list) else ():
        yield from images(part)


def test_shipped_runtimes_name_versions() -> None:
    found = {image for runtime in of_kind("ClusterTrainingRuntime") for image in images(runtime)}
    assert len(found) > 4
    assert [image for image in found if image.rpartition("/")[2].partition(":")[2] in ("", "latest")] == []


def test_every_container_says_what_it_needs_and_is_watched() -> None:
    for container in containers():
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert {"livenessProbe", "readinessProbe"} <= container.keys()


def test_one_replica_stays_when_nodes_are_drained() -> None:
    (deployment,), (budget,) = of_kind("Deployment"), of_kind("PodDisruptionBudget")
    assert deployment["spec"]["replicas"] == 2
    assert budget["spec"]["minAvailable"] == 1
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]


def test_every_service_and_policy_selects_the_operators_pods() -> None:
    (deployment,) = of_kind("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"] for port in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]}
    for service in of_kind("Service"):
        if service["spec"]["type"] == "ExternalName":
            continue
        assert service["metadata"]["namespace"] == deployment["metadata"]["namespace"]
        assert service["spec"]["selector"] == labels
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for policy in of_kind("NetworkPolicy"):
        assert policy["spec"]["podSelector"] == {"matchLabels": labels}
        assert "Ingress" in policy["spec"]["policyTypes"]


def test_names_in_other_namespaces_lead_to_a_service_of_the_operator() -> None:
    services = {key_of(service) for service in of_kind("Service")}
    names = [service for service in of_kind("Service") if service["spec"]["type"] == "ExternalName"]
    assert [key_of(service) for service in names] == [("kubeflow", "ml-pipeline")]
    for service in names:
        name, namespace, rest = service["spec"]["externalName"].split(".", 2)
        assert (namespace, name) in services
        assert rest == "svc.cluster.local"


def test_webhooks_lead_to_the_operators_service_and_leave_trust_to_the_operator() -> None:
    services = {key_of(service) for service in of_kind("Service")}
    for configuration in of_kind("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        for hook in configuration["webhooks"]:
            service = hook["clientConfig"]["service"]
            assert (service["namespace"], service["name"]) in services
            assert "caBundle" not in hook["clientConfig"]
            assert hook["failurePolicy"] == "Fail"
            assert hook["sideEffects"] == "None"


def test_webhooks_are_called_what_upstreams_are() -> None:
    names = {c["metadata"]["name"]: [hook["name"] for hook in c["webhooks"]] for c in ALL if "webhooks" in c}
    assert names["defaulter.trainer.kubeflow.org"] == ["defaulter.trainjob.trainer.kubeflow.org"]
    assert names["validator.trainer.kubeflow.org"] == [
        f"validator.{kind}.trainer.kubeflow.org" for kind in ("trainjob", "trainingruntime", "clustertrainingruntime")
    ]


def test_shipped_runtimes_can_be_applied_while_no_webhook_answers() -> None:
    (validator,) = [c for c in of_kind("ValidatingWebhookConfiguration") if "trainer" in c["metadata"]["name"]]
    hook = validator["webhooks"][2]
    (without,) = hook["objectSelector"]["matchExpressions"]
    assert without["operator"] == "NotIn"
    for runtime in of_kind("ClusterTrainingRuntime"):
        assert runtime["metadata"]["labels"][without["key"]] in without["values"]


def test_a_component_that_is_off_brings_neither_kinds_nor_rights_nor_webhooks() -> None:
    objects = Manifests(settings=ClusterSettings(disabled=frozenset({"jobset"}))).all()
    assert not [obj for obj in objects if "jobset" in obj["metadata"]["name"]]
    (role,) = [o for o in objects if o["kind"] == "ClusterRole" and o["metadata"]["name"] == "flowdeck"]
    assert not [rule for rule in role["rules"] if "jobs" in rule["resources"]]
    (settings,) = [o for o in objects if o["kind"] == "ConfigMap" and o["metadata"]["name"] == "flowdeck"]
    assert yaml_text.load(settings["data"]["settings.yaml"]) == {"disabled": ["jobset"]}


def test_other_settings_mean_other_pods() -> None:
    def annotations(settings: ClusterSettings) -> Tree:
        (deployment,) = [o for o in Manifests(settings=settings).all() if o["kind"] == "Deployment"]
        return dict(get_in(deployment, "spec", "template", "metadata", "annotations"))

    assert annotations(ClusterSettings()) != annotations(ClusterSettings(disabled=frozenset({"jobset"})))
