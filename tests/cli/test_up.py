"""What `flowdeck up --detach` does when there is no getting ready."""

import sys
from pathlib import Path

import psutil
import pytest

from flowdeck.cli import up
from flowdeck.cli.main import build
from flowdeck.cli.refusal import Refusal
from flowdeck.locks import holder, try_lock

pytestmark = pytest.mark.timeout(120)


def start(data: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a start that fails is told."""
    words = ["up", "--data", str(data), "--port", "0", "--driver", "plain", "--detach"]
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
