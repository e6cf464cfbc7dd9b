"""From a container of a pod to the `ContainerSpec` that a driver runs."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowdeck.embedded.node.contract import Image, ImageError
from flowdeck.embedded.node.control_groups import Limits
from flowdeck.embedded.node.environment import ConfigError, Facts, environment, expand
from flowdeck.embedded.node.images.private import make_private
from flowdeck.embedded.node.images.users import user_of
from flowdeck.embedded.node.machine import GPU, gpu_devices
from flowdeck.embedded.node.pods import mpi
from flowdeck.embedded.node.pods.attempts import attempt_folder, attempts_of
from flowdeck.embedded.node.pods.means import Means
from flowdeck.embedded.node.pods.spec import hostname_of, is_ephemeral, limit_of, request_of
from flowdeck.embedded.node.sandbox.plan import GRANTABLE, ContainerSpec, Mount
from flowdeck.embedded.node.volumes.payload import VolumeError
from flowdeck.embedded.node.volumes.volumes import Volume, volumes_by_mount
from flowdeck.kube.objects import Tree, get_in

TERMINATION_LOG = "/dev/termination-log"


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a pod has once it is set up."""

    folder: Path
    volumes: Mapping[str, Volume]
    files: Sequence[Mount]
    """`/etc/hosts` and its like."""


def build(
    pod: Tree,
    container: Tree,
    attempt: int,
    back_off_s: float,
    *,
    image: Image,
    facts: Facts,
    place: Place,
    means: Means,
) -> ContainerSpec:
    """Raises `ConfigError` when the container cannot be made as it is specified."""
    user, group = _user(pod, container, image)
    env, argv = _command(pod, container, image, facts, means)
    folder = attempt_folder(place.folder, container["name"], attempt)
    folder.mkdir(parents=True, exist_ok=True)
    python = image.environment and make_private(image.environment, folder / "python", user=user, group=group)
    mounts = _mounts(container, env, place, folder, means)
    if python and python != image.environment and mpi.is_member(container, argv, env):
        argv = mpi.equip(
            pod, container, argv, env,
            python=python, home=place.folder / "home", mounts=mounts, means=means,
        )  # fmt: skip
    gpus = _gpus(container, pod, means)
    if means.gpus.has_any:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, gpus))
    spec = ContainerSpec(
        id=secrets.token_hex(32),
        folder=folder,
        pod_folder=place.folder,
        argv=argv,
        env=env,
        cwd=container.get("workingDir") or image.working_dir,
        user=user,
        group=group,
        groups=_groups(pod),
        mounts=mounts,
        tty=bool(container.get("tty")),
        stdin=bool(container.get("stdin")),
        log=_log(pod, container, attempt, means),
        log_max_bytes=means.settings.log_max_bytes,
        log_max_files=means.settings.log_max_files,
        devices=gpu_devices(gpus) if gpus else (),
        about=_about(container, image, back_off_s, gpus),
    )
    spec = _based(spec, image, python)
    spec = _secured(spec, pod, container)
    return _limited(spec, pod, container, attempt, means)


def _about(container: Tree, image: Image, back_off_s: float, gpus: Sequence[int]) -> Tree:
    """What `attempts` reads when this node comes back."""
    return {
        "image": container.get("image", ""),
        "image_id": image.digest,
        "back_off_s": back_off_s,
        "termination_policy": container.get("terminationMessagePolicy") or "File",
        "gpus": gpus,
    }


def _based(spec: ContainerSpec, image: Image, python: Path | None) -> ContainerSpec:
    """On its image; `python` is the environment in it, the container's own or the shared one."""
    return replace(
        spec,
        image_root=image.root,
        environment=python,
        shared_environment=image.environment if python != image.environment else None,
        holds=[image.mark] if image.mark else (),
        preload=image.preload,
        keep_warm=image.keep_warm,
    )


def _secured(spec: ContainerSpec, pod: Tree, container: Tree) -> ContainerSpec:
    """With the rights that it asks for, among the processes that it is to see."""
    security = container.get("securityContext") or {}
    return replace(
        spec,
        read_only_root=bool(security.get("readOnlyRootFilesystem")),
        add_capabilities=_added_capabilities(security, _DEBUGGERS_WISH if is_ephemeral(pod, container) else ()),
        drop_capabilities=get_in(security, "capabilities", "drop", default=()),
        share_processes=bool(pod["spec"].get("shareProcessNamespace")),
        target=_target(container, spec.pod_folder),
    )


def _limited(spec: ContainerSpec, pod: Tree, container: Tree, attempt: int, means: Means) -> ContainerSpec:
    """Held to its limits, by control groups where the machine lets us make some."""
    limits = _limits(container)
    control = means.control_groups.make(pod["metadata"]["uid"], container["name"], attempt, limits)
    return replace(
        spec,
        control_groups=control.folders,
        oom_counters=control.oom_counters,
        memory_limit=0 if control.limits_memory else limits.memory_bytes,
    )


def _command(pod: Tree, container: Tree, image: Image, facts: Facts, means: Means) -> tuple[dict[str, str], list[str]]:
    """Variables and arguments, as the network lets the container have them."""
    env = environment(container, facts)
    argv = _argv(container, image, env)
    return means.network.rewrite(pod, {**image.env, "HOSTNAME": hostname_of(pod), **env}, argv)


def _limits(container: Tree) -> Limits:
    memory = limit_of(container, "memory")
    return Limits(
        memory_bytes=memory.whole if memory else 0,
        cpu_milli=_milli(limit_of(container, "cpu")),
        cpu_request_milli=_milli(request_of(container, "cpu")),
    )


def _milli(amount: object) -> int:
    return int(getattr(amount, "milli", 0))


def _target(container: Tree, pod_folder: Path) -> Path | None:
    """The attempt of the container whose processes an ephemeral container is to see."""
    name = container.get("targetContainerName")
    if not name:
        return None
    numbers = attempts_of(pod_folder, name)
    if not numbers:
        raise ConfigError(f'unable to find target container "{name}": it has not started', "CreateContainerError")
    return attempt_folder(pod_folder, name, numbers[-1])


def _log(pod: Tree, container: Tree, attempt: int, means: Means) -> Path:
    meta = pod["metadata"]
    name: str = container["name"]
    return means.log_folder(meta["namespace"], meta["name"], meta["uid"]) / name / f"{attempt}.log"


def _argv(container: Tree, image: Image, env: Mapping[str, str]) -> list[str]:
    """Source: kubernetes.io (define-command-argument-container): `command` also replaces the image's arguments."""
    command, args = container.get("command"), container.get("args")
    first = command or list(image.entrypoint)
    rest = args if args else ([] if command else list(image.command))
    argv = [expand(word, env) for word in (*first, *rest)]
    if not argv:
        raise ConfigError(
            f"no command specified: the image {image.reference} has none, and neither has the container",
            reason="CreateContainerError",
        )
    return argv


def _user(pod: Tree, container: Tree, image: Image) -> tuple[int | None, int | None]:
    of_pod = pod["spec"].get("securityContext") or {}
    own = container.get("securityContext") or {}

    def wanted(name: str) -> Any:
        return own[name] if own.get(name) is not None else of_pod.get(name)

    user, group = wanted("runAsUser"), wanted("runAsGroup")
    if user is None:
        try:
            user, group_of_image = user_of(image)
        except ImageError as error:
            raise ConfigError(str(error)) from error
        group = group_of_image if group is None else group
    if wanted("runAsNonRoot") and not user:
        why = "container's runAsUser breaks non-root policy" if user == 0 else (
            "container has runAsNonRoot and image will run as root"
        )  # fmt: skip
        meta = pod["metadata"]
        raise ConfigError(
            f'{why} (pod: "{meta["name"]}_{meta["namespace"]}({meta["uid"]})", container: {container["name"]})'
        )
    if own.get("privileged"):
        raise ConfigError("privileged containers are not supported by this node", reason="CreateContainerError")
    return (None if user is None else int(str(user))), (None if group is None else int(str(group)))


def _groups(pod: Tree) -> list[int]:
    security = pod["spec"].get("securityContext") or {}
    groups = list(security.get("supplementalGroups") or ())
    if security.get("fsGroup") is not None:
        groups.append(security["fsGroup"])
    return groups


_DEBUGGERS_WISH = ("SYS_PTRACE",)
"""What `kubectl debug --profile=general` adds. It is not given, nor needed to trace processes of the same user."""


def _added_capabilities(security: Tree, left_out: Sequence[str]) -> Sequence[str]:
    added: Sequence[str] = get_in(security, "capabilities", "add", default=())
    refused = [name for name in added if name.upper().removeprefix("CAP_") not in {*GRANTABLE, "ALL", *left_out}]
    if refused:
        raise ConfigError(
            f"capabilities {', '.join(refused)} are not given to pods by this node", reason="CreateContainerError"
        )
    return added


def _gpus(container: Tree, pod: Tree, means: Means) -> list[int]:
    wanted = limit_of(container, GPU)
    if wanted is None or not wanted.whole:
        return []
    taken = means.gpus.take(f"{pod['metadata']['uid']}/{container['name']}", wanted.whole)
    if taken is None:
        raise ConfigError(f"not enough free GPUs for {wanted.whole} of {GPU}")
    return taken


def _mounts(container: Tree, env: Mapping[str, str], place: Place, folder: Path, means: Means) -> list[Mount]:
    mounts = list(place.files) if means.driver.has_own_root else []
    message = folder / "termination-log"
    message.touch(mode=0o666)
    message.chmod(0o666)
    mounts.append(Mount(source=message, target=container.get("terminationMessagePath") or TERMINATION_LOG))
    try:
        found = volumes_by_mount(container, place.volumes)
    except VolumeError as error:
        raise ConfigError(str(error)) from error
    for mount, volume in found:
        sub_path = mount.get("subPath") or expand(mount.get("subPathExpr") or "", env)
        if ".." in sub_path.split("/") or sub_path.startswith("/"):
            raise ConfigError(f"subPath {sub_path!r} must not contain '..' or be absolute")
        mounts.append(
            Mount(
                source=volume.path,
                target=mount["mountPath"],
                read_only=bool(mount.get("readOnly")) or volume.read_only,
                sub_path=sub_path,
                recursive=volume.is_bind,
            )
        )
    return mounts
