"""A container's own Python environment over the shared one: what it installs or upgrades stays its own.

    folder/bin/python          the same interpreter, which finds `folder/pyvenv.cfg` and so has `folder` as its prefix
    folder/bin/*               the shared environment's programs, started with this interpreter
    folder/lib/.../_shared.pth brings the shared packages in, after the container's own
    folder/lib/.../_inner.py   lets environments made in it see both, where they want the system's packages

Made in a few milliseconds: it holds links and small files only.
"""

import os
import shutil
from pathlib import Path

_LONGEST_SHEBANG = 120
_HEAD_BYTES = 1024
_IF_VENV = "import sys; 'venv' in getattr(sys, 'orig_argv', sys.argv) and __import__('_inner')"
_INNER = '''"""`python -m venv --system-site-packages`: in a container, the packages of its image are the system's."""

import os
import sysconfig
import venv

_create = venv.EnvBuilder.create


def create(self, folder):
    wanted = self.system_site_packages
    _create(self, folder)
    if wanted:
        places = {"base": folder, "platbase": folder}
        packages = sysconfig.get_path("purelib", "posix_prefix", vars=places)
        with open(os.path.join(packages, "_system.pth"), "w") as file:
            file.write("import site; site.addsitedir(%r)\\n" % os.path.dirname(__file__))


venv.EnvBuilder.create = create
'''


def make_private(shared: Path, folder: Path, *, user: int | None = None, group: int | None = None) -> Path:
    """The environment that a container shall use: `folder`, made anew; or `shared`, where that is no virtual one.

    With `user`, all of it belongs to that user (only root can give it away).
    """
    if not (shared / "pyvenv.cfg").is_file():
        return shared
    shutil.rmtree(folder, ignore_errors=True)
    packages = next((shared / "lib").glob("python3.*")) / "site-packages"
    own = folder / packages.relative_to(shared)
    (folder / "bin").mkdir(parents=True)
    own.mkdir(parents=True)
    shutil.copyfile(shared / "pyvenv.cfg", folder / "pyvenv.cfg")
    (own / "_shared.pth").write_text(f"import site; site.addsitedir({str(packages)!r})\n{_IF_VENV}\n")
    (own / "_inner.py").write_text(_INNER)
    for program in (shared / "bin").iterdir():
        _bring(program, folder / "bin" / program.name, shared)
    if user is not None and os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, -1 if group is None else group, follow_symlinks=False)
    return folder


def add_program(environment: Path, name: str, source: str) -> None:
    """Puts a Python program into a container's own environment."""
    target = environment / "bin" / name
    target.write_bytes(_restarted(b"\n" + source.encode(), environment / "bin" / "python"))
    target.chmod(0o755)


def _bring(program: Path, target: Path, shared: Path) -> None:
    if program.name.startswith("python") and program.is_symlink():
        link = os.readlink(program)
        target.symlink_to(link if not os.path.isabs(link) else os.path.realpath(program))
        return
    if not program.is_file():  # `__pycache__` of a script with a module's name
        return
    with program.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if head.startswith(b"#!") and bytes(shared / "bin" / "python") in head:
            target.write_bytes(_restarted(head + file.read(), target.parent / "python"))
            target.chmod(0o755)
            return
    target.symlink_to(program)


def _restarted(script: bytes, python: Path) -> bytes:
    """The script for another interpreter; a path that is too long for the kernel's first line goes through sh."""
    lines = script.split(b"\n")
    body = b"\n".join(lines[3:] if lines[0].endswith(b"/bin/sh") else lines[1:])
    start = b"#!" + bytes(python)
    if len(start) > _LONGEST_SHEBANG:
        start = b"#!/bin/sh\n'''exec' '" + bytes(python) + b"' \"$0\" \"$@\"\n' '''"
    return start + b"\n" + body
