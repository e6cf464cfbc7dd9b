"""What the server refuses of built-in kinds, in the words that clients print."""

# ruff: noqa: E501 - texts of the wire stay in one piece

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from flowdeck.embedded.apiserver.builtin.defaults.apps import default_deployment, default_stateful_set
from flowdeck.embedded.apiserver.builtin.defaults.batch import default_cron_job, default_job
from flowdeck.embedded.apiserver.builtin.defaults.pods import default_pod
from flowdeck.embedded.apiserver.builtin.defaults.services import default_service
from flowdeck.embedded.apiserver.builtin.validation import (
    admission,
    batch,
    core,
    definitions,
    metadata,
    pods,
    policy,
    services,
    storage,
    workloads,
)
from flowdeck.embedded.apiserver.builtin.validation.resources import validate_requirements
from flowdeck.kube.errors import FieldError
from flowdeck.kube.names import dns_subdomain
from flowdeck.kube.objects import Tree, copy_of
from tests.embedded.apiserver.kinds import (
    a_container,
    a_definition,
    a_deployment,
    a_job,
    a_pod,
    a_service,
    a_template,
)


def told(errors: Sequence[FieldError]) -> list[str]:
    return [str(error) for error in errors]


def of_pod(pod: Tree) -> list[str]:
    default_pod(pod)
    return told(pods.validate_pod(pod))


GOOD_POD = a_pod(
    a_container(
        ports=[{"containerPort": 80, "name": "http"}],
        env=[{"name": "A", "value": "b"}, {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        resources={"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "nvidia.com/gpu": "1"}},
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
        livenessProbe={"httpGet": {"port": "http"}},
        lifecycle={"preStop": {"sleep": {"seconds": 1}}},
    ),
    volumes=[{"name": "data", "emptyDir": {}}],
    initContainers=[a_container("sidecar", restartPolicy="Always", readinessProbe={"tcpSocket": {"port": 1}})],
    tolerations=[{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
    nodeSelector={"a": "b"},
)


def test_a_good_pod_is_taken() -> None:
    assert of_pod(copy_of(GOOD_POD)) == []


@pytest.mark.parametrize(
    ("pod", "wanted"),
    [
        (a_pod({"name": "a"}), "spec.containers[0].image: Required value"),
        (a_pod(a_container(), a_container()), 'spec.containers[1].name: Duplicate value: "main"'),
        (
            a_pod(restartPolicy="Sometimes"),
            'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
        ),
        (
            a_pod(a_container(volumeMounts=[{"name": "x", "mountPath": "/x"}])),
            'spec.containers[0].volumeMounts[0].name: Not found: "x"',
        ),
        (
            a_pod(a_container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})),
            'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
        ),
        (
            a_pod(a_container(resources={"limits": {"cpu": "-1"}})),
            'spec.containers[0].resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        ),
        (
            a_pod(a_container(resources={"limits": {"nvidia.com/gpu": "500m"}})),
            'spec.containers[0].resources.limits[nvidia.com/gpu]: Invalid value: "500m": must be an integer',
        ),
        (
            a_pod(a_container(ports=[{"containerPort": 0}])),
            "spec.containers[0].ports[0].containerPort: Required value",
        ),
        (
            a_pod(a_container(ports=[{"containerPort": 70000}])),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            a_pod(a_container(livenessProbe={"exec": {"command": ["a"]}, "successThreshold": 2})),
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            a_pod(a_container(livenessProbe={})),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ),
        (
            a_pod(initContainers=[a_container("i", livenessProbe={"exec": {"command": ["a"]}})]),
            "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without "
            "restartPolicy=Always",
        ),
        (
            a_pod(volumes=[{"name": "a", "emptyDir": {}, "hostPath": {"path": "/"}}]),
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        (
            a_pod(volumes=[{"name": "a", "secret": {}}]),
            "spec.volumes[0].secret.secretName: Required value",
        ),
        (
            a_pod(activeDeadlineSeconds=0),
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ),
        (
            a_pod(tolerations=[{"value": "x"}]),
            'spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, which means '
            '"match all values and all keys"',
        ),
        (
            a_pod(
                a_container(env=[{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}])
            ),
            'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
        ),
        (
            a_pod(a_container(envFrom=[{}])),
            'spec.containers[0].envFrom[0]: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
        ),
    ],
)
def test_a_bad_pod_is_told_what_is_wrong(pod: Tree, wanted: str) -> None:
    assert of_pod(copy_of(pod))[0] == wanted


def test_a_pod_without_containers_is_refused() -> None:
    pod = a_pod()
    pod["spec"]["containers"] = []
    assert "spec.containers: Required value" in of_pod(pod)


def changed(obj: Tree, change: Callable[[Tree], Any]) -> Tree:
    new = copy_of(obj)
    change(new)
    return new


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda pod: pod["spec"]["containers"][0].update(image="other"), ""),
        (lambda pod: pod["spec"].update(activeDeadlineSeconds=5), ""),
        (lambda pod: pod["spec"].setdefault("tolerations", []).append({"operator": "Exists"}), ""),
        (lambda pod: pod["spec"].update(nodeName="n"), "spec: Forbidden: pod updates may not change fields other than"),
        (
            lambda pod: pod["spec"]["containers"].append(a_container("b")),
            "spec.containers: Forbidden: pod updates may not add or remove containers",
        ),
    ],
)
def test_hardly_anything_of_a_pod_may_change(change: Callable[[Tree], Any], wanted: str) -> None:
    pod = a_pod()
    default_pod(pod)
    errors = told(pods.validate_pod_update(changed(pod, change), pod))
    assert all(error.startswith(wanted) for error in errors) if wanted else errors == []
    assert bool(errors) == bool(wanted)


@pytest.mark.parametrize(
    ("deployment", "wanted"),
    [
        (a_deployment(), []),
        (a_deployment(replicas=-1), ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]),
        (
            a_deployment(template=a_template(labels={"app": "y"})),
            ['spec.template.metadata.labels: Invalid value: {"app":"y"}: `selector` does not match template `labels`'],
        ),
        (
            a_deployment(template={**a_template(), "metadata": {}}),
            ["spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`"],
        ),
        (
            a_deployment(strategy={"type": "z", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": "25%"}}),
            [
                'spec.strategy: Unsupported value: {"Type":"z","RollingUpdate":{"MaxUnavailable":"25%","MaxSurge":1}}: '
                'supported values: "Recreate", "RollingUpdate"'
            ],
        ),
        (
            a_deployment(template=a_template(restartPolicy="Never")),
            ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
        ),
        (
            a_deployment(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
            ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
        ),
        (
            a_deployment(strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
            ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
        ),
    ],
)
def test_deployments(deployment: Tree, wanted: list[str]) -> None:
    default_deployment(deployment)
    assert told(workloads.validate_deployment(deployment)) == wanted


def test_a_selector_never_changes() -> None:
    old = a_deployment()
    new = changed(old, lambda d: d["spec"].update(selector={"matchLabels": {"app": "y"}}))
    assert told(workloads.validate_selector_kept(new, old)) == [
        'spec.selector: Invalid value: {"matchLabels":{"app":"y"}}: field is immutable'
    ]


def test_a_stateful_set_may_mount_its_claims() -> None:
    stateful_set = a_deployment(
        template=a_template(a_container(volumeMounts=[{"name": "data", "mountPath": "/d"}])),
        serviceName="s",
        volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
    )
    default_stateful_set(stateful_set)
    assert told(workloads.validate_stateful_set(stateful_set)) == []
    other = changed(stateful_set, lambda s: s["spec"].update(serviceName="t"))
    assert told(workloads.validate_stateful_set_update(other, stateful_set))[0].startswith(
        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas'"
    )


def of_job(job: Tree) -> list[str]:
    default_job(job)
    job["spec"].setdefault("selector", {"matchLabels": {}})
    return told(batch.validate_job(job))


NEVER = a_template(labels={}, restartPolicy="Never")


@pytest.mark.parametrize(
    ("job", "wanted"),
    [
        (a_job(), []),
        (a_job(template=a_template(labels={})), ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"']),
        (a_job(completionMode="Indexed", parallelism=1), ["spec.completions: Required value: when completion mode is Indexed"]),
        (
            a_job(backoffLimitPerIndex=1),
            ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
        ),
        (
            a_job(podFailurePolicy={"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [0]}}]}),
            ["spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator"],
        ),
        (
            a_job(podFailurePolicy={"rules": [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [1]}}]}),
            ['spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set'],
        ),
        (
            a_job(successPolicy={"rules": [{"succeededCount": 1}]}),
            ['spec.successPolicy: Invalid value: {"rules":[{"succeededCount":1}]}: requires indexed completion mode'],
        ),
        (a_job(managedBy="x"), ['spec.managedBy: Invalid value: "x": must be a domain-prefixed path (such as "acme.io/foo")']),
        (
            a_job(podReplacementPolicy="Whenever"),
            ['spec.podReplacementPolicy: Unsupported value: "Whenever": supported values: "Failed", "TerminatingOrFailed"'],
        ),
    ],
)  # fmt: skip
def test_jobs(job: Tree, wanted: list[str]) -> None:
    assert of_job(copy_of(job)) == wanted


def with_labels(job: Tree) -> None:
    job["spec"]["template"]["metadata"]["labels"] = {"a": "b"}


def with_command(job: Tree) -> None:
    job["spec"]["template"]["spec"]["containers"][0]["command"] = ["x"]


@pytest.mark.parametrize(
    ("change", "suspend", "started", "is_taken"),
    [
        pytest.param(with_labels, False, False, False, id="labels of a running job"),
        pytest.param(with_labels, True, False, True, id="labels of a suspended job"),
        pytest.param(with_labels, True, True, False, id="labels of a suspended job that has started"),
        pytest.param(with_command, True, False, False, id="command of a suspended job"),
        pytest.param(lambda job: job["spec"].update(parallelism=5), False, True, True, id="parallelism"),
        pytest.param(lambda job: job["spec"].update(suspend=True), False, True, True, id="suspend"),
        pytest.param(lambda job: job["spec"].update(completions=5), False, False, False, id="completions"),
        pytest.param(lambda job: job["spec"].update(managedBy="a.io/b"), False, False, False, id="manager"),
    ],
)
def test_a_job_changes_only_while_it_waits(
    change: Callable[[Tree], Any], suspend: bool, started: bool, is_taken: bool
) -> None:
    old = a_job(suspend=suspend)
    default_job(old)
    old["status"] = {"startTime": "2026-01-01T00:00:00Z"} if started else {}
    errors = batch.validate_job_update(changed(old, change), old)
    assert (not errors) == is_taken
    assert all("field is immutable" in str(error) for error in errors)


@pytest.mark.parametrize(
    ("schedule", "is_good"),
    [
        ("*/5 * * * *", True),
        ("@hourly", True),
        ("@every 1h", True),
        ("@every now and then", False),
        ("99 * * * *", False),
        ("* * *", False),
        ("", False),
    ],
)
def test_a_cron_job_needs_a_schedule(schedule: str, is_good: bool) -> None:
    cron_job = {
        "metadata": {"name": "c"},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": copy_of(NEVER)}}},
    }
    default_cron_job(cron_job)
    assert (not batch.validate_cron_job(cron_job)) == is_good


@pytest.mark.parametrize(
    ("service", "wanted"),
    [
        (a_service(), []),
        (a_service(clusterIP="None"), []),
        (a_service(ports=[]), ["spec.ports: Required value"]),
        (a_service(type="Odd"), ["spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\""]),
        (a_service(ports=[{"port": 1}, {"port": 2}]), ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"]),
        (a_service(ports=[{"port": 80, "nodePort": 30000}]), ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]),
    ],
)  # fmt: skip
def test_services(service: Tree, wanted: list[str]) -> None:
    service = copy_of(service)
    default_service(service)
    assert told(services.validate_service(service)) == wanted


def test_configuration() -> None:
    big = {"metadata": {}, "data": {"a": "x" * (1024 * 1024 + 1)}}
    assert told(core.validate_config_map(big)) == ["[]: Too long: may not be more than 1048576 bytes"]
    [error] = core.validate_config_map({"metadata": {}, "data": {"a/b": ""}})
    assert str(error).startswith('data[a/b]: Invalid value: "a/b": a valid config key must consist of')
    old = {"metadata": {}, "immutable": True, "data": {"a": "b"}}
    assert told(core.validate_config_map_update({**old, "data": {}}, old)) == [
        "data: Forbidden: field is immutable when `immutable` is set"
    ]
    assert told(core.validate_secret({"metadata": {}, "type": "kubernetes.io/tls", "data": {}})) == [
        "data[tls.crt]: Required value",
        "data[tls.key]: Required value",
    ]
    assert told(core.validate_secret_update({"type": "a"}, {"type": "b"})) == [
        'type: Invalid value: "a": field is immutable'
    ]


def test_claims_grow_but_do_not_shrink() -> None:
    def claim(size: str, **spec: Any) -> Tree:
        own = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
        return {"metadata": {"name": "c"}, "spec": own, "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}}

    assert told(storage.validate_claim(claim("1Gi"))) == []
    assert told(storage.validate_claim(claim("0"))) == [
        'spec.resources[storage]: Invalid value: "0": must be greater than zero'
    ]
    assert told(storage.validate_claim_update(claim("3Gi"), claim("2Gi"))) == []
    assert told(storage.validate_claim_update(claim("1Gi"), claim("2Gi"))) == [
        "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
    ]
    assert told(storage.validate_claim_update(claim("2Gi", storageClassName="a"), claim("2Gi", storageClassName="b")))


def test_roles_and_bindings() -> None:
    assert told(policy.validate_role({"metadata": {}, "rules": [{"verbs": []}]})) == [
        "rules[0].verbs: Required value: verbs must contain at least one value",
        "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
        "rules[0].resources: Required value: resource rules must supply at least one resource",
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    assert told(policy.validate_cluster_role_binding({"metadata": {}, "roleRef": role})) == [
        'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"'
    ]
    assert told(policy.validate_binding_update({"roleRef": {}}, {"roleRef": role})) == [
        "roleRef: Invalid value: {}: cannot change roleRef"
    ]


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "object"}, []),
        ({}, ["spec.versions[0].schema.openAPIV3Schema: Required value"]),
        (
            {"type": "object", "properties": {"a": {}}},
            ["spec.validation.openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object fields"],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array"}}},
            ["spec.validation.openAPIV3Schema.properties[a].items: Required value: must be specified"],
        ),
    ],
)  # fmt: skip
def test_a_definition_needs_a_structural_schema(schema: Tree, wanted: list[str]) -> None:
    definition = a_definition(schema=schema)
    if not schema:
        definition["spec"]["versions"][0]["schema"] = {}
    definition["spec"]["names"] |= {"singular": "foo", "listKind": "FooList"}
    definition["spec"]["conversion"] = {"strategy": "None"}
    assert told(definitions.validate_definition(definition)) == wanted


@pytest.mark.parametrize(
    ("meta", "wanted"),
    [
        ({"name": "a", "namespace": "n"}, []),
        ({"namespace": "n"}, ["metadata.name: Required value: name or generateName is required"]),
        ({"name": "a"}, ["metadata.namespace: Required value"]),
        (
            {"name": "a", "namespace": "n", "finalizers": ["x"]},
            ['metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified'],
        ),
    ],
)  # fmt: skip
def test_metadata(meta: Tree, wanted: list[str]) -> None:
    assert told(metadata.validate_metadata({"metadata": meta}, True, dns_subdomain)) == wanted


def test_annotations_have_a_limit() -> None:
    [error] = metadata.validate_annotations({"a": "x" * 300_000}, "metadata.annotations")
    assert str(error) == "metadata.annotations: Too long: may not be more than 262144 bytes"


def test_duplicate_variables_are_warned_of() -> None:
    pod = a_pod(a_container(env=[{"name": "A"}, {"name": "A"}]))
    assert pods.pod_warnings(pod, None) == [
        'spec.containers[0].env[1]: hides previous definition of "A", which may be unexpected'
    ]


def test_a_webhooks_url_must_be_one() -> None:
    hook = {"name": "a.acme.com", "clientConfig": {"url": "https://["}, "sideEffects": "None"}
    configuration = {"metadata": {"name": "a"}, "webhooks": [hook | {"admissionReviewVersions": ["v1"]}]}
    told = "webhooks[0].clientConfig.url: Required value: url must be a valid URL: "
    assert [error for error in admission.validate_webhooks(configuration) if str(error).startswith(told)]


def test_a_limit_of_a_gpu_needs_no_request_and_a_request_needs_its_limit() -> None:
    """Templates have no defaults for requests: it is the usual way to ask for a GPU in a Job or a Deployment."""
    assert validate_requirements({"limits": {"nvidia.com/gpu": "1"}}, "resources") == []
    (error,) = validate_requirements({"requests": {"nvidia.com/gpu": "1"}}, "resources")
    assert str(error) == "resources.limits: Required value: Limit must be set for non overcommitable resources"
