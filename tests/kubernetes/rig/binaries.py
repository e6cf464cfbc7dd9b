"""The programs of Kubernetes and etcd, built from the Go module of this folder, once a machine.

They lie in the user's cache folder, below a name made of `go.mod` and `go.sum`: other versions are built beside them.
Whoever comes while somebody builds waits for it.
"""

import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from flowdeck.locks import try_lock

MODULE = Path(__file__).parents[1]
VERSION = "v1.36.2"
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
}
_TOLD = "k8s.io/component-base/version"
LOOK_S = 0.5
TELL_EVERY_S = 15.0

Say = Callable[[str], None]
"""Takes a line for whoever waits."""


class CannotBuild(Exception):
    """The programs are not there and cannot be made; the text says what is missing."""


def folder() -> Path:
    """Where the programs are, or will be."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256((MODULE / "go.mod").read_bytes() + (MODULE / "go.sum").read_bytes()).hexdigest()
    return Path(home) / "flowdeck" / "kubernetes" / digest[:16]


def ready(say: Say) -> Path:
    """The folder with the programs by their names; builds them where they are missing. Raises `CannotBuild`."""
    where = folder()
    where.mkdir(parents=True, exist_ok=True)
    told = False
    while not (where / "ready").exists():
        lock = try_lock(where / "lock")
        if lock is None:
            if not told:
                say(f"Kubernetes {VERSION} is being built by another process: waiting for it")
            told = True
            time.sleep(LOOK_S)
            continue
        with lock:
            if not (where / "ready").exists():
                _build(where, say)
    return where


def _build(where: Path, say: Say) -> None:
    go = shutil.which("go")
    if go is None:
        raise CannotBuild(
            "go is missing: install Go 1.26 or newer (https://go.dev/dl, or whatever brings it on this system), "
            "it builds the Kubernetes that these tests run against"
        )
    say(f"building Kubernetes {VERSION} and etcd in {where}: once a machine, five minutes on two cores")
    draft = where / "draft"
    draft.mkdir(exist_ok=True)
    command = [go, "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", _linker_flags(), "-o", str(draft)]
    log = where / "build.log"
    with log.open("w") as output:
        building = subprocess.Popen([*command, *PACKAGES.values()], cwd=MODULE, stdout=output, stderr=output)
        try:
            _wait(building, log, say)
        finally:
            building.kill()
            building.wait()
    if building.returncode != 0:
        raise CannotBuild(f"go build failed ({building.returncode}), see {log}:\n{log.read_text()[-3000:]}")
    (draft / "server").rename(draft / "etcd")
    for name in PACKAGES:
        (draft / name).rename(where / name)
    (where / "ready").touch()


def _linker_flags() -> str:
    major, minor, _ = VERSION.removeprefix("v").split(".")
    told = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s -w", *(f"-X {_TOLD}.{name}={value}" for name, value in told.items())])


def _wait(building: "subprocess.Popen[bytes]", log: Path, say: Say) -> None:
    """Until it has ended; tells now and then how far it is."""
    start, ended = time.monotonic(), threading.Event()

    def tell() -> None:
        while not ended.wait(TELL_EVERY_S):
            lines = log.read_text().count("\n")
            say(f"  {time.monotonic() - start:.0f} s, {lines} packages compiled")

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        building.wait()
    finally:
        ended.set()
        teller.join()
