"""What the API server, and through it `kubectl logs|exec|attach|port-forward|top`, sees of a node."""

import asyncio
import json
import struct

import httpx
import pytest
import websockets

from flowdeck.embedded.apiserver import pki
from flowdeck.embedded.node.streams.spdy import Framer
from tests.embedded.node.streams.conftest import Kubelet, TunnelClient, channels_of


def _line(second: int, text: str, stream: str = "stdout", tag: str = "F") -> str:
    return f"2026-01-01T00:00:{second:02d}.000000001Z {stream} {tag} {text}\n"


async def test_only_the_api_server_may_ask(kubelet: Kubelet) -> None:
    for context, code in (
        (pki.client_context(kubelet.keys), 401),
        (pki.client_context(kubelet.keys, kubelet.keys.node), 403),
    ):
        async with httpx.AsyncClient(verify=context) as client:
            answer = await client.get(f"https://127.0.0.1:{kubelet.port}/healthz")
            assert answer.status_code == code
        with pytest.raises(websockets.InvalidStatus):
            async with kubelet.dial("/exec/default/web/main?command=id&output=1", tls=context):
                pass
    assert (await kubelet.http.get("/healthz")).text == "ok"


async def test_what_is_not_there_is_a_status_object(kubelet: Kubelet) -> None:
    answer = await kubelet.http.get("/containerLogs/default/nobody/main")
    assert answer.status_code == 404
    assert answer.json()["message"] == 'pod "nobody" not found'
    assert (await kubelet.http.get("/nothing")).status_code == 404
    assert (await kubelet.http.get("/exec/default/web/main?command=id&output=1")).status_code == 400


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "one\ntwo\nlong line\nthree\nfour\n"),
        ("tailLines=2", "three\nfour\n"),
        ("tailLines=3", "long line\nthree\nfour\n"),
        ("tailLines=0", ""),
        ("tailLines=99", "one\ntwo\nlong line\nthree\nfour\n"),
        ("limitBytes=6", "one\ntw"),
        ("sinceTime=2026-01-01T00:00:05Z", "three\nfour\n"),
        ("stream=Stderr", "two\n"),
        ("timestamps=true&tailLines=1", "2026-01-01T00:00:06.000000001Z four\n"),
        ("timestamps=true&sinceTime=2026-01-01T00:00:03Z&limitBytes=40", "2026-01-01T00:00:03.000000001Z long line"),
    ],
)
async def test_logs_are_cut_as_asked_over_rotated_files(kubelet: Kubelet, query: str, expected: str) -> None:
    kubelet.runtime.runs = False
    (kubelet.runtime.log.parent / "0.log.1").write_text(_line(1, "one") + _line(2, "two", "stderr"))
    kubelet.runtime.log.write_text(_line(3, "long ", tag="P") + _line(4, "line") + _line(5, "three") + _line(6, "four"))
    answer = await kubelet.http.get(f"/containerLogs/default/web/main?{query}")
    assert answer.text == expected


async def test_bad_log_options_are_refused(kubelet: Kubelet) -> None:
    kubelet.runtime.log.write_text("")
    for query in ("tailLines=-1", "tailLines=x", "sinceTime=yesterday"):
        assert (await kubelet.http.get(f"/containerLogs/default/web/main?{query}")).status_code == 400


async def test_followed_logs_come_line_by_line_over_rotations_and_end_with_the_container(kubelet: Kubelet) -> None:
    log = kubelet.runtime.log
    log.write_text(_line(1, "one"))
    async with kubelet.http.stream("GET", "/containerLogs/default/web/main?follow=True") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "one"
        with log.open("a") as file:
            file.write(_line(2, "two"))
        assert await anext(lines) == "two"
        with log.open("a") as file:
            file.write(_line(3, "three"))
        log.rename(log.with_name("0.log.1"))
        log.write_text(_line(4, "four"))
        log.with_name("0.log.1").rename(log.with_name("0.log.2"))
        log.rename(log.with_name("0.log.1"))
        log.write_text(_line(5, "five"))
        assert [await anext(lines) for _ in range(3)] == ["three", "four", "five"]
        with log.open("a") as file:
            file.write(_line(6, "last"))
            kubelet.runtime.runs = False
        assert [line async for line in lines] == ["last"]


async def test_exec_gives_both_streams_and_the_exit_code(kubelet: Kubelet) -> None:
    path = "/exec/default/web/main?command=sh&command=-c&command=echo+out;echo+err+>%262;exit+3&output=1&error=1"
    async with kubelet.dial(path, "v4.channel.k8s.io") as connection:
        assert connection.subprotocol == "v4.channel.k8s.io"
        found = await channels_of(connection)
    assert (found[1], found[2]) == (b"out\n", b"err\n")
    status = json.loads(found[3])
    assert status["reason"] == "NonZeroExitCode"
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_exec_reads_what_the_client_types_until_it_says_end(kubelet: Kubelet) -> None:
    path = "/exec/default/web/main?command=cat&input=1&output=1"
    async with kubelet.dial(path, "v5.channel.k8s.io", "v4.channel.k8s.io") as connection:
        big = b"x" * 300_000
        for start in range(0, len(big), 30_000):
            await connection.send(b"\0" + big[start : start + 30_000])
        await connection.send(b"\xff\0")
        found = await channels_of(connection)
    assert found[1] == big
    assert json.loads(found[3])["status"] == "Success"


async def test_a_terminal_has_the_size_that_the_client_says(kubelet: Kubelet) -> None:
    path = "/exec/default/web/main?command=sh&command=-c&command=read+x;stty+size&input=1&output=1&tty=1"
    async with kubelet.dial(path, "v4.channel.k8s.io") as connection:
        await connection.send(b"\x04" + b'{"Width":123,"Height":45}')
        await connection.send(b"\0go\n")
        found = await channels_of(connection)
    assert b"45 123" in found[1]


async def test_a_command_dies_with_the_client_that_started_it(kubelet: Kubelet) -> None:
    async with kubelet.dial("/exec/default/web/main?command=sleep&command=600&output=1", "v4.channel.k8s.io"):
        pass
    async with asyncio.timeout(5):
        assert await kubelet.runtime.started[0].wait() == 137


async def test_the_base64_protocol_of_browsers_works(kubelet: Kubelet) -> None:
    path = "/exec/default/web/main?command=echo&command=hi&output=1"
    async with kubelet.dial(path, "base64.channel.k8s.io") as connection:
        messages = [message async for message in connection]
    assert b"1aGkK" in messages


async def test_attach_shows_a_running_process_and_leaves_it_alone(kubelet: Kubelet) -> None:
    await kubelet.runtime.exec(("default", "web"), "main", ["cat"], tty=False, stdin=True)  # type: ignore[arg-type]
    async with kubelet.dial("/attach/default/web/main?input=1&output=1", "v4.channel.k8s.io") as connection:
        await connection.send(b"\0hello\n")
        while (message := await connection.recv()) == b"\x01":
            pass
        assert message == b"\x01hello\n"
    process = kubelet.runtime.started[0]
    await process.close_stdin()
    assert await process.wait() == 0


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(b"<" + data + b">")
    writer.write(b"end")
    writer.close()


async def test_ports_are_forwarded_in_channels_as_the_python_client_does(kubelet: Kubelet) -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    dialled = kubelet.dial(f"/portForward/default/web?ports={port}", "v4.channel.k8s.io")
    async with server, dialled as connection:
        assert [await connection.recv() for _ in range(2)] == [
            b"\0" + struct.pack("<H", port), b"\x01" + struct.pack("<H", port),
        ]  # fmt: skip
        await connection.send(b"\0hi")
        assert await connection.recv() == b"\0<hi>"


async def test_a_port_where_nobody_listens_is_told_on_the_error_channel(kubelet: Kubelet) -> None:
    async with kubelet.dial("/portForward/default/web?port=1", "v4.channel.k8s.io") as connection:
        found = await channels_of(connection)
    assert b"error forwarding port 1 to pod default/web" in found[1]


async def test_ports_are_forwarded_in_spdy_streams_as_kubectl_does(kubelet: Kubelet) -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = str(server.sockets[0].getsockname()[1])
    framer = Framer()
    async with server, TunnelClient(kubelet, "/portForward/default/web") as connection:
        for request, first, number in (("0", 1, port), ("1", 5, "1")):
            headers = {"streamType": "error", "port": number, "requestID": request}
            await connection.send(framer.open(first, headers) + framer.data(first, b"", is_last=True))
            await connection.send(framer.open(first + 2, headers | {"streamType": "data"}))
        await connection.send(framer.ping(7) + framer.data(3, b"hi"))
        got = await _collect(framer, connection, until={3: b"<hi>", 5: b"error forwarding port 1"})
        assert b"refused" in got[5]
        await connection.send(framer.data(3, b"", is_last=True))
        got = await _collect(framer, connection, until={3: b"end"})


async def test_malformed_spdy_closes_the_connection(kubelet: Kubelet) -> None:
    async with TunnelClient(kubelet, "/portForward/default/web") as connection:
        await connection.send(b"\x80\x03\x00\x01\x00\x00\x00\x02xx")
        assert await connection.recv() == b""
        assert connection.close_code == 1002


async def _collect(framer: Framer, connection: TunnelClient, until: dict[int, bytes]) -> dict[int, bytes]:
    got: dict[int, bytes] = {}
    while not all(text in got.get(stream, b"") for stream, text in until.items()):
        message = await connection.recv()
        assert message, f"closed after {got}"
        for frame in framer.receive(message):
            if hasattr(frame, "data"):
                got[frame.stream] = got.get(frame.stream, b"") + frame.data
    return got


async def test_statistics_are_in_the_shapes_that_metrics_server_reads(kubelet: Kubelet) -> None:
    tree = (await kubelet.http.get("/stats/summary")).json()
    assert tree["node"]["nodeName"] == "here"
    assert tree["pods"][0]["podRef"] == {"name": "web", "namespace": "default", "uid": "u1"}
    assert tree["pods"][0]["containers"][0]["memory"]["workingSetBytes"] == 1024
    text = (await kubelet.http.get("/metrics/resource")).text
    assert 'container_cpu_usage_seconds_total{container="main",namespace="default",pod="web"} 2' in text
    assert 'pod_memory_working_set_bytes{namespace="default",pod="web"} 1024' in text
    assert (await kubelet.http.get("/metrics")).text == "up 1\n"
