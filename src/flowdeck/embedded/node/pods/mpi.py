"""MPI without ssh: what a container needs so that `mpirun` reaches the other pods of its job through `flowdeck-rsh`.

A container is one of an MPI job when keys for ssh are mounted in it (`.../.ssh`) and it would run `sshd`, or has Open
MPI's variables of a launcher. Open MPI 5 gets under its own names what the Trainer says under those of Open MPI 4.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowdeck.embedded.node.images import remote_shell
from flowdeck.embedded.node.images.private import add_program
from flowdeck.embedded.node.pods.means import Means
from flowdeck.embedded.node.pods.spec import hostname_of
from flowdeck.embedded.node.sandbox.plan import Mount
from flowdeck.kube.objects import Tree, get_in

RSH = "flowdeck-rsh"
HOST_FILE = "OMPI_MCA_orte_default_hostfile"
_NAMES_OF_5 = {"OMPI_MCA_orte_": "PRTE_MCA_prte_", "OMPI_MCA_plm_rsh_": "PRTE_MCA_plm_ssh_"}
_ON_ONE_MACHINE = {
    "OMPI_MCA_btl_tcp_if_include": "127.0.0.0/8",
    "OMPI_MCA_coll": "^han",
}
"""Where pods share the machine: messages over its loopback device, no collectives that tell nodes by their names."""


def key_mount(container: Tree) -> str:
    """Where keys for ssh are mounted; empty: nowhere."""
    paths = (mount["mountPath"].rstrip("/") for mount in container.get("volumeMounts") or ())
    return next((path for path in paths if path.endswith("/.ssh")), "")


def is_server(argv: Sequence[str]) -> bool:
    return os.path.basename(argv[0]) == "sshd"


def is_member(container: Tree, argv: Sequence[str], env: Mapping[str, str]) -> bool:
    """True for the containers of an MPI job that need `flowdeck-rsh`."""
    return bool(key_mount(container)) and (is_server(argv) or HOST_FILE in env)


def equip(
    pod: Tree,
    container: Tree,
    argv: list[str],
    env: dict[str, str],
    *,
    python: Path,
    home: Path,
    mounts: list[Mount],
    means: Means,
) -> list[str]:
    """Puts the program into the container's environment, and adds to its variables and mounts; gives its command."""
    add_program(python, RSH, Path(remote_shell.__file__).read_text())
    keys = key_mount(container)
    folder = os.path.dirname(keys)
    if not os.path.exists(folder):
        home.mkdir(parents=True, exist_ok=True)
        mounts.append(Mount(source=home, target=folder))
        env.setdefault("HOME", folder)
    own = f"{hostname_of(pod)}.{get_in(pod, 'spec', 'subdomain', default='')}".rstrip(".")
    env |= {
        "FLOWDECK_RSH_KEY": f"{keys}/id_rsa",
        "FLOWDECK_RSH_SELF": own,
        "FLOWDECK_RSH_LISTEN": _place(pod, own, means),
    }
    if is_server(argv):
        return [str(python / "bin" / RSH), "--serve"]
    is_alone = means.driver.has_own_root
    env |= _launcher(env, {} if is_alone else _ON_ONE_MACHINE)
    if not is_alone:
        places = {host: _place(pod, host, means) for host in _hosts(env[HOST_FILE], mounts)}
        env["FLOWDECK_RSH_HOSTS"] = json.dumps(places)
    return argv


def _launcher(env: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    wanted = {"OMPI_MCA_plm_rsh_agent": RSH, **defaults, **env}
    for name, value in list(wanted.items()):
        for old, new in _NAMES_OF_5.items():
            if name.startswith(old):
                wanted.setdefault(new + name.removeprefix(old), value)
    return wanted


def _place(pod: Tree, host: str, means: Means) -> str:
    told, _ = means.network.rewrite(pod, {"PLACE": f"{host}:{remote_shell.PORT}"}, [])
    return told["PLACE"]


def _hosts(path: str, mounts: Sequence[Mount]) -> list[str]:
    """The names in a host file of the container."""
    for mount in mounts:
        if path.startswith(mount.target.rstrip("/") + "/"):
            lines = (mount.source / mount.sub_path / path.removeprefix(mount.target).lstrip("/")).read_text()
            return [line.split()[0] for line in lines.splitlines() if line.split()]
    return []
