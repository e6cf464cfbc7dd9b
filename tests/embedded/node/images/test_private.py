"""A container's own environment: what it installs is its own, what is shared stays as it was."""

import asyncio
from pathlib import Path

import pytest

from flowdeck.embedded.node.images.private import make_private
from tests.embedded.node.images.test_library import images_in


async def run(*command: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode().strip()


@pytest.mark.parametrize("depth", [1, 12], ids=["short-path", "path-too-long-for-a-shebang"])
async def test_an_own_environment_has_what_is_shared_and_keeps_what_it_installs(tmp_path: Path, depth: int) -> None:
    shared = (await images_in(tmp_path).pull("python:3")).environment
    assert shared is not None
    own = make_private(shared, tmp_path.joinpath(*["a-rather-long-name"] * depth, "own"))
    before = sorted(path for path in shared.rglob("*") if "__pycache__" not in path.parts)
    assert await run(own / "bin/python", "-c", "import sys, pip; print(sys.prefix)") == str(own)
    assert str(shared) in await run(own / "bin/pip", "--version")
    package = tmp_path / "package"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "1"\n'
        '[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["."]\n'
    )
    (package / "b.py").write_text(_BACKEND)
    await run(own / "bin/pip", "install", "--quiet", "--no-index", package)
    found = await run(own / "bin/python", "-c", "import mine; print(mine.__file__)")
    assert Path(found).is_relative_to(own)
    assert sorted(path for path in shared.rglob("*") if "__pycache__" not in path.parts) == before


async def test_an_environment_in_the_container_may_see_its_packages(tmp_path: Path) -> None:
    shared = (await images_in(tmp_path).pull("python:3")).environment
    assert shared is not None
    own = make_private(shared, tmp_path / "own")
    (packages,) = own.glob("lib/python3.*/site-packages")
    (packages / "mine.py").touch()
    for name, options, sees in (("open", ["--system-site-packages"], True), ("closed", [], False)):
        await run(own / "bin/python", "-m", "venv", "--without-pip", *options, tmp_path / name)
        there = "import importlib.util as u; print([bool(u.find_spec(name)) for name in ('mine', 'pip')])"
        assert await run(tmp_path / name / "bin/python", "-c", there) == str([sees, sees])


_BACKEND = """
import zipfile
def build_wheel(folder, *_, **__):
    with zipfile.ZipFile(f"{folder}/mine-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("mine.py", "")
        wheel.writestr("mine-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: mine\\nVersion: 1\\n")
        wheel.writestr("mine-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        files = ["mine.py", *(f"mine-1.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD"))]
        wheel.writestr("mine-1.dist-info/RECORD", "".join(f"{file},,\\n" for file in files))
    return "mine-1-py3-none-any.whl"
"""


def test_what_is_no_virtual_environment_is_used_as_it_is(tmp_path: Path) -> None:
    assert make_private(tmp_path, tmp_path / "own") == tmp_path


def test_a_folder_among_the_programs_is_left_where_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "bin/__pycache__").mkdir(parents=True)
    (shared / "bin/tool").write_bytes(b"binary")
    (shared / "lib/python3.11/site-packages").mkdir(parents=True)
    (shared / "pyvenv.cfg").touch()
    own = make_private(shared, tmp_path / "own")
    assert [path.name for path in (own / "bin").iterdir()] == ["tool"]
