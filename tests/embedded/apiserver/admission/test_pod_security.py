"""A namespace's labels decide what its pods may ask for, in the words of upstream."""

import pytest

from flowdeck.embedded.apiserver.admission.pod_security import PodSecurity
from flowdeck.embedded.apiserver.admission.pod_security_checks import violations
from flowdeck.kube.errors import Forbidden, Invalid
from flowdeck.kube.kinds import DEPLOYMENT, NAMESPACE, POD
from flowdeck.kube.objects import Tree
from tests.embedded.apiserver.admission.makers import a_pod, a_request, admit
from tests.embedded.apiserver.in_memory import InMemoryStorage

SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def with_context(**context: object) -> Tree:
    return a_pod(containers=[{"name": "c", "securityContext": context}])


def a_namespace(**labels: str) -> PodSecurity:
    told = {f"pod-security.kubernetes.io/{mode}": level for mode, level in labels.items()}
    return PodSecurity(InMemoryStorage((NAMESPACE, {"metadata": {"name": "team", "labels": told}})))


@pytest.mark.parametrize(
    ("pod", "broken"),
    [
        (a_pod(), []),
        (
            with_context(privileged=True),
            ['privileged (container "c" must not set securityContext.privileged=true)'],
        ),
        (a_pod(hostNetwork=True, hostPID=True), ["host namespaces (hostNetwork=true, hostPID=true)"]),
        (a_pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), ['hostPath volumes (volume "v")']),
        (
            a_pod(containers=[{"name": "c", "ports": [{"hostPort": 80}]}]),
            ['hostPort (container "c" uses hostPort 80)'],
        ),
        (
            with_context(capabilities={"add": ["NET_ADMIN", "CHOWN"]}),
            [
                'non-default capabilities (container "c" must not include "NET_ADMIN" in '
                "securityContext.capabilities.add)"
            ],
        ),
        (
            with_context(seccompProfile={"type": "Unconfined"}),
            ['seccompProfile (container "c" must not set securityContext.seccompProfile.type to "Unconfined")'],
        ),
        (
            with_context(procMount="Unmasked"),
            ['procMount (container "c" must not set securityContext.procMount to "Unmasked")'],
        ),
        (
            a_pod(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
            ["forbidden sysctls (kernel.msgmax)"],
        ),
        (
            a_pod(
                initContainers=[{"name": "i", "securityContext": {"privileged": True}}],
                containers=[{"name": "c", "securityContext": {"privileged": True}}],
            ),
            ['privileged (containers "i", "c" must not set securityContext.privileged=true)'],
        ),
        (
            a_pod(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
            ['forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")'],
        ),
    ],
)
def test_what_breaks_the_baseline(pod: Tree, broken: list[str]) -> None:
    assert violations(pod, "baseline") == broken


@pytest.mark.parametrize(
    ("pod", "broken"),
    [
        (with_context(**SAFE), []),
        (
            a_pod(
                securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                containers=[
                    {
                        "name": "c",
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            ),
            [],
        ),
        (with_context(**SAFE, runAsUser=0), ['runAsUser=0 (container "c" must not set runAsUser=0)']),
        (
            with_context(**(SAFE | {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "CHOWN"]}})),
            ['unrestricted capabilities (container "c" must not include "CHOWN" in securityContext.capabilities.add)'],
        ),
        (
            with_context(**(SAFE | {"runAsNonRoot": False})),
            ['runAsNonRoot != true (container "c" must not set securityContext.runAsNonRoot=false)'],
        ),
        (
            a_pod(
                containers=[{"name": "c", "securityContext": SAFE}],
                volumes=[{"name": "v", "nfs": {}}, {"name": "w", "emptyDir": {}}],
            ),
            ['restricted volume types (volume "v" uses restricted volume type "nfs")'],
        ),
    ],
)
def test_what_breaks_the_restricted_level(pod: Tree, broken: list[str]) -> None:
    assert violations(pod, "restricted") == broken


async def test_a_pod_that_breaks_the_enforced_level_is_refused_with_all_that_is_wrong() -> None:
    with pytest.raises(Forbidden) as refused:
        await admit(a_namespace(enforce="restricted"), a_request(a_pod()))
    assert str(refused.value) == (
        'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
        '(container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities '
        '(container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container '
        '"c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set '
        'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )


async def test_the_warn_level_only_warns() -> None:
    request = a_request(with_context(privileged=True))
    await admit(a_namespace(warn="baseline"), request)
    assert request.warnings == [
        'would violate PodSecurity "baseline:latest": privileged (container "c" must not set '
        "securityContext.privileged=true)"
    ]


async def test_a_deployment_whose_pods_would_be_refused_is_warned_of() -> None:
    template = {"spec": a_pod(hostNetwork=True)["spec"]}
    deployment = {"metadata": {"name": "d", "namespace": "team"}, "spec": {"template": template}}
    request = a_request(deployment, DEPLOYMENT)
    await admit(a_namespace(enforce="baseline"), request)
    assert request.warnings == ['would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)']


async def test_without_labels_everything_goes() -> None:
    await admit(a_namespace(), a_request(with_context(privileged=True)))


async def test_an_update_that_leaves_the_spec_alone_is_not_judged() -> None:
    pod = with_context(privileged=True)
    labelled = {**pod, "metadata": {**pod["metadata"], "labels": {"a": "b"}}}
    await admit(a_namespace(enforce="baseline"), a_request(labelled, operation="UPDATE", old=pod))


async def test_a_level_that_does_not_exist_is_refused() -> None:
    namespace = {"metadata": {"name": "n", "labels": {"pod-security.kubernetes.io/enforce": "strong"}}}
    with pytest.raises(Invalid) as refused:
        await admit(a_namespace(), a_request(namespace, NAMESPACE))
    assert str(refused.value) == (
        'Namespace "n" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strong": must '
        "be one of privileged, baseline, restricted"
    )


async def test_a_new_level_tells_of_the_pods_that_break_it() -> None:
    plugin = PodSecurity(InMemoryStorage(*((POD, a_pod(name, hostNetwork=True)) for name in ("a", "b"))))
    old = {"metadata": {"name": "team"}}
    new = {"metadata": {"name": "team", "labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}
    request = a_request(new, NAMESPACE, operation="UPDATE", old=old)
    await admit(plugin, request)
    assert request.warnings == [
        'existing pods in namespace "team" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 1 other pod): host namespaces",
    ]


async def test_a_container_that_is_added_for_debugging_keeps_the_level() -> None:
    debug = {"name": "debug", "securityContext": {"privileged": True}}
    request = a_request(
        a_pod(ephemeralContainers=[debug]), operation="UPDATE", old=a_pod(), subresource="ephemeralcontainers"
    )
    with pytest.raises(Forbidden, match=r'container "debug" must not set securityContext.privileged=true'):
        await admit(a_namespace(enforce="baseline"), request)
