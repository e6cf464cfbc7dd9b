"""What clients read before they do anything: discovery in both forms, OpenAPI, version, health, and content types."""

from tests.kubernetes.differential.makers import config_map
from tests.kubernetes.differential.scenario import JSON, YAML, create, get, merge, request, scenario, update

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_BETA = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
_PROTOBUF = "application/vnd.kubernetes.protobuf"
_GROUPS = (
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
)

_DEFINITIONS = ("core.v1.PodSpec", "apps.v1.Deployment", "batch.v1.JobSpec", "core.v1.ServicePort")

SCENARIOS = [
    scenario(
        "versions", get("/version"), get("/version/"), get("/api"), get("/api/"), get("/apis"), get("/"), alone=True
    ),
    scenario("core", get("/api/v1"), get("/api/v9"), get("/api/v1").accepting(YAML)),
    *(scenario(f"group {group}", get(f"/apis/{group}"), get(f"/apis/{group}/v1")) for group in _GROUPS),
    scenario(
        "groups that are not there",
        get("/apis/none.example.com"),
        get("/apis/apps/v9"),
        get("/apis/autoscaling/v2"),
    ),
    scenario(
        "aggregated",
        get("/api").accepting(_AGGREGATED, JSON),
        get("/apis").accepting(_AGGREGATED, JSON),
        get("/apis").accepting(_BETA, JSON),
        get("/apis").accepting(JSON, _AGGREGATED),
        get("/apis").accepting(_AGGREGATED),
        get("/apis").accepting("application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList", JSON),
        get("/apis").accepting("application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList"),
        get("/apis/apps").accepting(_AGGREGATED, JSON),
        alone=True,
    ),
    scenario("health", *(get(path) for path in ("/healthz", "/livez", "/readyz", "/livez/ping", "/readyz/none"))),
    scenario(
        "openapi",
        get("/openapi/v3"),
        *(get(f"/openapi/v3/{path}").only("components", "schemas") for path in ("api/v1", "apis/apps/v1")),
        get("/openapi/v3/apis/batch/v1").only("paths", "/apis/batch/v1/namespaces/{namespace}/jobs", "post"),
        get("/openapi/v3/apis/none/v1"),
        get("/openapi"),
        get("/openapi/v3").accepting(YAML),
        get("/openapi/v3/apis/batch/v1").accepting("text/html").only(),
        alone=True,
    ),
    scenario(
        "old openapi",
        *(get("/openapi/v2").only("definitions", f"io.k8s.api.{name}") for name in _DEFINITIONS),
        get("/openapi/v2").accepting("application/xml"),
        get("/swagger.json"),
    ),
    scenario(
        "paths for admins",
        *(get(path) for path in ("/metrics/none", "/logs/none", "/debug/none", "/configz", "/flagz", "/statusz")),
    ),
    scenario(
        "accepted types",
        create("configmaps", config_map()).unseen(),
        *(
            get("configmaps/a").accepting(accept)
            for accept in (
                "*/*",
                "application/*",
                "",
                YAML,
                f"{YAML},{JSON}",
                f"{JSON};q=0.5,{YAML}",
                "text/html",
                f"text/html,{JSON}",
                "text/html,*/*;q=0.1",
                "nonsense",
                "application/json;pretty=1",
                "application/cbor",
                "application/json;charset=utf-8",
            )
        ),
        get("configmaps/a", pretty=True).accepting(JSON),
        get("configmaps").accepting(YAML),
        get("configmaps/none").accepting(YAML),
        get("configmaps/none").accepting("text/html"),
    ),
    scenario(
        "sent types",
        create("configmaps", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\n").sending(YAML),
        create("configmaps", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y2}\n").sending("text/yaml"),
        create("configmaps", config_map("j")).sending("application/json; charset=utf-8"),
        create("configmaps", config_map("t")).sending("text/plain"),
        create("configmaps", config_map("n")).sending(""),
        create("configmaps", config_map("c")).sending("application/cbor"),
        create("configmaps", "not: [valid").sending(YAML),
        create("configmaps", "").sending(YAML),
        create("configmaps", "- a\n- b\n").sending(YAML),
        create("configmaps", config_map("p")).sending(_PROTOBUF),
        update("configmaps/j", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: j}\ndata: {a: b}\n").sending(YAML),
        merge("configmaps/j", "data: {c: d}\n").sending(YAML),
        request("POST", "configmaps"),
        request("PUT", "configmaps/j"),
        request("GET", "configmaps/j", {"a": "body"}),
    ),
    scenario(
        "protobuf out",
        create("configmaps", config_map()).unseen(),
        get("configmaps/a").accepting(_PROTOBUF),
        get("configmaps/a").accepting(_PROTOBUF, JSON),
    ),
]
