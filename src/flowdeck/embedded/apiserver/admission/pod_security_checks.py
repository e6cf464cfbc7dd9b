"""The single checks of the Pod Security Standards, each as upstream words what is broken.

Source: k8s.io/pod-security-admission (policy/check_*.go).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from flowdeck.kube.objects import Tree, annotations_of, get_in

Check = Callable[[Tree], str]
"""What of a pod breaks the check: `privileged (container "a" must not set securityContext.privileged=true)`."""

_BASELINE_CAPABILITIES = frozenset(
    (
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    )
)  # fmt: skip
_SAFE_SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    )
)  # fmt: skip
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_VOLUME_TYPES = ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim",
                 "projected", "secret")  # fmt: skip
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


def violations(pod: Tree, level: str) -> list[str]:
    """All that a pod breaks of `baseline` or `restricted`, in upstream's order."""
    checks: Iterable[Check] = _BASELINE if level == "baseline" else _RESTRICTED
    return [told for told in (check(pod) for check in checks) if told]


def _containers(pod: Tree) -> Iterator[Tree]:
    for name in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod["spec"].get(name) or ()


def _context(holder: Tree) -> Mapping[str, Any]:
    return holder.get("securityContext") or {}


def _names_where(pod: Tree, is_bad: Callable[[Tree], bool]) -> list[str]:
    return [container["name"] for container in _containers(pod) if is_bad(container)]


def _plural(word: str, names: Sequence[str]) -> str:
    """`container "a"`, `containers "a", "b"`."""
    return f"{word}{'s' if len(names) > 1 else ''} {_quoted(names)}"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _host_namespaces(pod: Tree) -> str:
    found = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if pod["spec"].get(name)]
    return f"host namespaces ({', '.join(found)})" if found else ""


def _host_ports(pod: Tree) -> str:
    def ports(container: Tree) -> list[int]:
        return [port["hostPort"] for port in container.get("ports") or () if port.get("hostPort")]

    names = _names_where(pod, lambda container: bool(ports(container)))
    numbers = sorted({str(port) for container in _containers(pod) for port in ports(container)})
    if not names:
        return ""
    word = "hostPorts" if len(numbers) > 1 else "hostPort"
    uses = "use" if len(names) > 1 else "uses"
    return f"hostPort ({_plural('container', names)} {uses} {word} {', '.join(numbers)})"


def _host_probes(pod: Tree) -> str:
    def hosts(container: Tree) -> set[str]:
        lifecycle = container.get("lifecycle") or {}
        handlers = [container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
        handlers += [lifecycle.get("postStart"), lifecycle.get("preStop")]
        found = {get_in(handler, way, "host", default="") for handler in handlers for way in ("httpGet", "tcpSocket")}
        return found - {"", "127.0.0.1", "::1"}

    names = _names_where(pod, lambda container: bool(hosts(container)))
    if not names:
        return ""
    told = sorted({host for container in _containers(pod) for host in hosts(container)})
    uses, word = "use" if len(names) > 1 else "uses", "hosts" if len(told) > 1 else "host"
    return f"probe or lifecycle host ({_plural('container', names)} {uses} probe or lifecycle {word} {_quoted(told)})"


def _privileged(pod: Tree) -> str:
    names = _names_where(pod, lambda container: _context(container).get("privileged") is True)
    return f"privileged ({_plural('container', names)} must not set securityContext.privileged=true)" if names else ""


def _capabilities_baseline(pod: Tree) -> str:
    def extra(container: Tree) -> set[str]:
        return set(get_in(_context(container), "capabilities", "add", default=())) - _BASELINE_CAPABILITIES

    names = _names_where(pod, lambda container: bool(extra(container)))
    added = sorted({name for container in _containers(pod) for name in extra(container)})
    if not names:
        return ""
    told = f"must not include {_quoted(added)} in securityContext.capabilities.add"
    return f"non-default capabilities ({_plural('container', names)} {told})"


def _host_path_volumes(pod: Tree) -> str:
    names = [volume["name"] for volume in pod["spec"].get("volumes") or () if volume.get("hostPath") is not None]
    return f"hostPath volumes ({_plural('volume', names)})" if names else ""


def _host_process(pod: Tree) -> str:
    def is_set(holder: Tree) -> bool:
        return bool(get_in(_context(holder), "windowsOptions", "hostProcess"))

    names = _names_where(pod, is_set)
    setters = (["pod"] if is_set(pod["spec"]) else []) + ([_plural("container", names)] if names else [])
    told = "must not set securityContext.windowsOptions.hostProcess=true"
    return f"hostProcess ({' and '.join(setters)} {told})" if setters else ""


def _proc_mount(pod: Tree) -> str:
    def is_bad(container: Tree) -> bool:
        return _context(container).get("procMount") not in (None, "", "Default")

    names = _names_where(pod, is_bad)
    kinds = sorted({_context(container)["procMount"] for container in _containers(pod) if is_bad(container)})
    if not names:
        return ""
    return f"procMount ({_plural('container', names)} must not set securityContext.procMount to {_quoted(kinds)})"


def _seccomp_baseline(pod: Tree) -> str:
    def is_bad(holder: Tree) -> bool:
        return bool(get_in(_context(holder), "seccompProfile", "type") == "Unconfined")

    names = _names_where(pod, is_bad)
    setters = (["pod"] if is_bad(pod["spec"]) else []) + ([_plural("container", names)] if names else [])
    if not setters:
        return ""
    return f'seccompProfile ({" and ".join(setters)} must not set securityContext.seccompProfile.type to "Unconfined")'


def _selinux(pod: Tree) -> str:
    holders: list[Tree] = [pod["spec"], *_containers(pod)]
    options = [get_in(_context(holder), "seLinuxOptions", default={}) for holder in holders]
    setters = ["pod"] if _is_bad_selinux(options[0]) else []
    names = [c["name"] for c, o in zip(_containers(pod), options[1:], strict=True) if _is_bad_selinux(o)]
    setters += [_plural("container", names)] if names else []
    if not setters:
        return ""
    types = sorted({item.get("type", "") for item in options} - set(_SELINUX_TYPES))
    bad = [f"type {'s' if len(types) > 1 else ''}{_quoted(types)}"] if types else []
    bad += ["user may not be set"] if any(item.get("user") for item in options) else []
    bad += ["role may not be set"] if any(item.get("role") for item in options) else []
    return f"seLinuxOptions ({' and '.join(setters)} set forbidden securityContext.seLinuxOptions: {'; '.join(bad)})"


def _is_bad_selinux(options: Mapping[str, Any]) -> bool:
    return options.get("type", "") not in _SELINUX_TYPES or bool(options.get("user")) or bool(options.get("role"))


def _sysctls(pod: Tree) -> str:
    asked = [item.get("name", "") for item in _context(pod["spec"]).get("sysctls") or ()]
    bad = [name for name in asked if name not in _SAFE_SYSCTLS]
    return f"forbidden sysctls ({', '.join(bad)})" if bad else ""


def _app_armor(pod: Tree) -> str:
    names = _names_where(pod, lambda container: _app_armor_type(container) == "Unconfined")
    setters = ["pod"] if _app_armor_type(pod["spec"]) == "Unconfined" else []
    setters += [_plural("container", names)] if names else []
    values = {"Unconfined"} if setters else set()
    annotations = {
        key: value
        for key, value in sorted(annotations_of(pod).items())
        if key.startswith(_APPARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    }
    if annotations:
        setters.append(_plural("annotation", list(annotations)))
        values |= set(annotations.values())
    if not setters:
        return ""
    reason = f"forbidden AppArmor profile{'s' if len(values) > 1 else ''}"
    return f"{reason} ({' and '.join(setters)} must not set AppArmor profile type to {_quoted(sorted(values))})"


def _app_armor_type(holder: Tree) -> str:
    return str(get_in(_context(holder), "appArmorProfile", "type", default=""))


def _privilege_escalation(pod: Tree) -> str:
    names = _names_where(pod, lambda container: _context(container).get("allowPrivilegeEscalation") is not False)
    if not names or _is_windows(pod):
        return ""
    told = "must set securityContext.allowPrivilegeEscalation=false"
    return f"allowPrivilegeEscalation != false ({_plural('container', names)} {told})"


def _capabilities_restricted(pod: Tree) -> str:
    if _is_windows(pod):
        return ""

    def added(container: Tree) -> set[str]:
        return set(get_in(_context(container), "capabilities", "add", default=())) - {"NET_BIND_SERVICE"}

    keeping = _names_where(pod, lambda c: "ALL" not in get_in(_context(c), "capabilities", "drop", default=()))
    adding = _names_where(pod, lambda c: bool(added(c)))
    told = []
    if keeping:
        told.append(f'{_plural("container", keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        names = sorted({name for container in _containers(pod) for name in added(container)})
        told.append(
            f"{_plural('container', adding)} must not include {_quoted(names)} in securityContext.capabilities.add"
        )
    return f"unrestricted capabilities ({'; '.join(told)})" if told else ""


def _volume_types(pod: Tree) -> str:
    found = [(volume["name"], _volume_type(volume)) for volume in pod["spec"].get("volumes") or ()]
    bad = [name for name, kind in found if kind not in _VOLUME_TYPES]
    if not bad:
        return ""
    kinds = sorted({kind for _, kind in found} - set(_VOLUME_TYPES))
    uses, word = "use" if len(bad) > 1 else "uses", "types" if len(kinds) > 1 else "type"
    return f"restricted volume types ({_plural('volume', bad)} {uses} restricted volume {word} {_quoted(kinds)})"


def _volume_type(volume: Tree) -> str:
    return next((key for key, value in volume.items() if key != "name" and value is not None), "emptyDir")


def _run_as_non_root(pod: Tree) -> str:
    pod_says = _context(pod["spec"]).get("runAsNonRoot")
    bad = _names_where(pod, lambda c: _context(c).get("runAsNonRoot") is False)
    silent = _names_where(pod, lambda c: _context(c).get("runAsNonRoot") is None)
    setters = ["pod"] if pod_says is False else []
    setters += [_plural("container", bad)] if bad else []
    if setters:
        return f"runAsNonRoot != true ({' and '.join(setters)} must not set securityContext.runAsNonRoot=false)"
    if pod_says is True or not silent:
        return ""
    return f"runAsNonRoot != true (pod or {_plural('container', silent)} must set securityContext.runAsNonRoot=true)"


def _run_as_user(pod: Tree) -> str:
    names = _names_where(pod, lambda container: _context(container).get("runAsUser") == 0)
    setters = ["pod"] if _context(pod["spec"]).get("runAsUser") == 0 else []
    setters += [_plural("container", names)] if names else []
    return f"runAsUser=0 ({' and '.join(setters)} must not set runAsUser=0)" if setters else ""


def _seccomp_restricted(pod: Tree) -> str:
    if _is_windows(pod):
        return ""
    good = ("RuntimeDefault", "Localhost")

    def kind(holder: Tree) -> str | None:
        found: str | None = get_in(_context(holder), "seccompProfile", "type")
        return found

    pod_kind = kind(pod["spec"])
    bad = _names_where(pod, lambda c: kind(c) is not None and kind(c) not in good)
    silent = _names_where(pod, lambda c: kind(c) is None)
    setters = ["pod"] if pod_kind is not None and pod_kind not in good else []
    setters += [_plural("container", bad)] if bad else []
    if setters:
        types = sorted({kind(h) or "" for h in [pod["spec"], *_containers(pod)] if kind(h) not in (None, *good)})
        told = f"must not set securityContext.seccompProfile.type to {_quoted(types)}"
        return f"seccompProfile ({' and '.join(setters)} {told})"
    if pod_kind in good or not silent:
        return ""
    told = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return f"seccompProfile (pod or {_plural('container', silent)} {told})"


def _is_windows(pod: Tree) -> bool:
    return bool(get_in(pod, "spec", "os", "name") == "windows")


_BASELINE: Sequence[Check] = (
    _app_armor,
    _capabilities_baseline,
    _host_namespaces,
    _host_path_volumes,
    _host_ports,
    _host_probes,
    _privileged,
    _proc_mount,
    _selinux,
    _seccomp_baseline,
    _sysctls,
    _host_process,
)
_REPLACED = (_capabilities_baseline, _host_path_volumes, _seccomp_baseline)
"""The restricted level has stricter checks of its own for these."""
_RESTRICTED: Sequence[Check] = (
    *(check for check in _BASELINE if check not in _REPLACED),
    _privilege_escalation,
    _capabilities_restricted,
    _volume_types,
    _run_as_non_root,
    _run_as_user,
    _seccomp_restricted,
)
