"""Environments are shared by platforms, and deleted only when nobody uses them."""

import asyncio
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowdeck.clock import FakeClock, SystemClock
from flowdeck.embedded.node.contract import ImageError
from flowdeck.embedded.node.images.environments import MARK, YOUNG_S, Environments
from flowdeck.embedded.node.images.recipes import Recipe
from flowdeck.embedded.node.images.settings import ImageSettings
from tests.embedded.node.images.indexes import package_index

PYTHON = Recipe(f"{sys.version_info.major}.{sys.version_info.minor}")
TORCH = Recipe(PYTHON.python, ("torch",))
_BUILD = """
import asyncio, sys
from pathlib import Path
from tests.embedded.node.images import test_environments as tests
built = asyncio.run(tests.environments(Path(sys.argv[1])).build(tests.PYTHON, print))
print("built", built.path, (built.path / "flowdeck.json").stat().st_ino)
"""


def environments(folder: Path, clock: SystemClock | FakeClock | None = None, **settings: object) -> Environments:
    given: dict = {"folder": folder, "archives": folder, "table": folder / "images.toml", "offline": True}
    given |= {"machine_env": {"UV_CACHE_DIR": os.environ["UV_CACHE_DIR"]}, **settings}
    return Environments(ImageSettings(**given), clock or SystemClock())


def silent(message: str, *, is_notice: bool = False) -> None:
    pass


def test_two_processes_that_want_the_same_one_build_it_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _BUILD, str(tmp_path)]
    builders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [builder.communicate()[0].splitlines()[-1] for builder in builders]
    assert told[0] == told[1]
    assert told[0].startswith("built ")


async def test_containers_of_other_users_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        built = await environments(tmp_path / "cache").build(PYTHON, silent)
    finally:
        os.umask(before)
    for path in (tmp_path / "cache", built.path.parent, built.path, *built.path.rglob("site-packages/*")):
        assert path.stat().st_mode & 0o055 in (0o055, 0o044), path


async def test_one_that_nobody_uses_is_removed_and_one_that_is_in_use_stays(tmp_path: Path) -> None:
    built = await environments(tmp_path).build(PYTHON, silent)
    assert await environments(tmp_path).remove_unused() == []  # somebody has just asked for it
    later = FakeClock(SystemClock().now())
    later.advance(YOUNG_S + 1)
    aged = environments(tmp_path, later)
    with (built.path / MARK).open() as used:
        fcntl.flock(used, fcntl.LOCK_SH)
        assert await aged.remove_unused() == []
    assert [each.path for each in await aged.remove_unused()] == [built.path]
    assert not list((tmp_path / "environments").iterdir())
    assert aged.find(PYTHON) is None


async def test_packages_from_elsewhere_are_another_environment(tmp_path: Path) -> None:
    with package_index(tmp_path, {"torch": "2.13.0"}) as url:
        here = environments(tmp_path, offline=False, index_url=url)
        built = await here.build(TORCH, silent)
    assert here.find(TORCH) == built
    assert here.find(Recipe(PYTHON.python, ("torch==2.13.0",))) == built
    elsewhere = environments(tmp_path, offline=False, index_url="https://elsewhere.example/simple")
    assert elsewhere.find(TORCH) is None
    assert environments(tmp_path, offline=True).find(TORCH) == built  # there is no choice


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")
async def test_torch_comes_from_the_package_index_where_pytorchs_own_cannot_be_reached(tmp_path: Path) -> None:
    told: list[str] = []
    with package_index(tmp_path, {"torch": "2.13.0"}) as url:
        here = environments(tmp_path, offline=False, machine_env=_without_pytorch_org(tmp_path, url))
        async with asyncio.timeout(60):
            built = await here.build(TORCH, lambda message, is_notice=False: told.append(message))
    assert built.installed["torch"] == "2.13.0"
    assert any("cannot be reached" in message and "4 GB" in message for message in told)


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")
async def test_where_no_index_can_be_reached_the_build_fails_soon_and_says_three_ways(tmp_path: Path) -> None:
    here = environments(
        tmp_path, offline=False, machine_env=_without_pytorch_org(tmp_path, "http://127.0.0.1:9/simple")
    )
    async with asyncio.timeout(30):
        with pytest.raises(ImageError) as caught:
            await here.build(TORCH, silent)
    for way in ("--find-links", "UV_DEFAULT_INDEX", "flowdeck image add"):
        assert way in str(caught.value)


async def test_a_python_that_cannot_be_had_is_told_with_three_ways(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        await environments(tmp_path).build(Recipe("3.99"), silent)
    for way in ("install Python 3.99", "UV_PYTHON_INSTALL_MIRROR", f"--python {PYTHON.python}"):
        assert way in str(caught.value)


async def test_passwords_of_an_index_are_told_to_nobody(tmp_path: Path) -> None:
    with package_index(tmp_path / "index", {}) as url:
        secret = url.replace("http://", "http://me:s3cret@")
        here = environments(tmp_path, offline=False, machine_env={"HOME": str(tmp_path), "UV_DEFAULT_INDEX": secret})
        with pytest.raises(ImageError) as caught:
            await here.build(Recipe(PYTHON.python, ("none-such",)), silent)
        built = await here.build(PYTHON, silent)
    assert secret.replace("me:s3cret", "****") in str(caught.value)
    for told in (str(caught.value), (built.path / MARK).read_text()):
        assert "s3cret" not in told


def _without_pytorch_org(folder: Path, index: str) -> dict[str, str]:
    """A machine whose only way out is a proxy that is not there, and that has a package index of its own."""
    config = folder / "uv.toml"
    config.write_text(f'[[index]]\nurl = "{index}"\ndefault = true\n')
    return {
        "HOME": str(folder), "UV_CONFIG_FILE": str(config), "UV_HTTP_RETRIES": "0",
        "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
