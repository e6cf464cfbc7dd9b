"""What happens to a pod on its way into the store: accounts, limits, priorities, tolerations, runtime classes."""

from random import Random

import pytest

from flowdeck.embedded.apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from flowdeck.embedded.apiserver.admission.limit_ranger import LimitRanger
from flowdeck.embedded.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from flowdeck.embedded.apiserver.admission.priority import Priority
from flowdeck.embedded.apiserver.admission.runtime_class import RuntimeClass
from flowdeck.embedded.apiserver.admission.service_account import MOUNT_PATH, ServiceAccount
from flowdeck.kube.errors import Forbidden, NotFound
from flowdeck.kube.kinds import CONFIG_MAP, LIMIT_RANGE, NAMESPACE, PRIORITY_CLASS, RUNTIME_CLASS, SERVICE_ACCOUNT
from flowdeck.kube.objects import Tree
from tests.embedded.apiserver.admission.makers import a_pod, a_request, admit
from tests.embedded.apiserver.in_memory import InMemoryStorage


def named(name: str, namespace: str = "", **more: object) -> Tree:
    return {"metadata": {"name": name, **({"namespace": namespace} if namespace else {})}, **more}


class TestNamespaces:
    async def test_nothing_is_made_in_a_namespace_that_is_not_there(self) -> None:
        with pytest.raises(NotFound, match='namespaces "team" not found'):
            await admit(NamespaceLifecycle(InMemoryStorage()), a_request(a_pod()))

    async def test_nothing_is_made_in_a_namespace_that_is_going_away(self) -> None:
        going = named("team")
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        with pytest.raises(Forbidden) as refused:
            await admit(NamespaceLifecycle(InMemoryStorage((NAMESPACE, going))), a_request(a_pod()))
        assert str(refused.value) == (
            'pods "p" is forbidden: unable to create new content in namespace team because it is being terminated'
        )
        assert refused.value.causes[0].reason == "NamespaceTerminating"

    async def test_objects_in_a_namespace_that_is_going_away_can_still_be_changed(self) -> None:
        going = named("team")
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        request = a_request(a_pod(), operation="UPDATE", old=a_pod())
        await admit(NamespaceLifecycle(InMemoryStorage((NAMESPACE, going))), request)

    @pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
    async def test_three_namespaces_stay(self, name: str) -> None:
        request = a_request(None, NAMESPACE, operation="DELETE", old=named(name))
        with pytest.raises(Forbidden, match="this namespace may not be deleted"):
            await admit(NamespaceLifecycle(InMemoryStorage()), request)

    async def test_other_namespaces_can_go(self) -> None:
        request = a_request(None, NAMESPACE, operation="DELETE", old=named("team"))
        await admit(NamespaceLifecycle(InMemoryStorage()), request)


class TestServiceAccounts:
    def plugin(self, **account: object) -> ServiceAccount:
        storage = InMemoryStorage((SERVICE_ACCOUNT, named("default", "team", **account)))
        return ServiceAccount(storage, Random(1))

    async def test_a_pod_gets_the_default_account_and_its_token(self) -> None:
        pod = await admit(self.plugin(), a_request(a_pod()))
        volume = pod["spec"]["volumes"][0]
        mount = pod["spec"]["containers"][0]["volumeMounts"][0]
        assert pod["spec"]["serviceAccountName"] == pod["spec"]["serviceAccount"] == "default"
        assert volume["name"].startswith("kube-api-access-")
        assert volume["projected"]["sources"][0] == {
            "serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}
        }
        assert volume["projected"]["sources"][1]["configMap"]["name"] == "kube-root-ca.crt"
        assert mount == {"name": volume["name"], "readOnly": True, "mountPath": MOUNT_PATH}

    async def test_init_containers_get_the_token_too(self) -> None:
        pod = await admit(self.plugin(), a_request(a_pod(initContainers=[{"name": "i"}])))
        assert pod["spec"]["initContainers"][0]["volumeMounts"]

    async def test_what_a_pod_mounts_there_itself_is_left_alone(self) -> None:
        containers = [{"name": "c", "volumeMounts": [{"name": "mine", "mountPath": MOUNT_PATH}]}]
        pod = await admit(self.plugin(), a_request(a_pod(containers=containers)))
        assert "volumes" not in pod["spec"]

    @pytest.mark.parametrize(
        ("pod_says", "account_says", "mounted"),
        [(None, None, True), (None, False, False), (True, False, True), (False, True, False), (False, None, False)],
    )
    async def test_pod_and_account_may_decline_the_token(self, pod_says, account_says, mounted: bool) -> None:
        account = {} if account_says is None else {"automountServiceAccountToken": account_says}
        spec = {} if pod_says is None else {"automountServiceAccountToken": pod_says}
        pod = await admit(self.plugin(**account), a_request(a_pod(**spec)))
        assert ("volumes" in pod["spec"]) is mounted

    async def test_the_accounts_pull_secrets_are_used_unless_the_pod_has_its_own(self) -> None:
        plugin = self.plugin(imagePullSecrets=[{"name": "registry"}])
        assert (await admit(plugin, a_request(a_pod())))["spec"]["imagePullSecrets"] == [{"name": "registry"}]
        own = a_pod(imagePullSecrets=[{"name": "own"}])
        assert (await admit(plugin, a_request(own)))["spec"]["imagePullSecrets"] == [{"name": "own"}]

    async def test_an_unknown_account_is_told(self) -> None:
        with pytest.raises(Forbidden) as refused:
            await admit(self.plugin(), a_request(a_pod(serviceAccountName="ghost")))
        assert str(refused.value) == (
            'pods "p" is forbidden: error looking up service account team/ghost: serviceaccount "ghost" not found'
        )


def a_limit_range(**item: object) -> LimitRanger:
    item.setdefault("type", "Container")
    return LimitRanger(InMemoryStorage((LIMIT_RANGE, named("limits", "team", spec={"limits": [item]}))))


def with_resources(requests: dict | None = None, limits: dict | None = None) -> Tree:
    resources = {key: value for key, value in (("requests", requests), ("limits", limits)) if value}
    return a_pod(containers=[{"name": "c", "resources": resources}])


class TestLimits:
    async def test_defaults_fill_what_a_container_leaves_out(self) -> None:
        plugin = a_limit_range(default={"cpu": "500m", "memory": "1Gi"}, defaultRequest={"cpu": "100m"})
        pod = await admit(plugin, a_request(with_resources(requests={"memory": "10Mi"})))
        assert pod["spec"]["containers"][0]["resources"] == {
            "requests": {"memory": "10Mi", "cpu": "100m"},
            "limits": {"cpu": "500m", "memory": "1Gi"},
        }
        assert pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
            "LimitRanger plugin set: cpu request for container c; cpu, memory limit for container c"
        )

    @pytest.mark.parametrize(
        ("item", "pod", "text"),
        [
            (
                {"min": {"cpu": "100m"}},
                with_resources({"cpu": "50m"}, {"cpu": "1"}),
                "minimum cpu usage per Container is 100m, but request is 50m",
            ),
            (
                {"min": {"cpu": "100m"}},
                with_resources(),
                "minimum cpu usage per Container is 100m.  No request is specified",
            ),
            (
                {"max": {"memory": "1Gi"}, "default": {"cpu": "1"}},
                with_resources({"memory": "1Gi"}, {"memory": "2Gi"}),
                "maximum memory usage per Container is 1Gi, but limit is 2Gi",
            ),
            (
                {"type": "Pod", "max": {"cpu": "1"}},
                a_pod(containers=[{"name": n, "resources": {"limits": {"cpu": "600m"}}} for n in "ab"]),
                "maximum cpu usage per Pod is 1, but limit is 1200m",
            ),
            (
                {"maxLimitRequestRatio": {"cpu": "2"}},
                with_resources({"cpu": "100m"}, {"cpu": "300m"}),
                "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
            ),
        ],
    )  # fmt: skip
    async def test_what_is_out_of_bounds_is_refused(self, item: dict, pod: Tree, text: str) -> None:
        with pytest.raises(Forbidden) as refused:
            await admit(a_limit_range(**item), a_request(pod))
        assert str(refused.value) == f'pods "p" is forbidden: {text}'

    async def test_what_is_within_bounds_is_not_touched(self) -> None:
        plugin = a_limit_range(min={"cpu": "100m"}, max={"cpu": "1"})
        pod = await admit(plugin, a_request(with_resources({"cpu": "200m"}, {"cpu": "1"})))
        assert "annotations" not in pod["metadata"]


class TestPriorities:
    def plugin(self) -> Priority:
        return Priority(
            InMemoryStorage(
                (PRIORITY_CLASS, named("high", value=1000, preemptionPolicy="Never")),
                (PRIORITY_CLASS, named("usual", value=10, globalDefault=True)),
            )
        )

    @pytest.mark.parametrize(
        ("asked", "name", "value", "policy"),
        [
            ("high", "high", 1000, "Never"),
            ("", "usual", 10, "PreemptLowerPriority"),
            ("system-node-critical", "system-node-critical", 2000001000, "PreemptLowerPriority"),
        ],
    )
    async def test_the_class_gives_the_number(self, asked, name, value, policy) -> None:
        spec = (await admit(self.plugin(), a_request(a_pod(priorityClassName=asked))))["spec"]
        assert (spec["priorityClassName"], spec["priority"], spec["preemptionPolicy"]) == (name, value, policy)

    @pytest.mark.parametrize(
        ("spec", "text"),
        [
            ({"priorityClassName": "none"}, "no PriorityClass with name none was found"),
            (
                {"priorityClassName": "high", "priority": 5},
                "the integer value of priority (5) must not be provided in pod spec; priority admission controller "
                "computed 1000 from the given PriorityClass name",
            ),
        ],
    )
    async def test_a_wrong_priority_is_refused(self, spec: dict, text: str) -> None:
        with pytest.raises(Forbidden) as refused:
            await admit(self.plugin(), a_request(a_pod(**spec)))
        assert str(refused.value) == f'pods "p" is forbidden: {text}'

    async def test_there_is_one_default_class(self) -> None:
        with pytest.raises(Forbidden, match="PriorityClass usual is already marked as default"):
            await admit(self.plugin(), a_request(named("more", value=1, globalDefault=True), PRIORITY_CLASS))


class TestTolerations:
    async def test_a_pod_stays_five_minutes_on_a_lost_node(self) -> None:
        pod = await admit(DefaultTolerationSeconds(), a_request(a_pod()))
        assert [(t["key"], t["tolerationSeconds"]) for t in pod["spec"]["tolerations"]] == [
            ("node.kubernetes.io/not-ready", 300),
            ("node.kubernetes.io/unreachable", 300),
        ]

    async def test_a_pod_that_tolerates_everything_stays(self) -> None:
        pod = await admit(DefaultTolerationSeconds(), a_request(a_pod(tolerations=[{"operator": "Exists"}])))
        assert len(pod["spec"]["tolerations"]) == 1


class TestRuntimeClasses:
    def plugin(self) -> RuntimeClass:
        found = named(
            "gvisor",
            overhead={"podFixed": {"cpu": "100m"}},
            scheduling={
                "nodeSelector": {"runtime": "gvisor"},
                "tolerations": [{"key": "gvisor", "operator": "Exists"}],
            },
        )
        return RuntimeClass(InMemoryStorage((RUNTIME_CLASS, found)))

    async def test_overhead_selector_and_tolerations_come_with_the_class(self) -> None:
        pod = await admit(self.plugin(), a_request(a_pod(runtimeClassName="gvisor", nodeSelector={"disk": "ssd"})))
        assert pod["spec"]["overhead"] == {"cpu": "100m"}
        assert pod["spec"]["nodeSelector"] == {"disk": "ssd", "runtime": "gvisor"}
        assert pod["spec"]["tolerations"] == [{"key": "gvisor", "operator": "Exists"}]

    @pytest.mark.parametrize(
        ("spec", "text"),
        [
            ({"runtimeClassName": "none"}, 'pod rejected: RuntimeClass "none" not found'),
            (
                {"overhead": {"cpu": "1"}},
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            ),
            (
                {"runtimeClassName": "gvisor", "overhead": {"cpu": "1"}},
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
            ),
            (
                {"runtimeClassName": "gvisor", "nodeSelector": {"runtime": "runc"}},
                "conflict: runtimeClass.scheduling.nodeSelector[runtime] = gvisor; "
                "pod.spec.nodeSelector[runtime] = runc",
            ),
        ],
    )
    async def test_what_does_not_fit_the_class_is_refused(self, spec: dict, text: str) -> None:
        with pytest.raises(Forbidden) as refused:
            await admit(self.plugin(), a_request(a_pod(**spec)))
        assert str(refused.value) == f'pods "p" is forbidden: {text}'


async def test_a_pod_without_a_spec_is_left_for_validation_to_refuse() -> None:
    storage = InMemoryStorage((SERVICE_ACCOUNT, named("default", "team")), (LIMIT_RANGE, named("l", "team")))
    for plugin in (LimitRanger(storage), ServiceAccount(storage, Random(1)), Priority(storage), RuntimeClass(storage)):
        await plugin.mutate(a_request({"metadata": {"name": "p", "namespace": "team"}}))


async def test_other_objects_are_left_alone() -> None:
    storage = InMemoryStorage()
    config = named("c", "team", data={})
    for plugin in (LimitRanger(storage), ServiceAccount(storage, Random(1)), Priority(storage), RuntimeClass(storage)):
        assert await admit(plugin, a_request(config, CONFIG_MAP)) == named("c", "team", data={})
