"""The image that `tools/build_image.py` makes: the same input gives the same digest, and it says what it holds."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
INPUT = ("src", "examples", "tools", "pyproject.toml", "uv.lock", "README.md", "LICENSE")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of what the image is made of: nobody works on it meanwhile, and it lies elsewhere."""
    for name in INPUT:
        target = tmp_path / "source" / name
        target.parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__", ".*cache"))
        else:
            shutil.copy(ROOT / name, target)
    return tmp_path / "source"


def build(source: Path, archive: Path) -> str:
    """Builds the operator's image; gives reference and digest as they are told."""
    command = [sys.executable, source / "tools" / "build_image.py", "flowdeck", "--output", archive]
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # uv is there
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(" ")[0]


def blob(archive: tarfile.TarFile, descriptor: dict[str, Any]) -> bytes:
    """A blob, whose name must be its digest."""
    file = archive.extractfile(f"blobs/{descriptor['digest'].replace(':', '/')}")
    assert file is not None
    data = file.read()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == descriptor["digest"]
    assert len(data) == descriptor["size"]
    return data


@pytest.mark.timeout(600)
def test_the_same_input_gives_the_same_image(tmp_path: Path, source: Path) -> None:
    first, second = (build(source, tmp_path / f"{name}.tar") for name in ("first", "second"))
    assert first == second
    with tarfile.open(tmp_path / "first.tar") as archive:
        index_file = archive.extractfile("index.json")
        assert index_file is not None
        (described,) = json.load(index_file)["manifests"]
        assert described["annotations"]["io.containerd.image.name"] + "@" + described["digest"] == first
        manifest = json.loads(blob(archive, described))
        config = json.loads(blob(archive, manifest["config"]))
        for layer in manifest["layers"]:
            blob(archive, layer)
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Entrypoint"] == ["python3", "-m", "flowdeck.cli.main"]
    assert len(config["rootfs"]["diff_ids"]) == len(manifest["layers"]) == 2
