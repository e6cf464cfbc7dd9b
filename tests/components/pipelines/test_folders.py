"""The folder that a task's pod can write to: whatever a program leaves there, nothing else is touched."""

import os
from pathlib import Path

import pytest

from flowdeck.components.pipelines.runner import folders
from flowdeck.components.pipelines.runner.folders import LAUNCH, OUTPUT, PARAMETERS, Folder, NotAFolder
from flowdeck.components.pipelines.runner.outputs import BadOutput
from flowdeck.kube.errors import NotFound


@pytest.fixture
def of_task(tmp_path: Path) -> Folder:
    return Folder(tmp_path, "task")


@pytest.fixture
def folder(of_task: Folder, tmp_path: Path) -> Path:
    of_task.lay_out({})
    return tmp_path / "task"


def test_a_link_in_the_place_of_the_draft_leads_nowhere(of_task: Folder, tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "task"
    outside.write_text("mine")
    folder.mkdir()
    (folder / f"{LAUNCH}.new").symlink_to(outside)
    of_task.lay_out({"command": ["true"]})
    assert outside.read_text() == "mine"
    assert of_task.kept(LAUNCH) == b'{"command":["true"]}'


def test_programs_of_any_user_may_write_there(folder: Path) -> None:
    assert {place.stat().st_mode & 0o777 for place in (folder, folder / PARAMETERS)} == {0o777}


def test_outputs_are_read_whole(of_task: Folder, folder: Path) -> None:
    (folder / OUTPUT).write_text('{"parameterValues": {"a": 1}}')
    (folder / PARAMETERS / "b").write_text("2")
    found = of_task.collected(["b", "c"])
    assert found.output is not None
    assert (found.output.parameter_values, found.parameters) == ({"a": 1}, {"b": "2"})


def test_no_link_is_followed(of_task: Folder, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / PARAMETERS / "word").symlink_to(tmp_path / "secret")
    with pytest.raises(BadOutput, match="failed to read the outputs: word"):
        of_task.collected(["word"])
    (folder / PARAMETERS / "word").unlink()
    (folder / PARAMETERS).rmdir()
    (folder / PARAMETERS).symlink_to(tmp_path)
    with pytest.raises(BadOutput, match=f"failed to read the outputs: {PARAMETERS}"):
        of_task.collected(["secret"])
    (folder / "executor-logs").symlink_to(tmp_path / "secret")
    with pytest.raises(NotFound):
        of_task.kept("executor-logs")


@pytest.mark.parametrize("where", ["task/evil", "task/evil/x/y"])
def test_no_folder_is_made_behind_a_link(folder: Path, tmp_path: Path, where: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "evil").symlink_to(outside)
    other = Folder(tmp_path, where)
    with pytest.raises(NotAFolder, match="on the way is no folder"):
        other.lay_out({})
    with pytest.raises(NotAFolder, match="on the way is no folder"):
        other.keep("executor-logs", b"mine")
    with pytest.raises(NotFound):
        other.kept(LAUNCH)
    with pytest.raises(BadOutput):
        other.collected([])
    assert list(outside.iterdir()) == []


def test_a_name_leads_nowhere_else(of_task: Folder, folder: Path) -> None:
    with pytest.raises(BadOutput, match="no name of a file"):
        of_task.collected(["../.launch.json"])


def test_a_pipe_is_not_waited_for(of_task: Folder, folder: Path) -> None:
    os.mkfifo(folder / OUTPUT)
    with pytest.raises(BadOutput, match="is no file"):
        of_task.collected([])


def test_too_much_is_not_read(of_task: Folder, folder: Path) -> None:
    with (folder / OUTPUT).open("wb") as file:
        file.truncate(folders.MAX_OUTPUTS + 1)
    with pytest.raises(BadOutput, match="large data belongs into artifacts"):
        of_task.collected([])
