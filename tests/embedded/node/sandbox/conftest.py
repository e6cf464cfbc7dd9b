"""Containers of the namespaces driver, started by root and by somebody else."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
SOMEBODY = 54321
"""A user that owns nothing on this machine."""


@dataclass(frozen=True)
class Starter:
    """Starts containers as one user."""

    user: int
    python: str
    folder: Path

    def run(self, *argv: str, **wanted: Any) -> dict[str, Any]:
        """Runs one container to its end: {exit_code, reason, message, log}."""
        self._own(self.folder)
        wanted_file = self.folder / "wanted.json"
        wanted_file.write_text(json.dumps({"argv": argv, **wanted}))
        wanted_file.chmod(0o644)
        done = subprocess.run(
            [*self._as_user(), self.python, "-m", "tests.embedded.node.sandbox.isolated", str(self.folder)],
            capture_output=True, text=True, cwd=ROOT, timeout=60,
            env={"PYTHONPATH": ":".join([str(ROOT), str(ROOT / "src"), *_packages()]), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def make(self, name: str, text: str) -> Path:
        """A file in the platform's folder, owned by the starter."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for place in (path, *path.parents):
            if place.is_relative_to(self.folder):
                self._own(place)
        return path

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """A process of the machine, as the starter's user."""
        return subprocess.Popen([*self._as_user(), *command], stdout=subprocess.PIPE)

    def _as_user(self) -> list[str]:
        if self.user == os.geteuid():
            return []
        return _become(self.user)

    def _own(self, path: Path) -> None:
        if self.user != os.geteuid():
            os.chown(path, self.user, self.user)


def _become(user: int) -> list[str]:
    """`env` is there because setpriv itself still has root's rights when it looks the program up."""
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "env"]


def _packages() -> list[str]:
    return [path for path in sys.path if path.endswith("site-packages")]


def _python_for(user: int) -> str:
    """A Python that the user may run: the tests' own, or the machine's where that is out of reach."""
    if user == os.geteuid():
        return sys.executable
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        if subprocess.run([*_become(user), python, "-c", "pass"], capture_output=True).returncode == 0:
            return python
    pytest.skip("no Python on this machine that another user may run")


@pytest.fixture(params=["root", "somebody"])
def starter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """Root (skipped without), and somebody without any rights: ourselves, or the user `SOMEBODY` when we are root."""
    is_root = os.geteuid() == 0
    if request.param == "root" and not is_root:
        pytest.skip("needs root")
    user = 0 if request.param == "root" else (SOMEBODY if is_root else os.geteuid())
    folder = Path("/var/tmp") / f"flowdeck-test-{os.getpid()}-{request.param}-{tmp_path_factory.mktemp('x').name}"
    folder.mkdir(parents=True)
    starter = Starter(user, _python_for(user), folder)
    starter._own(folder)
    yield starter
    subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=False)
    subprocess.run(["rm", "-rf", str(folder)], check=False)
