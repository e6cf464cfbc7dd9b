"""Where PyTorch comes from: the CPU builds, unless something else is said."""

from pathlib import Path

import pytest

from flowdeck.embedded.node.images.installers import installer_env
from flowdeck.embedded.node.images.settings import ImageSettings, shared_folder

without_gpu = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")


def backend(folder: Path, *, find_links: list[str] | None = None, offline: bool = False, **env: str) -> str | None:
    machine = {"HOME": str(folder), **env}
    settings = ImageSettings(
        folder=folder,
        archives=folder,
        table=folder / "t",
        machine_env=machine,
        find_links=find_links or [],
        offline=offline,
    )
    return installer_env(settings).get("UV_TORCH_BACKEND")


@without_gpu
def test_torch_is_the_cpu_build_where_nothing_is_said(tmp_path: Path) -> None:
    assert backend(tmp_path) == "cpu"
    assert backend(tmp_path, find_links=[str(tmp_path), "https://wheels.example/simple"]) == "cpu"


@pytest.mark.parametrize(
    "said", [{"UV_DEFAULT_INDEX": "https://i"}, {"PIP_INDEX_URL": "https://i"}, {"PIP_EXTRA_INDEX_URL": "https://i"}]
)
def test_an_index_of_ones_own_is_obeyed(tmp_path: Path, said: dict[str, str]) -> None:
    assert backend(tmp_path, **said) is None


def test_a_backend_of_ones_own_is_obeyed(tmp_path: Path) -> None:
    assert backend(tmp_path, UV_TORCH_BACKEND="auto") == "auto"


def test_a_wheel_of_ones_own_is_taken(tmp_path: Path) -> None:
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    assert backend(tmp_path, find_links=[str(tmp_path)]) is None
    assert backend(tmp_path, offline=True) is None


@pytest.mark.parametrize(
    ("env", "is_root", "folder"),
    [
        ({"HOME": "/home/me"}, False, "/home/me/.cache/flowdeck"),
        ({"HOME": "/root"}, True, "/var/cache/flowdeck"),
        ({"HOME": "/root", "XDG_CACHE_HOME": "/c"}, True, "/c/flowdeck"),
    ],
)
def test_environments_are_kept_where_the_user_keeps_caches(env: dict[str, str], is_root: bool, folder: str) -> None:
    assert str(shared_folder(env, is_root=is_root)) == folder
