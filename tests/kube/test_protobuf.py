"""Bodies in Kubernetes' protobuf form, as `kubectl create` sends them."""

import pytest

from flowdeck.kube import protobuf


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\x00" + field(1, field(1, api_version.encode()) + field(2, kind.encode())) + field(2, raw)


def test_a_config_map_is_read() -> None:
    meta = field(1, b"a") + field(2, b"") + field(8, b"") + field(11, field(1, b"k") + field(2, b"v"))
    raw = field(1, meta) + field(2, field(1, b"x") + field(2, b"y")) + field(3, field(1, b"b") + field(2, b"\x00"))
    assert protobuf.decode(body("v1", "ConfigMap", raw)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "labels": {"k": "v"}},
        "data": {"x": "y"},
        "binaryData": {"b": "AA=="},
    }


def test_pointers_keep_their_zero_and_inlined_fields_their_place() -> None:
    volume = field(1, b"v") + field(2, field(2, b""))
    limits = field(1, field(1, b"cpu") + field(2, field(1, b"500m")))
    container = field(1, b"c") + field(2, b"i") + field(8, limits)
    template = field(2, field(1, volume) + field(2, container))
    raw = field(2, field(1, 0) + field(3, template))
    deployment = protobuf.decode(body("apps/v1", "Deployment", raw))
    assert deployment["spec"]["replicas"] == 0
    pod = deployment["spec"]["template"]["spec"]
    assert pod["volumes"] == [{"name": "v", "emptyDir": {}}]
    assert pod["containers"] == [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "500m"}}}]


def test_times_numbers_and_ports_are_read() -> None:
    minus_one = (1 << 64) - 1
    created = field(8, field(1, 1_764_000_000))
    assert protobuf.decode(body("v1", "Pod", field(1, field(1, b"p") + created)))["metadata"] == {
        "name": "p",
        "creationTimestamp": "2025-11-24T16:00:00Z",
    }
    job = protobuf.decode(body("batch/v1", "Job", field(2, field(1, minus_one))))
    assert job["spec"]["parallelism"] == -1
    port = field(3, 80) + field(4, field(1, 1) + field(3, b"w"))
    service = protobuf.decode(body("v1", "Service", field(2, field(1, port))))
    assert service["spec"]["ports"] == [{"port": 80, "targetPort": "w"}]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{}", "does not appear to be a protobuf message"),
        (body("v1", "Nothing", b""), 'no kind "Nothing" is registered for version "v1"'),
        (body("v1", "ConfigMap", b"\x0a\xff"), "unexpected EOF"),
    ],
)
def test_what_is_none_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        protobuf.decode(data)
