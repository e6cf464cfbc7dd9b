"""The folder that a task's pod can write to: whatever a program leaves there, nothing else is touched."""

import os
from pathlib import Path

import pytest

from flowdeck.components.pipelines.runner import folders
from flowdeck.components.pipelines.runner.folders import LAUNCH, OUTPUT, PARAMETERS, collected, kept, lay_out
from flowdeck.components.pipelines.runner.outputs import BadOutput
from flowdeck.kube.errors import NotFound


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lay_out(tmp_path / "task", {})
    return tmp_path / "task"


def test_a_link_in_the_place_of_the_draft_leads_nowhere(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "task"
    outside.write_text("mine")
    folder.mkdir()
    (folder / f"{LAUNCH}.new").symlink_to(outside)
    lay_out(folder, {"command": ["true"]})
    assert outside.read_text() == "mine"
    assert kept(folder, LAUNCH) == b'{"command":["true"]}'


def test_programs_of_any_user_may_write_there(folder: Path) -> None:
    assert {place.stat().st_mode & 0o777 for place in (folder, folder / PARAMETERS)} == {0o777}


def test_outputs_are_read_whole(folder: Path) -> None:
    (folder / OUTPUT).write_text('{"parameterValues": {"a": 1}}')
    (folder / PARAMETERS / "b").write_text("2")
    found = collected(folder, ["b", "c"])
    assert found.output is not None
    assert (found.output.parameter_values, found.parameters) == ({"a": 1}, {"b": "2"})


def test_no_link_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / PARAMETERS / "word").symlink_to(tmp_path / "secret")
    with pytest.raises(BadOutput, match="failed to read the outputs: word"):
        collected(folder, ["word"])
    (folder / PARAMETERS / "word").unlink()
    (folder / PARAMETERS).rmdir()
    (folder / PARAMETERS).symlink_to(tmp_path)
    with pytest.raises(BadOutput, match=f"failed to read the outputs: {PARAMETERS}"):
        collected(folder, ["secret"])
    (folder / "executor-logs").symlink_to(tmp_path / "secret")
    with pytest.raises(NotFound):
        kept(folder, "executor-logs")


def test_a_name_leads_nowhere_else(folder: Path) -> None:
    with pytest.raises(BadOutput, match="no name of a file"):
        collected(folder, ["../.launch.json"])


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / OUTPUT)
    with pytest.raises(BadOutput, match="is no file"):
        collected(folder, [])


def test_too_much_is_not_read(folder: Path) -> None:
    with (folder / OUTPUT).open("wb") as file:
        file.truncate(folders.MAX_OUTPUTS + 1)
    with pytest.raises(BadOutput, match="large data belongs into artifacts"):
        collected(folder, [])
