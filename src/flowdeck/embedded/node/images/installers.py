"""The machine's installer settings for uv: `UV_*` as they are, `PIP_*` and pip's configuration files translated."""

import configparser
import os
import re
from collections.abc import Mapping
from pathlib import Path

from flowdeck.embedded.node.images.settings import ImageSettings

_UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}
_LISTS = {"UV_INDEX", "UV_FIND_LINKS", "UV_INSECURE_HOST"}
_SAYS_WHERE_FROM = (
    "UV_TORCH_BACKEND",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_INDEX",
    "UV_NO_INDEX",
    "UV_OFFLINE",
)
_NOT_OURS = (
    "FLOWDECK_DATABASE",
    "FLOWDECK_ARTIFACTS",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTHONPATH",
    "PYTHONHOME",
    "UV_PROJECT_ENVIRONMENT",
    "UV_SYSTEM_PYTHON",
    "UV_PYTHON",
)


_CREDENTIALS = re.compile(r"(?<=://)[^/@\s,]+@")


def installer_env(settings: ImageSettings) -> dict[str, str]:
    """The environment variables with which uv is run. Code of the packages that it builds sees them."""
    machine = settings.machine_env
    env = {**_translated(_pip_options(machine)), **machine}
    for name in _NOT_OURS:
        env.pop(name, None)
    env.setdefault("UV_CACHE_DIR", str(settings.folder / "uv"))
    env.setdefault("PATH", os.defpath)
    if settings.index_url:
        env["UV_DEFAULT_INDEX"] = settings.index_url
    if settings.find_links:
        env["UV_FIND_LINKS"] = ",".join([*settings.find_links, *filter(None, [env.get("UV_FIND_LINKS", "")])])
    if settings.offline:
        env["UV_OFFLINE"] = "1"
    if _wants_cpu_torch(env):
        env["UV_TORCH_BACKEND"] = "cpu"
    return env


def sources(settings: ImageSettings) -> dict[str, str]:
    """Where uv is told to take packages from: other sources, other environments. Pods can read it."""
    env = installer_env(settings)
    names = [name for name in (*_SAYS_WHERE_FROM, "UV_FIND_LINKS") if env.get(name) and name != "UV_OFFLINE"]
    return {name: without_credentials(env[name]) for name in names}


def without_credentials(text: str) -> str:
    """The same with `****` in the place of users and passwords in URLs: for what others read."""
    return _CREDENTIALS.sub("****@", text)


def _wants_cpu_torch(env: Mapping[str, str]) -> bool:
    """On Linux the index's torch brings gigabytes of CUDA. Without a GPU, the CPU builds of PyTorch's own index are
    taken, unless something says where torch comes from: an index, or a folder of wheels that has one."""
    if any(env.get(name) for name in _SAYS_WHERE_FROM) or Path("/dev/nvidiactl").exists():
        return False
    return not any(list(Path(place).glob("torch-*.whl")) for place in env.get("UV_FIND_LINKS", "").split(",") if place)


def _pip_options(machine: Mapping[str, str]) -> dict[str, str]:
    home = machine.get("HOME", "/")
    files = [
        "/etc/pip.conf",
        f"{home}/.pip/pip.conf",
        f"{home}/.config/pip/pip.conf",
        machine.get("PIP_CONFIG_FILE", ""),
    ]
    parser = configparser.RawConfigParser()
    parser.read([file for file in files if file], encoding="utf-8")
    options = dict(parser["global"]) if parser.has_section("global") else {}
    for name in _UV_NAMES:
        if value := machine.get("PIP_" + name.upper().replace("-", "_")):
            options[name] = value
    return options


def _translated(options: dict[str, str]) -> dict[str, str]:
    env = {}
    for name, value in options.items():
        if target := _UV_NAMES.get(name.replace("_", "-")):
            env[target] = ",".join(value.split()) if target in _LISTS else value.strip()
    if env.get("UV_INDEX"):
        env["UV_INDEX"] = env["UV_INDEX"].replace(",", " ")
    return env
