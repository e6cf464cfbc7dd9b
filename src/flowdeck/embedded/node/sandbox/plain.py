"""Plans for the `plain` driver: private folders, and paths rewritten in what the container is told.

A mount path of the container cannot exist on the machine without everybody seeing it. So where an argument, a
variable or the working directory names one, the place of its content on this machine is put in.

Where the platform is not root, everything runs as its user: it is the only one that there is.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence

from flowdeck.embedded.node.sandbox.client import StartError
from flowdeck.embedded.node.sandbox.plan import ContainerSpec, Mount, common_plan
from flowdeck.kube.objects import Tree


def to_plan(spec: ContainerSpec) -> Tree:
    """plan.json."""
    home, work = spec.pod_folder / "home", spec.folder / "work"
    tmp = spec.folder / "tmp"
    for folder in (home, work, tmp):
        folder.mkdir(parents=True, exist_ok=True)
    user, group = _user(spec)
    if user != os.geteuid():
        for folder in (home, work, tmp):
            os.chown(folder, user, group)
    places = places_of(spec.mounts)
    env = {"PATH": os.defpath, "HOME": str(home), "TMPDIR": str(tmp), **rewrite_values(spec.env, places)}
    if spec.environment:
        env["PATH"] = f"{spec.environment}/bin:{env['PATH']}"
        env.setdefault("VIRTUAL_ENV", str(spec.environment))
    return common_plan(spec) | {
        "driver": "plain",
        "rootless": os.geteuid() != 0,
        "argv": [rewrite(text, places) for text in spec.argv],
        "env": env,
        "cwd": _cwd(spec, places),
        "uid": user,
        "gid": group,
        "groups": sorted({group, *spec.groups}),
    }


def _user(spec: ContainerSpec) -> tuple[int, int]:
    """User and group: those that were asked for, where we are root; a group that nobody named is root's."""
    if os.geteuid() != 0 or not (spec.user or spec.group):
        return os.geteuid(), os.getegid()
    if sys.platform != "linux":
        raise StartError("runAsUser and runAsGroup need Linux, or a platform that is started as that user")
    return spec.user or 0, spec.group or 0


def _cwd(spec: ContainerSpec, places: Mapping[str, str]) -> str:
    if not spec.cwd:
        return str(spec.folder / "work")
    moved = rewrite(spec.cwd, places)
    if moved != spec.cwd or os.path.isdir(moved):
        return moved
    private = spec.folder / "work" / spec.cwd.lstrip("/")
    private.mkdir(parents=True, exist_ok=True)
    return str(private)


def places_of(mounts: Sequence[Mount]) -> dict[str, str]:
    """Path in the container -> path on this machine. Raises `StartError` for a subPath that leads out of its volume."""
    places = {}
    for mount in mounts:
        place = os.path.realpath(mount.source / mount.sub_path) if mount.sub_path else str(mount.source)
        if mount.sub_path:
            if not (place + "/").startswith(os.path.realpath(mount.source) + "/"):
                raise StartError(f"subPath {mount.sub_path!r} leads out of its volume")
            if not os.path.exists(place):
                os.makedirs(place)
        places[mount.target.rstrip("/") or "/"] = place
    return places


def rewrite(text: str, places: Mapping[str, str]) -> str:
    """The text with each mount path, where it stands as a whole path or the start of one, replaced."""
    paths = sorted((path for path in places if path != "/"), key=len, reverse=True)
    if not paths:
        return text
    pattern = r"(?:(?<![\w./-])|(?<=file://))(" + "|".join(map(re.escape, paths)) + r")(?=$|[^\w.-]|\.(?:$|\W))"
    return re.sub(pattern, lambda found: places[found.group(1)], text)


def rewrite_values(env: Mapping[str, str], places: Mapping[str, str]) -> dict[str, str]:
    return {name: rewrite(value, places) for name, value in env.items()}
