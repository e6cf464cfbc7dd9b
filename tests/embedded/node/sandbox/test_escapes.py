"""A hostile container gets nowhere: not to the platform's keys, other pods, the machine's processes or its kernel."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.embedded.node.sandbox.conftest import Starter

PROGRAM = Path(__file__).with_name("attacks.py").read_text()
NAMES = re.findall(r"^@attack\ndef (\w+)", PROGRAM, re.MULTILINE)


def _disk() -> tuple[int, int]:
    device = os.stat("/").st_dev
    return os.major(device), os.minor(device)


@pytest.mark.parametrize("user", [None, 1000], ids=["as-root-inside", "as-a-user-inside"])
def test_no_attack_gets_anywhere(starter: Starter, user: int | None) -> None:
    key = starter.make("pki/ca.pem", "SECRET")
    neighbour = starter.make("pods/other/volumes/v/file", "SECRET")
    victim = starter.start("sleep", "60")
    wall = starter.start("unshare", *(["-r"] if starter.user else []), "-n", "sh", "-c", "echo; exec sleep 60")
    assert wall.stdout is not None
    wall.stdout.readline()
    listener = socket.socket(socket.AF_UNIX)
    abstract = f"flowdeck-test-{os.getpid()}"
    listener.bind("\0" + abstract)
    listener.listen()
    file_listener = socket.socket(socket.AF_UNIX)
    file_listener.bind(str(starter.folder / "s"))
    os.chmod(starter.folder / "s", 0o777)
    file_listener.listen()
    outside = {
        "key": str(key), "neighbour": str(neighbour), "pid": victim.pid, "abstract": abstract, "disk": _disk(),
        "socket": str(starter.folder / "s"),
    }  # fmt: skip
    try:
        done = starter.run(
            "/usr/bin/python3", "-c", PROGRAM, json.dumps(outside), user=user, network=f"/proc/{wall.pid}/ns/net"
        )
        assert done["exit_code"] == 0, done
        achieved = json.loads(done["log"].splitlines()[-1])
        assert set(achieved) == set(NAMES)
        assert [name for name, got in achieved.items() if got] == []
        assert victim.poll() is None
        assert not Path("/etc/planted-by-a-pod").exists()
        assert not Path("/usr/planted-by-a-pod").exists()
        assert key.read_text() == "SECRET"
    finally:
        for process in (victim, wall):
            process.kill()
            process.communicate()
        listener.close()
        file_listener.close()


def test_a_sub_path_does_not_lead_out_of_its_volume(starter: Starter) -> None:
    starter.make("pki/ca.pem", "SECRET")
    volume = starter.make("pods/one/volumes/v/file", "fine").parent
    (volume / "out").symlink_to(starter.folder / "pki")
    (volume / "up").symlink_to("../../../../pki")
    for name in ("out", "up", "up/ca.pem"):
        mounts = [{"source": str(volume), "target": "/v", "sub_path": name}]
        done = starter.run("cat", "/v/ca.pem", mounts=mounts)
        assert done["reason"] == "StartError", done
        subprocess.run(["rm", "-rf", str(starter.folder / "pods/one/main")], check=True)


def test_a_link_at_a_mount_path_does_not_lead_out_of_the_container(starter: Starter) -> None:
    volume = starter.make("pods/one/volumes/v/file", "fine").parent
    mounts = [{"source": str(volume), "target": "/var/run/secrets/x"}]  # /var/run is a link to /run
    done = starter.run("cat", "/run/secrets/x/file", mounts=mounts)
    assert done["log"] == "fine"
    assert not Path("/run/secrets/x").exists()


def test_a_host_path_that_holds_the_platform_does_not_show_it(starter: Starter) -> None:
    starter.make("pki/ca.pem", "SECRET")
    mounts = [{"source": str(starter.folder.parent), "target": "/host", "recursive": True}]
    done = starter.run("ls", "-A", f"/host/{starter.folder.name}", mounts=mounts)
    assert (done["exit_code"], done["log"]) == (0, "")


def test_a_read_only_root_cannot_be_written_to_but_tmp_can(starter: Starter) -> None:
    script = "touch /tmp/x && ! touch /etc/x 2>/dev/null && ! touch /x 2>/dev/null && ! touch /usr/x 2>/dev/null"
    assert starter.run("sh", "-c", script, read_only_root=True)["exit_code"] == 0


def test_shared_processes_are_those_of_the_pod_only(starter: Starter) -> None:
    done = starter.run(
        "sh", "-c", "ls -d /proc/[0-9]* | wc -l; ls -l /proc/1/root/ 2>&1; ls /proc/1/fd 2>&1", share=True
    )
    lines = done["log"].splitlines()
    assert int(lines[0]) <= 6
    assert "bin" not in " ".join(lines[1:])


def test_devices_work_as_in_any_container(starter: Starter) -> None:
    script = (
        "echo x > /dev/null && head -c 4 /dev/urandom | wc -c && test -w /dev/shm && test -e /dev/pts/ptmx && echo ok"
    )
    assert starter.run("sh", "-c", script)["log"].split() == ["4", "ok"]


def test_the_user_is_the_one_that_was_asked_for(starter: Starter) -> None:
    assert starter.run("id", "-u", user=1000)["log"] == "1000"


def test_the_program_that_enters_a_container_cannot_be_overwritten(starter: Starter) -> None:
    if starter.user:
        pytest.skip("without root the program belongs to the user; only its being in use protects it")
    script = """#!/proc/self/exe
import os
kept = os.open("/proc/self/exe", os.O_RDONLY)
print("read-only" if os.fstatvfs(kept).f_flag & os.ST_RDONLY else "writable", flush=True)
os.set_inheritable(kept, True)
os.execv("/bin/sh", ["sh", "-c", f"echo x >> /proc/self/fd/{kept}"])
"""
    volume = starter.make("pods/one/volumes/v/evil", script).parent
    (volume / "evil").chmod(0o755)
    mounts = [{"source": str(volume), "target": "/v"}]
    done = starter.run("/v/evil", mounts=mounts)
    assert done["exit_code"] != 0
    assert done["log"].startswith("read-only\n"), done


def test_too_much_memory_without_control_groups_ends_a_container(starter: Starter) -> None:
    script = "x = b'x' * 300_000_000; import time; time.sleep(30)"
    done = starter.run("/usr/bin/python3", "-c", script, memory_limit=100_000_000)
    assert (done["exit_code"], done["reason"]) == (137, "OOMKilled")
