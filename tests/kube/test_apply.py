"""Writers own the fields that they set; an applier meets a conflict where it would change what others own."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck.kube import fields
from flowdeck.kube.apply import (
    ALL_BUT_STATUS,
    ANCIENT_CHANGES,
    BEFORE_FIRST_APPLY,
    LAST_APPLIED,
    STATUS_ONLY,
    Writer,
    apply,
    check_config,
    manager_of,
    track,
)
from flowdeck.kube.errors import BadRequest, Conflict, InternalError
from flowdeck.kube.kinds import DEPLOYMENT, POD, SERVICE
from flowdeck.kube.objects import copy_of
from flowdeck.kube.openapi import schema_for
from flowdeck.kube.schema import Schema

NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
SCHEMA = schema_for(DEPLOYMENT)


def by(manager, *, minutes=0, **more):
    return Writer(**{"manager": manager, "api_version": "apps/v1", "now": NOW + timedelta(minutes=minutes), **more})


def a_deployment(**spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "n"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "d"}}, **spec},
    }


def with_containers(*containers):
    return a_deployment(template={"spec": {"containers": list(containers)}})


def owners(obj):
    return {
        (entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in obj["metadata"].get("managedFields", [])
    }


def created(obj, manager="kubectl-create", schema=SCHEMA):
    obj = copy_of(obj)
    track(obj, None, schema, by(manager))
    return obj


def changed(old, change, manager="editor", schema=SCHEMA, **more):
    new = copy_of(old)
    change(new)
    track(new, old, schema, by(manager, **more))
    return new


def test_a_creator_owns_what_it_set_as_a_real_server_writes_it():
    obj = a_deployment(
        strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
        template={
            "metadata": {"labels": {"app": "d"}},
            "spec": {
                "containers": [
                    {"name": "c", "image": "i", "resources": {}, "ports": [{"containerPort": 80, "protocol": "TCP"}]}
                ],
                "securityContext": {},
                "tolerations": [{"key": "k"}],
            },
        },
    )
    obj["metadata"]["labels"] = {"app": "d"}
    obj["status"] = {}
    assert owners(created(obj)) == {
        ("kubectl-create", "Update"): {
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
                "f:template": {
                    "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                    "f:spec": {
                        "f:containers": {
                            'k:{"name":"c"}': {
                                ".": {},
                                "f:image": {},
                                "f:name": {},
                                "f:ports": {
                                    ".": {},
                                    'k:{"containerPort":80,"protocol":"TCP"}': {
                                        ".": {},
                                        "f:containerPort": {},
                                        "f:protocol": {},
                                    },
                                },
                                "f:resources": {},
                            }
                        },
                        "f:securityContext": {},
                        "f:tolerations": {},
                    },
                },
            },
        }
    }


def test_an_entry_has_the_form_of_the_wire():
    entry = created(a_deployment())["metadata"]["managedFields"][0]
    assert {key: value for key, value in entry.items() if key != "fieldsV1"} == {
        "manager": "kubectl-create",
        "operation": "Update",
        "apiVersion": "apps/v1",
        "time": "2026-11-24T07:00:00Z",
        "fieldsType": "FieldsV1",
    }


def test_a_custom_object_s_spec_is_owned_as_a_whole_and_by_field():
    schema = Schema.compile(
        {"type": "object", "properties": {"spec": {"type": "object", "properties": {"x": {"type": "integer"}}}}}
    )
    obj = {"apiVersion": "e.x/v1", "kind": "E", "metadata": {"name": "e"}, "spec": {"x": 1}}
    assert owners(created(obj, schema=schema)) == {("kubectl-create", "Update"): {"f:spec": {".": {}, "f:x": {}}}}


def test_an_editor_takes_over_what_it_changes_and_removed_fields_have_no_owner():
    obj = changed(created(a_deployment(paused=True)), lambda o: o["spec"].update(replicas=5))
    assert owners(obj)["editor", "Update"] == {"f:spec": {"f:replicas": {}}}
    assert owners(obj)["kubectl-create", "Update"] == {"f:spec": {"f:paused": {}, "f:selector": {}}}
    obj = changed(obj, lambda o: o["spec"].pop("paused"), manager="other")
    assert owners(obj)["kubectl-create", "Update"] == {"f:spec": {"f:selector": {}}}
    assert ("other", "Update") not in owners(obj)


def test_a_write_that_changes_nothing_leaves_managed_fields_as_they_were():
    obj = created(a_deployment())
    assert changed(obj, lambda o: None, minutes=5) == obj


def test_a_time_moves_only_when_the_owned_fields_change():
    obj = changed(created(a_deployment()), lambda o: o["spec"].update(replicas=2), minutes=1)
    again = changed(obj, lambda o: o["spec"].update(replicas=3), minutes=2)
    more = changed(again, lambda o: o["spec"].update(paused=True), minutes=3)
    times = [
        {e["manager"]: e["time"] for e in o["metadata"]["managedFields"]}["editor"][-6:-1] for o in (obj, again, more)
    ]
    assert times == ["01:00", "01:00", "03:00"]


def test_status_is_owned_by_an_entry_of_its_own():
    obj = changed(
        created(a_deployment()),
        lambda o: o.update(status={"readyReplicas": 1, "conditions": [{"type": "Available", "status": "True"}]}),
        manager="controller",
        subresource="status",
        ignored=ALL_BUT_STATUS,
    )
    entry = obj["metadata"]["managedFields"][0]
    assert entry["subresource"] == "status"
    assert entry["fieldsV1"]["f:status"]["f:conditions"] == {
        ".": {},
        'k:{"type":"Available"}': {".": {}, "f:status": {}, "f:type": {}},
    }


def test_applying_a_status_to_the_main_resource_meets_no_conflict_and_owns_nothing_of_it():
    live = changed(created(a_deployment()), lambda o: o.update(status={"replicas": 1}), subresource="status")
    config = {"metadata": {"name": "d", "labels": {"a": "b"}}, "status": {"replicas": 7}}
    obj = apply(live, config, SCHEMA, by("me", ignored=STATUS_ONLY))
    assert owners(obj)["me", "Apply"] == {"f:metadata": {"f:labels": {"f:a": {}}}}


def test_managed_fields_are_forgotten_when_a_writer_asks_for_it():
    obj = changed(created(a_deployment()), lambda o: o["metadata"].update(managedFields=[{}]))
    assert "managedFields" not in obj["metadata"]


def test_a_writer_may_rewrite_the_entries():
    def migrate(obj):
        entry = obj["metadata"]["managedFields"][0]
        entry.update(manager="kubectl", operation="Apply")

    obj = changed(created(a_deployment()), migrate)
    assert list(owners(obj)) == [("kubectl", "Apply")]


def test_an_update_without_managed_fields_keeps_the_old_ones():
    obj = changed(created(a_deployment()), lambda o: o["metadata"].pop("managedFields"))
    assert list(owners(obj)) == [("kubectl-create", "Update")]


def test_the_oldest_updaters_are_put_together():
    obj = created(a_deployment())
    for number in range(12):
        label = {f"l{number}": "x"}
        obj = changed(
            obj,
            lambda o, label=label: o["metadata"].setdefault("labels", {}).update(label),
            manager=f"m{number}",
            minutes=number + 1,
        )
    assert len(owners(obj)) == 10
    assert "f:selector" in owners(obj)[ANCIENT_CHANGES, "Update"]["f:spec"]


def test_applying_a_new_object_owns_what_was_applied():
    obj = apply(None, with_containers({"name": "c", "image": "i"}), SCHEMA, by("me"))
    assert owners(obj) == {
        ("me", "Apply"): {
            "f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:template": {"f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:image": {}, "f:name": {}}}}},
            }
        }
    }


def test_applying_the_same_again_changes_nothing_not_even_times():
    obj = apply(None, with_containers({"name": "c", "image": "i"}), SCHEMA, by("me"))
    assert apply(obj, with_containers({"name": "c", "image": "i"}), SCHEMA, by("me", minutes=5)) == obj


def test_applying_what_is_there_in_another_order_moves_the_time():
    live = created(with_containers({"name": "a"}, {"name": "b"}))
    obj = apply(live, with_containers({"name": "b"}, {"name": "a"}), SCHEMA, by("me", minutes=5))
    mine = next(entry for entry in obj["metadata"]["managedFields"] if entry["manager"] == "me")
    assert mine["time"] == "2026-11-24T07:05:00Z"


def test_items_whose_key_comes_twice_are_owned_as_one():
    port = 'k:{"containerPort":80,"protocol":"TCP"}'

    def ports(obj, manager):
        owned = owners(obj)[manager, "Update"]["f:spec"]["f:template"]["f:spec"]["f:containers"]
        return owned['k:{"name":"a"}'].get("f:ports", {}).get(port)

    two = [{"containerPort": 80, "name": "x"}, {"containerPort": 80, "name": "y"}]
    assert ports(created(with_containers({"name": "a", "ports": two})), "kubectl-create") == {}
    live = created(with_containers({"name": "a", "ports": two[:1]}))
    doubled = changed(live, lambda o: o["spec"]["template"]["spec"]["containers"][0].update(ports=two))
    assert (ports(doubled, "kubectl-create"), ports(doubled, "editor")) == (None, {})
    again = changed(doubled, lambda o: o["spec"]["template"]["spec"]["containers"][0].update(ports=two[1:]), "third")
    assert ports(again, "third") == {".": {}, "f:containerPort": {}, "f:name": {}}


def test_changing_what_another_owns_is_a_conflict():
    live = created(a_deployment(), manager="kubectl")
    with pytest.raises(Conflict) as caught:
        apply(live, a_deployment(replicas=3), SCHEMA, by("me"))
    assert caught.value.message == (
        'Apply failed with 1 conflict: conflict with "kubectl" using apps/v1: .spec.replicas'
    )
    cause = caught.value.causes[0]
    assert (cause.reason, cause.message, cause.field) == (
        "FieldManagerConflict",
        'conflict with "kubectl" using apps/v1',
        ".spec.replicas",
    )


def test_several_conflicts_are_listed_by_manager():
    live = apply(None, with_containers({"name": "c", "image": "i"}), SCHEMA, by("first"))
    config = with_containers({"name": "c", "image": "j"})
    config["spec"]["replicas"] = 7
    with pytest.raises(Conflict) as caught:
        apply(live, config, SCHEMA, by("me"))
    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "first":\n'
        '- .spec.replicas\n- .spec.template.spec.containers[name="c"].image'
    )


def test_force_takes_ownership():
    live = created(a_deployment(), manager="kubectl")
    obj = apply(live, a_deployment(replicas=3), SCHEMA, by("me"), force=True)
    assert obj["spec"]["replicas"] == 3
    assert "f:replicas" not in owners(obj).get(("kubectl", "Update"), {}).get("f:spec", {})


def test_equal_values_are_owned_together():
    live = apply(None, a_deployment(), SCHEMA, by("first"))
    obj = apply(live, a_deployment(), SCHEMA, by("second"))
    assert set(owners(obj)) == {("first", "Apply"), ("second", "Apply")}
    less = a_deployment()
    del less["spec"]["replicas"]
    assert apply(obj, less, SCHEMA, by("second"))["spec"]["replicas"] == 1


def test_what_is_no_longer_applied_is_removed_unless_another_owns_it():
    live = apply(None, with_containers({"name": "a", "image": "i"}, {"name": "b", "image": "i"}), SCHEMA, by("me"))
    live = changed(live, lambda o: o["metadata"].update(labels={"x": "y"}))
    obj = apply(live, with_containers({"name": "b"}), SCHEMA, by("me"))
    assert obj["spec"]["template"]["spec"]["containers"] == [{"name": "b"}]
    assert obj["metadata"]["labels"] == {"x": "y"}


def test_defaulted_fields_of_an_abandoned_item_go_with_it():
    live = apply(None, with_containers({"name": "a"}, {"name": "b"}), SCHEMA, by("me"))
    live["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "Always"
    obj = apply(live, with_containers({"name": "b"}), SCHEMA, by("me"))
    assert obj["spec"]["template"]["spec"]["containers"] == [{"name": "b"}]


def test_items_of_others_stay_in_a_map_list_and_atomic_lists_are_replaced():
    live = apply(None, with_containers({"name": "a", "args": ["1"]}), SCHEMA, by("me"))
    sidecar = apply(live, with_containers({"name": "side"}), SCHEMA, by("injector"))
    assert [c["name"] for c in sidecar["spec"]["template"]["spec"]["containers"]] == ["a", "side"]
    obj = apply(sidecar, with_containers({"name": "a", "args": ["2", "3"]}), SCHEMA, by("me"))
    assert obj["spec"]["template"]["spec"]["containers"] == [{"name": "a", "args": ["2", "3"]}, {"name": "side"}]


def test_a_missing_key_of_a_map_list_takes_its_default():
    config = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    obj = apply(None, config, schema_for(SERVICE), by("me"))
    assert owners(obj)["me", "Apply"]["f:spec"]["f:ports"] == {
        'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}
    }


def test_an_object_from_before_ownership_belongs_to_nobody_in_particular():
    live = a_deployment()
    live["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    with pytest.raises(Conflict, match=f'conflict with "{BEFORE_FIRST_APPLY}" using apps/v1'):
        apply(live, a_deployment(replicas=2), SCHEMA, by("me"))


def test_kubectl_takes_over_what_it_applied_client_side():
    live = a_deployment()
    live["metadata"]["annotations"] = {LAST_APPLIED: '{"spec":{"replicas":1}}'}
    live = created(live, manager="kubectl-client-side-apply")
    obj = apply(live, a_deployment(replicas=4), SCHEMA, by("kubectl"))
    assert obj["spec"]["replicas"] == 4
    assert '"replicas":4' in obj["metadata"]["annotations"][LAST_APPLIED]


@pytest.mark.parametrize(
    ("config", "error", "told"),
    [
        pytest.param(
            {**a_deployment(), "metadata": {"name": "d", "managedFields": []}}, BadRequest, "must be nil", id="managed"
        ),
        pytest.param({**a_deployment(), "kind": "Pod"}, BadRequest, "invalid object type: apps/v1", id="kind"),
        pytest.param({**a_deployment(), "metadata": {}}, BadRequest, "name must be provided", id="nameless"),
        pytest.param(
            a_deployment(replicas="2"),
            InternalError,
            r"\.spec\.replicas: expected numeric \(int or float\), got string",
            id="type",
        ),
        pytest.param(a_deployment(foo=1), InternalError, r": \.spec\.foo: field not declared", id="unknown"),
        pytest.param(
            with_containers({"name": "a"}, {"name": "a"}), InternalError, "duplicate entries for key", id="twice"
        ),
    ],
)
def test_what_cannot_be_applied_is_refused(config, error, told):
    with pytest.raises(error, match=told):
        check_config(config, DEPLOYMENT, SCHEMA, "d")


def test_an_item_without_its_key_cannot_be_applied():
    items = {"type": "object", "properties": {"k": {"type": "string"}}}
    keyed = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": items}
    schema = Schema.compile({"type": "object", "properties": {"l": keyed}})
    with pytest.raises(InternalError, match=r"element 0: associative list with keys .* omits all key fields"):
        apply(None, {"metadata": {"name": "d"}, "l": [{}]}, schema, by("me"))


def test_nulls_in_a_config_mean_nothing():
    config = with_containers({"name": "a"})
    config["spec"]["template"]["metadata"] = {"creationTimestamp": None}
    obj = apply(None, config, SCHEMA, by("me"))
    assert apply(obj, config, SCHEMA, by("me", minutes=3)) == obj


def test_a_manager_is_named_by_the_request_or_the_user_agent():
    assert manager_of("", "kubectl/v1.36 (linux)") == "kubectl"
    assert manager_of("me", "kubectl/v1.36") == "me"
    assert manager_of("", "") == "unknown"


# -- laws

STEPS = st.sampled_from(["f:a", "f:b", 'k:{"n":1}'])
SETS = st.dictionaries(
    STEPS,
    st.recursive(
        st.just({}), lambda n: st.dictionaries(st.sampled_from([".", "f:a", "f:b"]), n, min_size=1, max_size=3)
        .map(lambda node: {**node, ".": {}} if "." in node else node), max_leaves=4,
    ),
    max_size=3,
)  # fmt: skip


def members(node, prefix=()):
    found = set()
    for step, child in node.items():
        if step != ".":
            path = (*prefix, step)
            if fields.is_member(child):
                found.add(path)
            found |= members(child, path)
    return found


@given(SETS, SETS)
def test_sums_on_fields_are_sums_on_sets(one, other):
    assert members(fields.union(one, other)) == members(one) | members(other)
    assert members(fields.difference(one, other)) == members(one) - members(other)
    assert members(fields.intersection(one, other)) == members(one) & members(other)


CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("abc")},
        optional={"image": st.sampled_from("xy"), "args": st.lists(st.sampled_from("12"), max_size=2)},
    ),
    max_size=3,
    unique_by=lambda item: item["name"],
)
PODS = st.fixed_dictionaries(
    {"metadata": st.fixed_dictionaries({"name": st.just("p")}, optional={"labels": st.just({"a": "b"})})},
    optional={"spec": st.fixed_dictionaries({"containers": CONTAINERS})},
)


@given(PODS, PODS, PODS)
def test_applying_is_idempotent_and_the_last_config_wins(first, second, edit):
    schema = schema_for(POD)
    obj = apply(None, first, schema, by("a"))
    edited = {**copy_of(edit), "metadata": {**copy_of(edit)["metadata"], "uid": "u"}}
    track(edited, obj, schema, by("e", minutes=1))
    once = apply(edited, second, schema, by("b", minutes=2), force=True)
    assert apply(once, second, schema, by("b", minutes=3), force=True) == once
    for container in second.get("spec", {}).get("containers", []):
        live = {c["name"]: c for c in once["spec"]["containers"]}[container["name"]]
        assert container.items() <= live.items()
