"""No body, however odd, is the server's fault: what is wrong with it is told by a 4xx."""

import json
from itertools import product

import pytest

from flowdeck.embedded.apiserver.contract import User
from flowdeck.kube.errors import ApiError
from flowdeck.kube.yaml_text import MAX_DEPTH

ADMIN = User("admin", groups=("system:masters", "system:authenticated"))
ODD = (None, "x", "", 1, 1.5, -1, True, [], ["a"], [[]], {}, {"a": 1})
SPACE = "/api/v1/namespaces/default"
CONFIG_MAPS = f"{SPACE}/configmaps"
OBJECTS = {
    CONFIG_MAPS: ("v1", "ConfigMap"),
    f"{SPACE}/pods": ("v1", "Pod"),
    f"{SPACE}/pods/p/eviction": ("policy/v1", "Eviction"),
    f"{SPACE}/pods/p/binding": ("v1", "Binding"),
    "/api/v1/namespaces": ("v1", "Namespace"),
    "/apis/apps/v1/namespaces/default/deployments": ("apps/v1", "Deployment"),
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
    ),
    "/apis/authorization.k8s.io/v1/subjectaccessreviews": ("authorization.k8s.io/v1", "SubjectAccessReview"),
    "/apis/authentication.k8s.io/v1/tokenreviews": ("authentication.k8s.io/v1", "TokenReview"),
    "/apis/certificates.k8s.io/v1/certificatesigningrequests": (
        "certificates.k8s.io/v1",
        "CertificateSigningRequest",
    ),
}
TOP = ("metadata", "spec", "status", "data", "kind", "apiVersion", "rules", "target", "deleteOptions")
META = ("name", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "uid", "managedFields")
PATCHES = ("json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")


async def code_of(world, method, path, body, media="application/json", query=None):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    try:
        await world.api.pipeline.call(method, path, query or {}, body, ADMIN, media)
    except ApiError as error:
        return error.code
    return 200


def odd_objects(api_version, kind):
    yield from ODD
    whole = {"apiVersion": api_version, "kind": kind}
    for name, value in product(TOP, ODD):
        yield whole | {"metadata": {"name": "n"}} | {name: value}
    for name, value in product(META, ODD):
        yield whole | {"metadata": {"name": "m", name: value}}


def odd_patches(api_version, kind):
    yield from odd_objects(api_version, kind)
    for value in ODD:
        yield [value]
        yield {"$patch": value}
        yield {"spec": {"template": {"spec": {"containers": value}}}}
        yield {"spec": {"template": {"spec": {"$setElementOrder/containers": value, "$retainKeys": value}}}}
        yield [{"op": "replace", "path": "/metadata", "value": value}]
        yield [{"op": "replace", "path": "", "value": value}]
        for operation in ("move", "copy", "test"):
            yield [{"op": operation, "path": value, "from": value}]


@pytest.mark.parametrize("path", OBJECTS)
async def test_odd_objects_are_created_or_refused(world, path):
    for obj in odd_objects(*OBJECTS[path]):
        assert await code_of(world, "POST", path, obj) < 500, obj


@pytest.mark.parametrize("media", PATCHES)
async def test_odd_patches_change_something_or_are_refused(world, media):
    await world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default", "name": "a"}})
    for path, patch in product((f"{CONFIG_MAPS}/a", f"{SPACE}/status"), odd_patches("v1", "ConfigMap")):
        code = await code_of(world, "PATCH", path, patch, f"application/{media}", {"fieldManager": "f"})
        assert code < 500 or media == "apply-patch+yaml", patch  # upstream answers 500 for undeclared fields, too


@pytest.mark.parametrize("name", ["gracePeriodSeconds", "preconditions", "propagationPolicy", "orphanDependents"])
async def test_odd_options_of_a_deletion_are_taken_or_refused(world, name):
    for value in ODD:
        assert await code_of(world, "DELETE", f"{CONFIG_MAPS}/kube-root-ca.crt", {name: value}) < 500, value


@pytest.mark.parametrize("media", ["json", "yaml", *PATCHES])
async def test_what_is_nested_deeper_than_anybody_needs_is_refused(world, media):
    method, path = ("POST", CONFIG_MAPS) if media in ("json", "yaml") else ("PATCH", f"{CONFIG_MAPS}/a")
    for depth in (MAX_DEPTH + 1, 1000, 100_000):
        body = b'{"a":' * depth + b"1" + b"}" * depth
        code = await code_of(world, method, path, body, f"application/{media}", {"fieldManager": "f"})
        assert code == 400, depth


async def test_a_limit_that_no_number_holds_is_refused(world):
    assert await code_of(world, "GET", CONFIG_MAPS, b"", query={"limit": "9" * 30}) == 400
