"""Images for real containers, made without a container engine by `tools/build_image.py`, once a machine."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

from flowdeck.kube.objects import Tree
from flowdeck.locks import try_lock
from tests.kubernetes.rig.binaries import LOOK_S, Say

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "tools" / "build_image.py"
PAUSE = "flowdeck.test/pause:1"
"""What keeps a pod's namespaces: the image with a command that sleeps."""


def archive(name: str, say: Say) -> Path:
    """The OCI archive of an image by its name in the tool; builds it where it is missing."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "flowdeck" / "kubernetes" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    made_of = [TOOL, *sorted((ROOT / "tools" / "images").glob(f"{name}*"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_of)).hexdigest()
    found = folder / f"{name}-{digest[:16]}.tar"
    while not found.exists():
        lock = try_lock(folder / f"{name}.lock")
        if lock is None:
            time.sleep(LOOK_S)
            continue
        with lock:
            if not found.exists():
                _build(name, found, say)
    return found


def _build(name: str, where: Path, say: Say) -> None:
    say(f"building the image {name}: once a machine, a minute or two")
    draft = where.with_suffix(".new")
    done = subprocess.run([sys.executable, TOOL, name, "--output", draft], capture_output=True, text=True)
    assert done.returncode == 0, f"{TOOL.name} {name} failed:\n{done.stdout}{done.stderr}"
    draft.rename(where)


def pause(base: Path, where: Path) -> None:
    """An image of the same layers whose command sleeps for ever."""
    with tarfile.open(base) as old, tarfile.open(where, "w") as new:
        index = _read(old, "index.json")
        manifest = _read(old, _blob(index["manifests"][0]))
        config = _read(old, _blob(manifest["config"]))
        config["config"] |= {"Entrypoint": ["sleep", "infinity"], "Cmd": []}
        manifest["config"] |= _add(new, config)
        index["manifests"] = [index["manifests"][0] | _add(new, manifest)]
        index["manifests"][0]["annotations"] = {"io.containerd.image.name": PAUSE}
        for layer in manifest["layers"]:
            new.addfile(old.getmember(_blob(layer)), old.extractfile(_blob(layer)))
        _put(new, "index.json", json.dumps(index).encode())
        _put(new, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())


def _blob(descriptor: Tree) -> str:
    return "blobs/" + str(descriptor["digest"]).replace(":", "/")


def _read(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    assert file is not None
    return json.load(file)


def _add(archive: tarfile.TarFile, tree: Tree) -> Tree:
    """Puts a blob in; gives what its descriptor says of it."""
    content = json.dumps(tree).encode()
    descriptor = {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}
    _put(archive, _blob(descriptor), content)
    return descriptor


def _put(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
