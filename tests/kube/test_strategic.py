"""A strategic merge patch merges lists by their keys, as the schema of the kind says."""

import pytest

from flowdeck.kube.errors import BadRequest
from flowdeck.kube.kinds import DEPLOYMENT, POD
from flowdeck.kube.openapi import schema_for
from flowdeck.kube.strategic import apply_strategic_patch


def pod(*containers, **spec):
    return {"metadata": {"name": "p"}, "spec": {"containers": list(containers), **spec}}


def patched(obj, patch, kind=POD):
    return apply_strategic_patch(obj, patch, schema_for(kind))


def names(obj):
    return [container["name"] for container in obj["spec"]["containers"]]


A, B, C = ({"name": name, "image": f"{name}:1"} for name in "abc")


def test_an_item_with_a_known_key_is_merged_and_a_new_one_is_added():
    after = patched(pod(A, B), {"spec": {"containers": [{"name": "b", "image": "b:2"}, C]}})
    assert after["spec"]["containers"] == [A, {"name": "b", "image": "b:2"}, C]


def test_an_item_is_deleted_by_directive():
    after = patched(pod(A, B), {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}})
    assert after["spec"]["containers"] == [B]


def test_a_list_is_replaced_by_directive():
    after = patched(pod(A, B), {"spec": {"containers": [{"$patch": "replace"}, C]}})
    assert after["spec"]["containers"] == [C]


def test_an_object_is_replaced_by_directive():
    after = patched(pod(A, nodeSelector={"x": "y"}), {"spec": {"$patch": "replace", "containers": [B]}})
    assert after["spec"] == {"containers": [B]}


def test_the_order_of_a_list_is_set_by_directive():
    patch = {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}], "containers": [C]}}
    assert names(patched(pod(A, B), patch)) == ["c", "a", "b"]


def test_scalars_are_merged_as_a_set_and_deleted_by_directive():
    obj = {"metadata": {"name": "p", "finalizers": ["x", "y"]}}
    patch = {"metadata": {"finalizers": ["z"], "$deleteFromPrimitiveList/finalizers": ["x"]}}
    assert sorted(patched(obj, patch)["metadata"]["finalizers"]) == ["y", "z"]


def test_an_atomic_list_is_replaced():
    obj = pod({**A, "args": ["1", "2"]})
    after = patched(obj, {"spec": {"containers": [{"name": "a", "args": ["3"]}]}})
    assert after["spec"]["containers"][0]["args"] == ["3"]


def test_retain_keys_drops_the_other_keys():
    obj = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert patched(obj, patch, DEPLOYMENT)["spec"]["strategy"] == {"type": "Recreate"}


def test_null_removes_a_field_and_directives_never_reach_the_object():
    obj = pod(A, hostNetwork=True)
    after = patched(obj, {"spec": {"hostNetwork": None, "volumes": [{"name": "v", "$patch": "delete"}]}})
    assert after["spec"] == {"containers": [A], "volumes": []}


def test_the_ports_of_a_container_merge_by_container_port():
    obj = pod({**A, "ports": [{"containerPort": 80, "name": "http"}]})
    patch = {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}}
    assert patched(obj, patch)["spec"]["containers"][0]["ports"] == [
        {"containerPort": 80, "name": "http", "hostPort": 8080}
    ]


def test_a_missing_merge_key_is_a_bad_request():
    with pytest.raises(BadRequest, match="does not contain declared merge key: name"):
        patched(pod(A), {"spec": {"containers": [{"image": "x"}]}})
