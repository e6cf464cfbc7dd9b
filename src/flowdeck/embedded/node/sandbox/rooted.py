"""Plans for the `namespaces` driver: each container gets a root of its own, with volumes at their literal paths."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from flowdeck.embedded.node.sandbox.plan import ContainerSpec, PodSpec, capability_numbers, common_plan
from flowdeck.kube.objects import Tree

HOME = "/home/pod"
"""A container's HOME, shared by its pod; the machine's own home folders are not touched."""
WORK = "/workdir"
"""Where a command starts when neither pod nor image say."""
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SECRETS_AT_HOME = (".ssh", ".gnupg", ".kube", ".aws", ".azure", ".docker", ".config/gcloud", ".flowdeck")


def to_holder_plan(pod: PodSpec, *, rootless: bool) -> Tree:
    """holder.json."""
    return {
        "rootless": rootless,
        "network": str(pod.network) if pod.network else "",
        "hostname": pod.hostname,
        "share_processes": pod.share_processes,
        "tmpfs": list(pod.tmpfs),
        "shm_bytes": pod.shm_bytes,
    }


def to_plan(spec: ContainerSpec, *, holder: Tree, hidden: Sequence[str], rootless: bool) -> Tree:
    """plan.json."""
    home = spec.pod_folder / "home"
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    user, group = spec.user or 0, spec.group or 0
    if not rootless and user:
        os.chown(home, user, group)
    mounts = [{"source": str(home), "target": HOME, "read_only": False}]
    closed = [] if rootless or not user else list(_closed(spec))
    mounts += [_visible(path) for path in _needed(spec, [*hidden, *closed])]
    if spec.shared_environment:
        own = str(spec.environment)
        mounts.append({"source": own, "target": own, "read_only": False})
    mounts += [mount.to_tree() for mount in spec.mounts]
    everyday = {"size": "50%", "mode": "1777"}
    return common_plan(spec) | {
        "driver": "namespaces",
        "rootless": rootless,
        "holder": holder,
        "argv": list(spec.argv),
        "env": environment_of(spec),
        "cwd": spec.cwd or WORK,
        "uid": user,
        "gid": group,
        "groups": sorted({group, *spec.groups}),
        "capabilities": capability_numbers(spec),
        "seccomp": True,
        "root": {
            "build": str(spec.folder / "root"),
            "image": str(spec.image_root) if spec.image_root else None,
            "read_only": spec.read_only_root,
            "hidden": [*hidden, *closed, *_secrets_of_the_machine()],
            "devices": list(spec.devices),
            "tmpfs": [
                {"target": "/tmp", **everyday}, {"target": "/var/tmp", **everyday},
                {"target": "/run", "size": "10%", "mode": "755"},
            ],
            "mounts": mounts,
        },
    }  # fmt: skip


def environment_of(spec: ContainerSpec) -> dict[str, str]:
    """The container's environment: PATH and HOME where nobody set them, the Python environment's `bin` first."""
    env = {"PATH": _SYSTEM_PATH, "HOME": HOME, **spec.env}
    if spec.environment:
        env["PATH"] = f"{spec.environment}/bin:{env['PATH']}"
        env.setdefault("VIRTUAL_ENV", str(spec.environment))
    if spec.tty:
        env.setdefault("TERM", "xterm")
    return env


def _needed(spec: ContainerSpec, hidden: Sequence[str]) -> Iterator[str]:
    """Folders of the Python environment that hiding other folders would take away."""
    for path in _environment_of(spec):
        if spec.image_root or any(path.startswith(folder + "/") for folder in (*hidden, "/tmp", "/run", "/var/tmp")):
            yield path


def _closed(spec: ContainerSpec) -> Iterator[str]:
    """Folders on the way to the Python environment that only their owner may enter: for another user they are hidden,
    and what is needed is put back in. (The platform's interpreter may lie in /root.)"""
    for path in _environment_of(spec):
        for folder in reversed(Path(path).parents):
            if not folder.stat().st_mode & stat.S_IXOTH:
                yield str(folder)
                break


def _environment_of(spec: ContainerSpec) -> Iterator[str]:
    """Where the shared Python environment, its interpreter, and what is installed there by its source folder are."""
    if spec.environment is None:
        return
    shared = os.path.realpath(spec.shared_environment or spec.environment)
    yield shared
    for path_file in Path(shared).glob("lib/python*/site-packages/*.pth"):
        for line in path_file.read_text().splitlines():
            if line.startswith("/") and os.path.isdir(line):
                yield os.path.realpath(line)
    config = spec.environment / "pyvenv.cfg"
    if config.is_file():
        for line in config.read_text().splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "home":
                yield os.path.realpath(Path(value.strip()).resolve().parent)


def _visible(path: str) -> Tree:
    return {"source": path, "target": path, "read_only": True}


def _secrets_of_the_machine() -> list[str]:
    homes = {"/root", os.path.expanduser("~")}
    folders = [f"{home}/{name}" for home in sorted(homes) for name in _SECRETS_AT_HOME]
    return [*folders, "/etc/shadow", "/etc/gshadow", "/var/run/secrets"]
