"""Adding to the lists of a pod spec the way apply would: what has the same key is replaced in place, else appended."""

from collections.abc import Iterable

from flowdeck.kube.objects import Tree, by_name


def upsert_env(container: Tree, env: Iterable[Tree]) -> None:
    """By name; the new value wins."""
    _upsert(container, "env", env, "name")


def upsert_volumes(pod_spec: Tree, volumes: Iterable[Tree]) -> None:
    """By name."""
    _upsert(pod_spec, "volumes", volumes, "name")


def upsert_mounts(container: Tree, mounts: Iterable[Tree]) -> None:
    """By mountPath."""
    _upsert(container, "volumeMounts", mounts, "mountPath")


def upsert_init_containers(pod_spec: Tree, containers: Iterable[Tree]) -> None:
    """By name."""
    _upsert(pod_spec, "initContainers", containers, "name")


def open_port(container: Tree, port: int) -> None:
    """Declares a container port once."""
    ports = container.setdefault("ports", [])
    if not any(old.get("containerPort") == port for old in ports):
        ports.append({"containerPort": port})


def env_values(container: Tree) -> dict[str, str]:
    """The literal values of its environment."""
    return {name: item.get("value") or "" for name, item in by_name(container.get("env")).items()}


def _upsert(owner: Tree, field: str, items: Iterable[Tree], key: str) -> None:
    held = owner.get(field) or []
    places = {item.get(key): place for place, item in enumerate(held)}
    for item in items:
        place = places.get(item[key])
        if place is None:
            places[item[key]] = len(held)
            held.append(item)
        else:
            held[place] = item
    if held:
        owner[field] = held
