"""What `flowdeck up --detach` does when there is no getting ready."""

import socket
import sys
from pathlib import Path

import psutil
import pytest

from flowdeck.cli import up
from flowdeck.cli.main import build
from flowdeck.cli.refusal import Refusal
from flowdeck.locks import holder, try_lock

pytestmark = pytest.mark.timeout(120)


def start(data: Path, monkeypatch: pytest.MonkeyPatch, *, port: int = 0) -> str:
    """How a start that fails is told."""
    words = ["up", "--data", str(data), "--port", str(port), "--driver", "plain", "--detach"]
    monkeypatch.setattr(sys, "argv", ["flowdeck", *words])
    with pytest.raises(Refusal) as caught:
        build("up")(words, standalone_mode=False)
    return str(caught.value)


def test_a_start_whose_node_does_not_get_ready_ends_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "READY_S", 8.0)
    (tmp_path / "node").mkdir()
    with try_lock(tmp_path / "node" / "lock") as lock:  # type: ignore[union-attr]
        assert lock is not None
        told = start(tmp_path, monkeypatch)
    assert "not ready after 8 s, and was stopped again" in told
    assert "its node is not ready" in told
    assert "another node process has this folder" in told
    assert holder(tmp_path / "lock") is None
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())]


def test_a_start_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store.db").write_text("no database" * 1000)
    assert "did not start (exit code 1)" in start(tmp_path, monkeypatch)


def test_a_folder_with_other_peoples_files_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thesis.tex").touch()
    tmp_path.chmod(0o755)
    assert "is no data folder of Flowdeck and not empty" in start(tmp_path, monkeypatch)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_data_folder_that_cannot_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    assert f"cannot use the data folder {tmp_path / 'file'}" in start(tmp_path / "file", monkeypatch)


def test_a_port_in_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = start(tmp_path, monkeypatch, port=port)
    assert f"127.0.0.1:{port} is in use: choose another port with --port" in told


def test_a_disk_that_is_full_is_told_where_no_log_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "_read_from", lambda *_: "")
    (tmp_path / "store.db").write_text("no database" * 1000)
    assert "MiB are free on the disk of" in start(tmp_path, monkeypatch)
