"""Attempts to run containers, as they lie on disk: `POD/containers/<name>/<attempt>/`. Monitors write, we read."""

import contextlib
import os
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

from flowdeck.embedded.node.pods.seen import UNKNOWN, Run
from flowdeck.embedded.node.sandbox import files
from flowdeck.embedded.node.sandbox.client import Running
from flowdeck.embedded.node.sandbox.driver import find
from flowdeck.kube.objects import Tree

MESSAGE_BYTES = 4096
"""Longest termination message."""
_LOG_BYTES, _LOG_LINES = 2048, 80
"""What of the log stands in for a missing message."""


def attempt_folder(pod_folder: Path, container: str, attempt: int) -> Path:
    return pod_folder / "containers" / container / str(attempt)


def attempts_of(pod_folder: Path, container: str) -> list[int]:
    """The attempts that were claimed by a monitor, oldest first."""
    folder = pod_folder / "containers" / container
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if (entry / "claim").exists())


async def recall(pod_folder: Path, container: str, attempt: int) -> tuple[Run, Running | None] | None:
    """What became of an attempt; with the connection to its monitor while it runs. None: it never began."""
    folder = attempt_folder(pod_folder, container, attempt)
    found = await find(folder)
    plan = files.read(str(folder / "plan.json"))
    if found is None or plan is None:
        return None
    if isinstance(found, Running):
        state = files.read(str(folder / "state.json")) or {}
        return run_of(plan, attempt, started_at=state.get("started_at")), found
    return ended_run(folder, plan, attempt, found), None


def run_of(plan: Tree, attempt: int, *, started_at: float | None) -> Run:
    about = plan["about"]
    return Run(
        attempt=attempt,
        id=plan["id"],
        image=about["image"],
        image_id=about["image_id"],
        back_off_s=about["back_off_s"],
        started_at=_moment(started_at),
    )


def ended_run(folder: Path, plan: Tree, attempt: int, ended: Tree) -> Run:
    """How an attempt ended, from its exit.json (or what stands in for it)."""
    about = plan["about"]
    return Run(
        attempt=attempt,
        id=plan["id"],
        image=about["image"],
        image_id=about["image_id"],
        back_off_s=about["back_off_s"],
        started_at=_moment(ended.get("started_at")),
        ended_at=_moment(ended.get("finished_at")) or _moment(_last_sign_of_life(folder)),
        exit_code=int(ended["exit_code"]),
        reason=ended["reason"],
        message=ended.get("message") or _message(folder, plan, failed=ended["exit_code"] != 0),
        is_lost_by_reboot=bool(ended.get("rebooted")) and ended["reason"] == UNKNOWN,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _last_sign_of_life(folder: Path) -> float:
    return max((entry.stat().st_mtime for entry in folder.iterdir()), default=0.0)


def _message(folder: Path, plan: Tree, *, failed: bool) -> str:
    """The termination message: what the container wrote, else (when asked for) the end of its log."""
    message = ""
    with contextlib.suppress(OSError), (folder / "termination-log").open("rb") as file:
        message = file.read(MESSAGE_BYTES).decode(errors="replace")
    if message or not failed or plan["about"]["termination_policy"] != "FallbackToLogsOnError":
        return message
    return _end_of_log(Path(plan["log"]))


def _end_of_log(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = log.read_bytes()[-4 * _LOG_BYTES :].splitlines()[-_LOG_LINES:]
        texts = [line.split(b" ", 3)[3] for line in lines if line.count(b" ") >= 3]
        return b"\n".join([*texts, b""])[-_LOG_BYTES:].decode(errors="replace")
    return ""


def remove_tree(folder: Path) -> None:
    """Deletes a folder whatever its modes: overlays leave folders that nobody may read."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError:
        for root, names, _ in os.walk(folder):
            for name in names:
                path = os.path.join(root, name)
                if not os.path.islink(path) and stat.S_IMODE(os.lstat(path).st_mode) & 0o700 != 0o700:
                    with contextlib.suppress(OSError):
                        os.chmod(path, 0o700)
        shutil.rmtree(folder, ignore_errors=True)


def forget_old(pod_folder: Path, container: str, attempt: int) -> None:
    """Before `attempt` starts: the roots of all earlier ones go, and all that is older than the one before."""
    for old in attempts_of(pod_folder, container):
        folder = attempt_folder(pod_folder, container, old)
        if old < attempt - 1:
            plan = files.read(str(folder / "plan.json"))
            if plan:
                for log in log_files(Path(plan["log"])):
                    log.unlink(missing_ok=True)
            remove_tree(folder)
        elif old < attempt:
            for name in ("root", "work", "tmp"):
                remove_tree(folder / name)


def log_files(log: Path) -> list[Path]:
    """A log and what was rotated away from it, oldest first."""
    rotated = [path for path in log.parent.glob(f"{log.name}.*") if path.suffix[1:].isdigit()]
    older = sorted(rotated, key=lambda path: int(path.suffix[1:]), reverse=True)
    return [*older, *([log] if log.exists() else [])]
