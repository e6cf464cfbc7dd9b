"""exec, attach, cp, port-forward, proxy."""

import contextlib
import os
import re
import urllib.request
from pathlib import Path

from tests.kubectl.kubectl import Kubectl, expect_line

SERVER = ["python3", "-u", "-c", """
import http.server, socketserver
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("hello " + self.path).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
print("serving", flush=True)
socketserver.TCPServer(("", 8080), Hello).serve_forever()
"""]  # fmt: skip


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        text: str = answer.read().decode()
        return text


def test_exec_gives_output_and_exit_code(kubectl: Kubectl) -> None:
    kubectl.pod("one")
    assert kubectl("exec one -- sh -c", "echo out; echo err >&2") == "out\n"
    assert kubectl("exec -i one -- cat", stdin="through\n" * 5000) == "through\n" * 5000
    assert kubectl.fails("exec one -- sh -c", "exit 7", code=7) == "command terminated with exit code 7\n"


def test_exec_on_a_terminal(kubectl: Kubectl) -> None:
    kubectl.pod("one")
    with kubectl.on_terminal("exec -it one -- sh") as terminal:
        terminal.type("tty; stty size; echo mark$((1+1))\n")
        shown = terminal.expect("mark2")
        assert "/dev/pts/" in shown
        assert "24 80" in shown
        terminal.resize(50, 132)
        terminal.type("until stty size | grep 132; do :; done\n")
        terminal.expect("50 132")
        # the shell ignores an interrupt until its child has the terminal
        terminal.type("sh -c 'echo runs$((1+1)); exec sleep 1000'\n")
        terminal.expect("runs2")
        terminal.type("\x03")
        terminal.type("echo interrupted$((1+1)); exit 4\n")
        terminal.expect("interrupted2")
        assert terminal.code() == 4


def test_debug_puts_a_container_into_a_running_pod(kubectl: Kubectl) -> None:
    kubectl.pod("one")
    with kubectl.on_terminal("debug -it one --image=busybox --target=one --profile=general -- sh") as terminal:
        terminal.type("echo seen$((1+1)); hostname; exit\n")
        assert "one" in terminal.expect("seen2") + terminal.expect("one")
        assert terminal.code() == 0
    kubectl.fails("debug one --image=busybox --target=none --profile=general -- true")


def test_exec_says_why_not(kubectl: Kubectl) -> None:
    kubectl.pod("one")
    assert kubectl.fails("exec nope -- id") == 'Error from server (NotFound): pods "nope" not found\n'
    assert kubectl.fails("exec one -c nope -- id") == (
        "Error from server (BadRequest): container nope is not valid for pod one\n"
    )
    assert kubectl.fails("exec one -- nosuchprogram") == (
        "error: Internal error occurred: error executing command in container: "
        'exec: "nosuchprogram": executable file not found in $PATH\n'
    )
    kubectl("run waits --image=busybox --overrides", '{"spec":{"nodeSelector":{"no":"where"}}}')
    assert kubectl.fails("exec waits -- id") == (
        "Error from server (BadRequest): pod waits does not have a host assigned\n"
    )
    kubectl("run over --image=busybox --restart=Never -- true")
    kubectl("wait --for=jsonpath={.status.phase}=Succeeded pod/over --timeout=30s")
    assert kubectl.fails("exec over -- id") == (
        "error: cannot exec into a container in a completed pod; current phase is Succeeded\n"
    )


def test_a_container_that_does_not_run_cannot_be_entered(kubectl: Kubectl) -> None:
    kubectl("run broken --image=busybox --command -- /no/such/program")
    kubectl("wait --for=jsonpath={.status.containerStatuses[0].restartCount}=1 pod/broken --timeout=30s")
    upgrade = "unable to upgrade connection: "
    assert kubectl.fails("exec broken -- id") == (
        f'error: Internal error occurred: {upgrade}container not found ("broken")\n'
    )
    assert kubectl.fails("attach broken").endswith(
        f"error: Internal error occurred: {upgrade}container broken not found in pod broken_{kubectl.namespace}\n"
    )
    assert kubectl.fails("port-forward broken :80") == (
        f'error: error upgrading connection: {upgrade}pod not found ("broken_{kubectl.namespace}")\n'
    )


def test_attach_sees_what_is_printed_from_now_on(kubectl: Kubectl) -> None:
    kubectl.pod("one", "sh", "-c", "while :; do echo beat; sleep 0.1; done")
    with kubectl.started("attach one") as attached:
        expect_line(attached.stdout, "beat")
    assert kubectl("get pod one -o jsonpath={.status.phase}") == "Running"


def test_attach_reaches_standard_input(kubectl: Kubectl) -> None:
    kubectl.pod("one", "sh", "-c", 'while read line; do echo "got $line"; done', options="--stdin")
    with kubectl.started("attach -i one") as attached:
        assert attached.stdin is not None
        attached.stdin.write("something\n")
        attached.stdin.flush()
        expect_line(attached.stdout, "got something")


def test_run_attaches_a_terminal(kubectl: Kubectl) -> None:
    with kubectl.on_terminal("run shell -it --rm --restart=Never --image=busybox -- sh") as terminal:
        terminal.type("\n")
        terminal.type("echo it$((40+2)); exit 0\n")
        terminal.expect("it42")
        terminal.expect('pod "shell" deleted')
        assert terminal.code() == 0


def test_files_are_copied_both_ways(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.pod("one")
    here = tmp_path / "here"
    (here / "below").mkdir(parents=True)
    (here / "big").write_bytes(bytes(range(256)) * 4096)
    (here / "below" / "small").write_text("small")
    preserve = "" if os.geteuid() == 0 else "--no-preserve=true"  # the pod knows one user: docs/node.md
    kubectl(f"cp {preserve} {here} one:/tmp/there")
    assert kubectl("exec one -- cat /tmp/there/below/small") == "small"
    kubectl(f"cp one:/tmp/there {tmp_path / 'back'}")
    assert (tmp_path / "back" / "big").read_bytes() == bytes(range(256)) * 4096
    # kubectl does not wait for what tar says: it may be gone before it has printed that
    told = (kubectl.run(f"cp one:/tmp/nothing {tmp_path / 'x'}").stdout for _ in range(20))
    assert any("No such file or directory" in text for text in told)


def test_ports_are_forwarded(kubectl: Kubectl) -> None:
    kubectl.pod("web", *SERVER, options="--port=8080 --labels=app=web")
    kubectl("expose pod web --port=80 --target-port=8080")
    kubectl.until("logs web --follow", "serving")
    for target in ("pod/web :8080", "service/web :80"):
        with kubectl.started(f"port-forward {target}") as forward:
            told = expect_line(forward.stdout, "Forwarding from 127.0.0.1")
            found = re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> 8080\n", told)
            assert found, told
            for number in range(3):
                assert fetch(f"http://127.0.0.1:{found[1]}/{number}") == f"hello /{number}"


def test_a_port_that_nobody_listens_on_is_told(kubectl: Kubectl) -> None:
    kubectl.pod("one")
    with kubectl.started("port-forward one :81") as forward:
        told = expect_line(forward.stdout, "Forwarding from 127.0.0.1")
        port = told.split(":")[1].split()[0]
        with contextlib.suppress(OSError):
            fetch(f"http://127.0.0.1:{port}/")
        assert "connection refused" in expect_line(forward.stdout, "error forwarding port 81")


def test_the_api_server_leads_to_pods_and_services(kubectl: Kubectl) -> None:
    kubectl.pod("web", *SERVER, options="--port=8080 --labels=app=web")
    kubectl("expose pod web --port=80 --target-port=8080")
    kubectl.until("logs web --follow", "serving")
    kubectl("wait --for=jsonpath={.subsets[0].addresses[0].ip} endpoints/web --timeout=30s")
    there = f"/api/v1/namespaces/{kubectl.namespace}"
    assert kubectl(f"get --raw {there}/pods/web:8080/proxy/x") == "hello /x"
    assert kubectl(f"get --raw {there}/services/web:80/proxy/y?z=1") == "hello /y?z=1"
    with kubectl.started("proxy --port=0") as proxy:
        told = expect_line(proxy.stdout, "Starting to serve on")
        base = f"http://{told.split()[-1]}"
        assert fetch(f"{base}{there}/pods/web:8080/proxy/z") == "hello /z"
        assert '"kind":"APIVersions"' in fetch(f"{base}/api").replace(" ", "").replace("\n", "")
