"""Gets the `uv` program from the package index by the standard library alone: for a Python without pip or venv.

python3 tools/fetch_uv.py FOLDER      puts it at FOLDER/bin/uv
"""

import hashlib
import io
import json
import platform
import sys
import urllib.request
import zipfile
from pathlib import Path

INDEX = "https://pypi.org/simple/uv/"
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "arm64"}


def main(folder: Path) -> None:
    request = urllib.request.Request(INDEX, headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    machine = _MACHINES.get(platform.machine().lower(), platform.machine())
    system = "manylinux" if sys.platform == "linux" else "macosx"
    found = [f for f in files if system in f["filename"] and machine in f["filename"] and "yanked" not in f]
    if not found:
        sys.exit(f"fetch_uv: the index has no uv for {sys.platform} on {platform.machine()}")
    with urllib.request.urlopen(found[-1]["url"], timeout=300) as answer:
        wheel = answer.read()
    if hashlib.sha256(wheel).hexdigest() != found[-1]["hashes"]["sha256"]:
        sys.exit("fetch_uv: the file from the index is damaged (sha256 differs); try again")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        name = next(n for n in archive.namelist() if n.endswith("/scripts/uv"))
        target = folder / "bin" / "uv"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(archive.read(name))
        target.chmod(0o755)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
