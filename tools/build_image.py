"""Builds container images as OCI archives without a container engine: Debian's Python plus packages, nothing else.

    tools/build_image.py flowdeck --output flowdeck.tar     the platform, for `flowdeck install`
    tools/build_image.py xgboost --output xgboost.tar       the runtime of the XGBoost example

    ctr --namespace k8s.io images import flowdeck.tar

Needs a Debian with `apt-get` (its package lists say what is newest), `dpkg-deb` and `uv`; no root. The first layer is
the same in all images, so a node keeps it once. Same Debian packages, same pins, same source: same digest. Nothing
depends on the time, the folder or the machine's own Python.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = Path("usr/lib/python3/dist-packages")
"""Where Debian's Python looks for packages."""
USER = 65532
DEBIAN = (
    *("base-files", "bash", "coreutils", "ca-certificates", "dash", "libc6", "libgcc-s1", "libcrypt1", "libtinfo6"),
    *("libacl1", "libattr1", "libgmp10", "libselinux1", "libpcre2-8-0", "libstdc++6", "libgomp1", "tzdata"),
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libexpat1", "zlib1g", "libssl3"),
    *("libbz2-1.0", "libffi8", "liblzma5", "libncursesw6", "libreadline8", "libsqlite3-0", "libuuid1", "media-types"),
)
"""A shell, its few tools, Python, and the libraries that both and the usual wheels need."""
LEFT_OUT = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/info/", "usr/share/lintian/")
MERGED = ("bin", "lib", "lib64", "sbin")
"""Folders of old that lead below /usr."""


@dataclass(frozen=True)
class Recipe:
    """One image."""

    reference: str
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    env: dict[str, str] = field(default_factory=dict)


def recipes() -> dict[str, Recipe]:
    version = (ROOT / "src/flowdeck/version.py").read_text().partition('VERSION = "')[2].partition('"')[0]
    return {
        "flowdeck": Recipe(f"ghcr.io/flowdeck/flowdeck:{version}", entrypoint=("python3", "-m", "flowdeck.cli.main")),
        "xgboost": Recipe("ghcr.io/kubeflow/trainer/xgboost-runtime:v2.3.0", command=("python3",)),
    }


def main() -> None:
    made = recipes()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", choices=sorted(made))
    parser.add_argument("--output", type=Path, required=True, help="the archive to write")
    parser.add_argument("--reference", help="name and tag that the archive says (default: the published ones)")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "flowdeck-images")
    options = parser.parse_args()
    recipe = made[options.image]
    with tempfile.TemporaryDirectory() as folder:
        system, python = Path(folder, "system"), Path(folder, "python")
        lay_debian(system, options.cache)
        lay_packages(options.image, python, system)
        digest = write_archive(options.output, recipe, options.reference or recipe.reference, [system, python])
    print(f"{options.reference or recipe.reference}@{digest} {options.output.stat().st_size / 1e6:.0f} MB")


# ---- the system layer -----------------------------------------------------------------------------------------------


def lay_debian(root: Path, cache: Path) -> None:
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    status = []
    for archive in debian_packages(cache):
        unpack(archive, root)
        control = run("dpkg-deb", "--field", str(archive)).decode()
        status.append(control.rstrip("\n") + "\nStatus: install ok installed\n")
    put(root / "var/lib/dpkg/status", "\n".join(status))
    certificates = sorted((root / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    put(root / "etc/ssl/certs/ca-certificates.crt", "".join(path.read_text() for path in certificates))
    put(root / "etc/passwd", f"root:x:0:0:root:/root:/bin/bash\nflowdeck:x:{USER}:{USER}::/home/flowdeck:/bin/bash\n")
    put(root / "etc/group", f"root:x:0:\nflowdeck:x:{USER}:\n")
    for name in ("python", "python3"):
        (root / "usr/bin" / name).symlink_to("python3.11")
    (root / "usr/bin/sh").unlink(missing_ok=True)
    (root / "usr/bin/sh").symlink_to("dash")
    (root / "home/flowdeck").mkdir(parents=True)
    compile_all(root, Path("usr/lib/python3.11"), root)


def debian_packages(cache: Path) -> Iterator[Path]:
    """The archives, downloaded unless the cache has them; checked against the package lists' digests."""
    cache.mkdir(parents=True, exist_ok=True)
    if not knows_packages():
        run("apt-get", "update")  # a machine that has never asked
    listed = run("apt-get", "download", "--print-uris", *sorted(DEBIAN)).decode().splitlines()
    for line in listed:
        _, filename, _, checksum = line.split(" ")
        path, digest = cache / filename, checksum.removeprefix("SHA256:")
        if not path.exists():
            name = filename.partition("_")[0]
            run("apt-get", "-o", "APT::Sandbox::User=root", "download", name, folder=cache)
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            sys.exit(f"build_image: {path} is not what the package list says: remove it and try again")
        yield path


def knows_packages() -> bool:
    return subprocess.run(("apt-cache", "show", *DEBIAN), capture_output=True, check=False).returncode == 0


def unpack(archive: Path, root: Path) -> None:
    """Unpacks into a root whose old folders are links: what is for /lib goes to /usr/lib."""
    with tarfile.open(fileobj=io.BytesIO(run("dpkg-deb", "--fsys-tarfile", str(archive)))) as files:
        for member in files:
            name = member.name.removeprefix("./")
            if not name or name == "." or name in MERGED or f"{name}/".startswith(LEFT_OUT):
                continue
            member.name = f"usr/{name}" if name.split("/")[0] in MERGED else name
            if member.islnk():
                link = member.linkname.removeprefix("./")
                member.linkname = f"usr/{link}" if link.split("/")[0] in MERGED else link
            files.extract(member, root, set_attrs=False)
            if member.isfile():
                (root / member.name).chmod(0o755 if member.mode & 0o111 else 0o644)


# ---- the layer of Python packages -----------------------------------------------------------------------------------


def lay_packages(image: str, root: Path, system: Path) -> None:
    target = root / PACKAGES
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "requirements.txt")
        if image == "flowdeck":
            locked = ("export", "--frozen", "--no-dev", "--extra", "postgresql", "--quiet")
            locked += ("--no-emit-project", "--no-emit-package", "uv")
            wanted.write_bytes(run(uv(), *locked, folder=ROOT))
            install(target, "--requirements", str(wanted))
            run(uv(), "build", "--wheel", "--out-dir", folder, str(ROOT), env={"SOURCE_DATE_EPOCH": "315532800"})
            install(target, *map(str, Path(folder).glob("*.whl")))
        else:
            install(target, "--requirements", str(ROOT / "tools/images" / f"{image}.txt"))
    tidy(target)
    compile_all(root, PACKAGES, system)


def install(target: Path, *what: str) -> None:
    """Wheels only, for the image's Python and machine, whatever this machine has."""
    for_image = ("--python-version", "3.11", "--python-platform", f"{platform.machine()}-manylinux_2_36")
    how = ("--quiet", "--no-deps", "--only-binary", ":all:", "--link-mode", "copy", "--target", str(target))
    run(uv(), "pip", "install", *how, *for_image, *what)


def tidy(target: Path) -> None:
    """Takes away what says where and when the packages were installed, and what nobody runs."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)
    for path in sorted(target.rglob("*")):
        if path.is_dir() and path.name in ("tests", "__pycache__") and path.parent != target:
            shutil.rmtree(path)
        elif path.name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"):
            path.unlink()


def compile_all(root: Path, folder: Path, system: Path) -> None:
    """Byte code, made by the image's own Python: the file system is read-only where it runs."""
    loader = next((system / "usr/lib64").glob("ld-linux*"), None) or next((system / "usr/lib").glob("ld-linux*"))
    libraries = ":".join(str(path) for path in (system / "usr/lib").glob("*-linux-gnu*"))
    python = (str(loader), "--library-path", libraries, str(system / "usr/bin/python3.11"), "-s", "-m", "compileall")
    how = ("-q", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/")
    env = {"PYTHONHOME": str(system / "usr"), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run((*python, *how, str(root / folder)), check=False, env=env, stdout=subprocess.DEVNULL)


# ---- the archive ----------------------------------------------------------------------------------------------------


def write_archive(output: Path, recipe: Recipe, reference: str, layers: Sequence[Path]) -> str:
    """An OCI image layout in a tar, as `ctr images import` and `skopeo copy oci-archive:` read it; gives the digest."""
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    with tarfile.open(output, "w", format=tarfile.PAX_FORMAT) as archive:
        blobs = []
        for layer in layers:
            data = layer_of(layer)
            packed = gzip.compress(data, compresslevel=5, mtime=0)
            blobs.append((hashlib.sha256(data).hexdigest(), add_blob(archive, packed)))
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": config_of(recipe),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}" for diff, _ in blobs]},
        }
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", add_blob(archive, encode(config))),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", blob) for _, blob in blobs],
        }
        named = descriptor(manifest["mediaType"], add_blob(archive, encode(manifest))) | {
            "annotations": {
                "io.containerd.image.name": reference,
                "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
            },
            "platform": {"architecture": architecture, "os": "linux"},
        }
        index = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [named],
        }
        add(archive, "index.json", encode(index))
        add(archive, "oci-layout", encode({"imageLayoutVersion": "1.0.0"}))
    return str(named["digest"])


def config_of(recipe: Recipe) -> dict[str, Any]:
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"} | recipe.env
    config: dict[str, Any] = {
        "Env": [f"{name}={value}" for name, value in sorted(env.items())],
        "User": f"{USER}:{USER}",
        "WorkingDir": "/home/flowdeck",
    }
    if recipe.entrypoint:
        config["Entrypoint"] = list(recipe.entrypoint)
    if recipe.command:
        config["Cmd"] = list(recipe.command)
    return config


def layer_of(root: Path) -> bytes:
    """The folder as a tar in which nothing depends on who made it when."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(walk(root)):
            name = path.relative_to(root).as_posix()
            entry = tar.gettarinfo(path, name)
            entry.uid = entry.gid = USER if name.startswith("home/flowdeck") else 0
            entry.uname = entry.gname = ""
            entry.mtime = 0
            entry.mode = mode_of(name, entry)
            with path.open("rb") if entry.isfile() else io.BytesIO() as content:
                tar.addfile(entry, content if entry.isfile() else None)
    return data.getvalue()


def mode_of(name: str, entry: tarfile.TarInfo) -> int:
    if entry.issym():
        return 0o777
    if name in ("tmp", "var/tmp"):
        return 0o1777
    return 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644


def walk(root: Path) -> Iterable[Path]:
    for folder, names, files in os.walk(root):
        yield from (Path(folder, name) for name in (*names, *files))


def encode(tree: Any) -> bytes:
    return json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()


def descriptor(media_type: str, blob: tuple[str, int]) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{blob[0]}", "size": blob[1]}


def add_blob(archive: tarfile.TarFile, data: bytes) -> tuple[str, int]:
    digest = hashlib.sha256(data).hexdigest()
    add(archive, f"blobs/sha256/{digest}", data)
    return digest, len(data)


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


# ---- small things ---------------------------------------------------------------------------------------------------


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def uv() -> str:
    ours = ROOT / ".venv/bin/uv"
    return str(ours) if ours.exists() else "uv"


def run(*command: str, folder: Path | None = None, env: dict[str, str] | None = None) -> bytes:
    done = subprocess.run(command, cwd=folder, env={**os.environ, **(env or {})}, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"build_image: {' '.join(command[:3])} failed:\n{done.stderr.decode(errors='replace')}")
    return done.stdout


if __name__ == "__main__":
    main()
