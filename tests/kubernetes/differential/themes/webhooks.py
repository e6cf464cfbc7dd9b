"""Webhooks of both kinds: when they are asked, what they are told, what their answers do; and policies' neighbours."""

from collections.abc import Sequence
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import an_object, config_map, deployment, pod, webhook
from tests.kubernetes.differential.scenario import (
    Request,
    Scenario,
    Step,
    apply,
    create,
    delete,
    get,
    merge,
    request,
    scenario,
    until_status,
    update,
)
from tests.kubernetes.differential.webhook_server import answering

_VALIDATING, _MUTATING = "validatingwebhookconfigurations", "mutatingwebhookconfigurations"
_PROBE = create("configmaps", config_map("probe", labels={"probe": "yes"}), dryRun="All")


def _hook(url: str = "", name: str = "a.example.com", **fields: Any) -> Tree:
    """Asked about config maps of the scenario's namespace, but not about the probe."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
    given = {
        "clientConfig": {"url": url or answering(), "caBundle": "{hooks_ca}"},
        "rules": [rule],
        "failurePolicy": "Fail",
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "{ns}"}},
        "objectSelector": {"matchExpressions": [{"key": "probe", "operator": "DoesNotExist"}]},
    }
    return webhook(name, **{**given, **fields})


def _configuration(plural: str, *hooks: Tree) -> Tree:
    kind = "ValidatingWebhookConfiguration" if plural == _VALIDATING else "MutatingWebhookConfiguration"
    return an_object("admissionregistration.k8s.io/v1", kind, "{ns}-a", webhooks=list(hooks))


def _configured(plural: str, *hooks: Tree) -> Sequence[Step]:
    """A configuration that the server knows of: it refuses the probe."""
    probe = _hook(answering(allowed=False), "probe.example.com", objectSelector={"matchLabels": {"probe": "yes"}})
    return [
        create(plural, _configuration(plural, *hooks, probe)).unseen(),
        until_status(400, _PROBE).unseen(),
    ]


def _told(name: str, *steps: Request, **hook: Any) -> Scenario:
    """Steps, all of which a webhook refuses whose words are what it was asked."""
    url = answering(tell=("operation", "resource", "subResource", "kind", "requestKind", "requestResource", "name",
                          "namespace", "dryRun", "options"))  # fmt: skip
    return scenario(
        name, create("configmaps", config_map("old")).unseen(), _configured(_VALIDATING, _hook(url, **hook)), *steps
    )


def _refusals(plural: str) -> Scenario:
    """Answers of all sorts, one by one: the object's label says which webhook is asked."""
    answers = {
        "allowed": answering(),
        "warned": answering(warnings=["careful", "a\nb", "x" * 300, ""]),
        "refused": answering(allowed=False),
        "message": answering(allowed=False, status={"message": "no"}),
        "reason": answering(allowed=False, status={"reason": "Because"}),
        "code": answering(
            allowed=False, status={"code": 418, "message": "tea", "reason": "Teapot", "status": "Success"}
        ),
        "success": answering(allowed=False, status={"code": 201, "message": "odd"}),
        "details": answering(
            allowed=False,
            status={
                "code": 409,
                "message": "m",
                "details": {
                    "name": "n",
                    "kind": "k",
                    "causes": [{"field": "f", "message": "m", "reason": "r"}],
                    "retryAfterSeconds": 3,
                },
            },
        ),
        "audited": answering(auditAnnotations={"k": "v"}),
        "otheruid": answering(envelope={"response": {"uid": "x", "allowed": True}}),
        "nouid": answering(envelope={"response": {"allowed": True}}),
        "noresponse": answering(envelope={"response": None}),
        "otherkind": answering(envelope={"kind": "Other"}),
        "otherversion": answering(envelope={"apiVersion": "admission.k8s.io/v1beta1"}),
        "nojson": answering(raw="hello"),
        "empty": answering(raw=""),
        "number": answering(raw="5"),
        "typed": answering(envelope={"response": {"uid": "x", "allowed": "yes"}}),
        "http500": answering(raw="broken", code=500),
        "http404": answering(raw="none", code=404),
        "http201": answering(code=201),
        "http302": answering(raw="", code=302),
        "slow": answering(wait_s=3),
    }
    hooks = [
        _hook(
            url,
            f"{name}.example.com",
            objectSelector={"matchLabels": {"answer": name}},
            timeoutSeconds=1 if name == "slow" else 10,
        )
        for name, url in answers.items()
    ]
    word = "validating" if plural == _VALIDATING else "mutating"
    return scenario(
        f"answers to {word} reviews",
        _configured(plural, *hooks),
        *(create("configmaps", config_map(name, labels={"answer": name})) for name in answers),
    )


def _patches() -> Scenario:
    patches: dict[str, tuple[Any, dict[str, Any]]] = {
        "adds": ([{"op": "add", "path": "/data/new", "value": "1"}], {}),
        "empty": ([], {}),
        "labels": (
            [{"op": "add", "path": "/metadata/labels/x", "value": "y"}, {"op": "remove", "path": "/data/k"}],
            {},
        ),
        "missing": ([{"op": "remove", "path": "/data/none"}], {}),
        "deep": ([{"op": "add", "path": "/spec/none/x", "value": 1}], {}),
        "unknown": ([{"op": "add", "path": "/unknown", "value": 1}], {}),
        "type": ([{"op": "replace", "path": "/data/k", "value": 5}], {}),
        "invalid": ([{"op": "add", "path": "/data/bad key", "value": "x"}], {}),
        "tested": ([{"op": "test", "path": "/data/k", "value": "other"}], {}),
        "op": ([{"op": "frob", "path": "/data/k"}], {}),
        "nolist": ({"op": "add"}, {}),
        "nojson": ("hello", {}),
        "notype": ([{"op": "add", "path": "/data/n", "value": "1"}], {"patchType": None}),
        "othertype": ([{"op": "add", "path": "/data/n", "value": "1"}], {"patchType": "Merge"}),
        "name": ([{"op": "replace", "path": "/metadata/name", "value": "renamed"}], {}),
        "namespace": ([{"op": "replace", "path": "/metadata/namespace", "value": "elsewhere"}], {}),
        "finalizer": ([{"op": "add", "path": "/metadata/finalizers", "value": ["example.com/f"]}], {}),
        "nodata": ([{"op": "remove", "path": "/data"}], {}),
        "whole": ([{"op": "replace", "path": "", "value": {}}], {}),
        "denied": ([{"op": "add", "path": "/data/n", "value": "1"}], {"allowed": False}),
    }
    hooks = [
        _hook(answering(patch=patch, **more), f"{name}.example.com", objectSelector={"matchLabels": {"patch": name}})
        for name, (patch, more) in patches.items()
    ]
    return scenario(
        "patches of mutating webhooks",
        _configured(_MUTATING, *hooks),
        *(create("configmaps", config_map(name, labels={"patch": name})) for name in patches),
        merge("configmaps/adds", {"data": {"k": "w"}}),
        apply("configmaps/applied", config_map("applied", labels={"patch": "adds"})),
        apply("configmaps/applied", config_map("applied", labels={"patch": "adds"})),
        update("configmaps/adds", config_map("adds")),
    )


def _adding(key: str, value: str = "1") -> str:
    return answering(patch=[{"op": "add", "path": f"/data/{key}", "value": value}])


_IF_HAS = "has(object.data) && '{key}' in object.data"


def _condition(expression: str, name: str = "c") -> Tree:
    return {"matchConditions": [{"name": name, "expression": expression}]}


SCENARIOS: Sequence[Scenario] = [
    _refusals(_VALIDATING),
    _refusals(_MUTATING),
    _patches(),
    _told(
        "what validating webhooks are told",
        create("configmaps", config_map()),
        create("configmaps", config_map(), dryRun="All", fieldManager="f"),
        update("configmaps/old", config_map("old", data={"k": "w"})),
        merge("configmaps/old", {"data": {"n": "w"}}, fieldManager="g"),
        apply("configmaps/old", config_map("old", data={"z": "w"})),
        apply("configmaps/made", config_map("made")),
        delete("configmaps/old"),
        delete("configmaps/old", {"propagationPolicy": "Foreground"}),
        delete("configmaps", labelSelector="none=none"),
        create("configmaps", config_map()).by("alice", "system:masters"),
        get("configmaps/old"),
        create("secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "free"}}),
    ),
    scenario(
        "what is told of parts",
        create("deployments", deployment()).unseen(),
        create("pods", pod()).unseen(),
        _configured(
            _VALIDATING,
            _hook(
                answering(
                    tell=("operation", "resource", "subResource", "kind", "requestSubResource", "name", "options")
                ),
                rules=[{"apiGroups": ["", "apps"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}],
                matchConditions=[{"name": "parts", "expression": "request.subResource != ''"}],
            ),
        ),
        merge("deployments/a/scale", {"spec": {"replicas": 2}}),
        merge("deployments/a/status", {"status": {"replicas": 2}}),
        merge("pods/a/status", {"status": {"phase": "Running"}}),
        create("pods/a/eviction", an_object("policy/v1", "Eviction")),
        create("pods/a/binding", an_object("v1", "Binding", target={"kind": "Node", "name": "x"})),
        create("serviceaccounts/default/token", {"spec": {}}),
        request("POST", "pods/a/exec", command="ls"),
        get("pods/a/log"),
    ),
    scenario(
        "rules of webhooks",
        create("deployments", deployment()).unseen(),
        create("pods", pod("p")).unseen(),
        _configured(
            _VALIDATING,
            _hook(
                answering(allowed=False),
                "create.example.com",
                rules=[
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["deployments"],
                        "scope": "Namespaced",
                    }
                ],
            ),
            _hook(
                answering(allowed=False),
                "status.example.com",
                rules=[
                    {
                        "apiGroups": ["*"],
                        "apiVersions": ["*"],
                        "operations": ["UPDATE"],
                        "resources": ["*/status"],
                        "scope": "Namespaced",
                    }
                ],
            ),
            _hook(
                answering(allowed=False),
                "delete.example.com",
                rules=[
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["*"],
                        "operations": ["DELETE"],
                        "resources": ["deployments"],
                    }
                ],
            ),
            _hook(
                answering(allowed=False),
                "cluster.example.com",
                rules=[
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["secrets"],
                        "scope": "Cluster",
                    }
                ],
            ),
            _hook(
                answering(allowed=False),
                "connect.example.com",
                rules=[
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT"], "resources": ["pods/exec"]}
                ],
            ),
            _hook(
                answering(allowed=False),
                "pods.example.com",
                rules=[
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods", "pods/eviction"],
                    }
                ],
            ),
        ),
        create("deployments", deployment("b")),
        merge("deployments/a", {"spec": {"replicas": 2}}),
        merge("deployments/a/status", {"status": {"replicas": 2}}),
        merge("deployments/a/scale", {"spec": {"replicas": 3}}),
        delete("deployments/a"),
        create("secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "free"}}),
        request("POST", "pods/p/exec", command="ls"),
        create("pods", pod("q")),
        create("pods/p/eviction", an_object("policy/v1", "Eviction", "p")),
        delete("deployments"),
    ),
    scenario(
        "selectors of webhooks",
        create("configmaps", config_map("was", labels={"pick": "old"})).unseen(),
        _configured(
            _VALIDATING,
            _hook(
                answering(allowed=False, status={"message": "picked"}),
                "pick.example.com",
                objectSelector={"matchExpressions": [{"key": "pick", "operator": "In", "values": ["old", "new"]}]},
            ),
            _hook(
                answering(allowed=False, status={"message": "elsewhere"}),
                "ns.example.com",
                namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "{ns}-other"}},
            ),
        ),
        create("configmaps", config_map()),
        create("configmaps", config_map("b", labels={"pick": "new"})),
        create("configmaps", config_map("c", labels={"pick": "none"})),
        merge("configmaps/was", {"metadata": {"labels": {"pick": None}}}),
        delete("configmaps/was"),
        merge("configmaps/a", {"metadata": {"labels": {"pick": "new"}}}),
    ),
    scenario(
        "conditions of webhooks",
        create("configmaps", config_map("was")).unseen(),
        _configured(
            _VALIDATING,
            _hook(
                answering(allowed=False, status={"message": "big"}),
                "big.example.com",
                **_condition("object != null && has(object.data) && size(object.data) > 1"),
            ),
            _hook(
                answering(allowed=False, status={"message": "alice"}),
                "alice.example.com",
                **_condition("request.userInfo.username == 'alice'"),
            ),
            _hook(
                answering(allowed=False, status={"message": "delete"}),
                "delete.example.com",
                **_condition("request.operation == 'DELETE' && oldObject.metadata.name == 'was'"),
            ),
            _hook(
                answering(allowed=False),
                "fails.example.com",
                failurePolicy="Fail",
                **_condition("object != null && object.metadata.name == 'boom' && object.data.none == 'x'", "fails"),
            ),
            _hook(
                answering(allowed=False),
                "ignores.example.com",
                failurePolicy="Ignore",
                **_condition("object != null && object.metadata.name == 'quiet' && object.data.none == 'x'", "ignores"),
            ),
            _hook(
                answering(allowed=False),
                "both.example.com",
                matchConditions=[
                    {"name": "one", "expression": "object != null && object.metadata.name == 'both'"},
                    {"name": "two", "expression": "1 / 0 > 0"},
                ],
            ),
        ),
        create("configmaps", config_map("small")),
        create("configmaps", config_map("big", data={"a": "1", "b": "2"})),
        create("configmaps", config_map("al")).by("alice", "system:masters"),
        delete("configmaps/was"),
        create("configmaps", config_map("boom")),
        create("configmaps", config_map("quiet")),
        create("configmaps", config_map("both")),
    ),
    scenario(
        "conditions that ask for rights",
        _configured(
            _VALIDATING,
            _hook(
                answering(allowed=False, status={"message": "may"}),
                **_condition(
                    "authorizer.group('').resource('pods').namespace(request.namespace).check('get').allowed()"
                ),
            ),
        ),
        create("configmaps", config_map()),
    ),
    scenario(
        "a patch that changes the kind",
        _configured(_MUTATING, _hook(answering(patch=[{"op": "replace", "path": "/kind", "value": "Secret"}]))),
        create("configmaps", config_map()),
    ),
    scenario(
        "failure policies",
        _configured(
            _VALIDATING,
            _hook(
                "https://127.0.0.1:9/x",
                "fails.example.com",
                objectSelector={"matchLabels": {"call": "fails"}},
                failurePolicy="Fail",
            ),
            _hook(
                "https://127.0.0.1:9/x",
                "ignores.example.com",
                objectSelector={"matchLabels": {"call": "ignores"}},
                failurePolicy="Ignore",
            ),
            _hook(
                answering(wait_s=3),
                "late.example.com",
                objectSelector={"matchLabels": {"call": "late"}},
                failurePolicy="Ignore",
                timeoutSeconds=1,
            ),
            _hook(
                "",
                "untrusted.example.com",
                objectSelector={"matchLabels": {"call": "untrusted"}},
                clientConfig={"url": answering()},
            ),
            _hook(
                "",
                "service.example.com",
                objectSelector={"matchLabels": {"call": "service"}},
                clientConfig={"service": {"namespace": "{ns}", "name": "none", "path": "/x"}},
            ),
            _hook(
                answering(raw="x"),
                "garbage.example.com",
                objectSelector={"matchLabels": {"call": "garbage"}},
                failurePolicy="Ignore",
            ),
        ),
        *(
            create("configmaps", config_map(call, labels={"call": call}))
            for call in ("fails", "ignores", "late", "untrusted", "service", "garbage")
        ),
    ),
    scenario(
        "dry runs and side effects",
        _configured(
            _VALIDATING,
            _hook(
                answering(allowed=False),
                "some.example.com",
                sideEffects="NoneOnDryRun",
                objectSelector={"matchLabels": {"of": "some"}},
            ),
            _hook(answering(), "none.example.com", sideEffects="None", objectSelector={"matchLabels": {"of": "none"}}),
        ),
        create("configmaps", config_map(labels={"of": "some"}), dryRun="All"),
        create("configmaps", config_map(labels={"of": "none"}), dryRun="All"),
        create(_VALIDATING, _configuration(_VALIDATING, _hook(sideEffects="Some")), dryRun="All"),
        create(_VALIDATING, _configuration(_VALIDATING, _hook(sideEffects="Unknown")), dryRun="All"),
        create(_VALIDATING, _configuration(_VALIDATING, _hook(sideEffects=None)), dryRun="All"),
    ),
    scenario(
        "webhooks in order and asked again",
        _configured(
            _MUTATING,
            _hook(_adding("first"), "first.example.com"),
            _hook(_adding("second"), "second.example.com", **_condition(_IF_HAS.replace("{key}", "first"))),
            _hook(_adding("never"), "never.example.com", **_condition(_IF_HAS.replace("{key}", "last"))),
            _hook(
                _adding("again"),
                "again.example.com",
                reinvocationPolicy="IfNeeded",
                **_condition(_IF_HAS.replace("{key}", "last")),
            ),
            _hook(_adding("told", "once"), "told.example.com", reinvocationPolicy="IfNeeded"),
            _hook(_adding("last"), "last.example.com"),
        ),
        create("configmaps", config_map()),
        merge("configmaps/a", {"data": {"first": None, "last": None, "x": "y"}}),
        create("configmaps", {**config_map("b"), "data": {}}),
    ),
    scenario(
        "webhooks change pods before others look",
        _configured(
            _MUTATING,
            _hook(
                answering(
                    patch=[{"op": "add", "path": "/spec/containers/-", "value": {"name": "added", "image": "x"}}]
                ),
                rules=[{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            ),
        ),
        create("pods", pod()),
    ),
    scenario(
        "configurations that are wrong",
        *(
            create(_VALIDATING, _configuration(_VALIDATING, bad), dryRun="All")
            for bad in (
                _hook(name="short"),
                _hook(name="Bad_.example.com"),
                _hook(clientConfig={}),
                _hook(clientConfig={"url": "http://a/"}),
                _hook(clientConfig={"url": "https://a/?x=1#y"}),
                _hook(clientConfig={"url": "https://user@a/"}),
                _hook(clientConfig={"url": "https://a/", "service": {"namespace": "a", "name": "b"}}),
                _hook(clientConfig={"service": {"namespace": "", "name": ""}}),
                _hook(clientConfig={"service": {"namespace": "a", "name": "b", "path": "x//y", "port": 70000}}),
                _hook(clientConfig={"url": "https://a/", "caBundle": "eA=="}),
                _hook(rules=[{"apiGroups": [], "apiVersions": [], "operations": [], "resources": []}]),
                _hook(
                    rules=[
                        {
                            "apiGroups": ["*", "a"],
                            "apiVersions": ["v1"],
                            "operations": ["*", "CREATE"],
                            "resources": ["*", "pods"],
                        }
                    ]
                ),
                _hook(
                    rules=[
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "operations": ["MAKE"],
                            "resources": ["pods/*", "*/*"],
                        }
                    ]
                ),
                _hook(
                    rules=[
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["pods"],
                            "scope": "Some",
                        }
                    ]
                ),
                _hook(failurePolicy="Maybe"),
                _hook(matchPolicy="Maybe"),
                _hook(timeoutSeconds=0),
                _hook(timeoutSeconds=31),
                _hook(admissionReviewVersions=[]),
                _hook(admissionReviewVersions=["v2"]),
                _hook(admissionReviewVersions=["v1", "v1"]),
                _hook(admissionReviewVersions=["v1", "V_"]),
                _hook(namespaceSelector={"matchLabels": {"a b": "c"}}),
                _hook(matchConditions=[{"name": "", "expression": ""}]),
                _hook(matchConditions=[{"name": "a", "expression": "true"}, {"name": "a", "expression": "true"}]),
                _hook(matchConditions=[{"name": "a b", "expression": "object."}]),
                _hook(matchConditions=[{"name": "a", "expression": "unknown == 1"}]),
                _hook(matchConditions=[{"name": "a", "expression": "object.x + 1"}]),
                _hook(matchConditions=[{"name": "a", "expression": "1 + 1"}]),
            )
        ),
        create(_VALIDATING, _configuration(_VALIDATING, _hook(), _hook()), dryRun="All"),
        create(_MUTATING, _configuration(_MUTATING, _hook(reinvocationPolicy="Always")), dryRun="All"),
        create(_MUTATING, _configuration(_MUTATING, _hook(), _hook()), dryRun="All"),
        create(_VALIDATING, _configuration(_VALIDATING), dryRun="All"),
        create(_MUTATING, _configuration(_MUTATING, _hook(rules=[])), dryRun="All"),
    ),
]
