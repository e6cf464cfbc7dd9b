"""The folder that a task's pod can write to: whatever a program leaves there, nothing else is touched."""

import os
from pathlib import Path

import pytest

from flowdeck.components.pipelines.runner import folders
from flowdeck.components.pipelines.runner.folders import lay_out, outputs_in
from flowdeck.components.pipelines.runner.outputs import BadOutput


def test_a_link_in_the_place_of_the_draft_leads_nowhere(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "task"
    outside.write_text("mine")
    folder.mkdir()
    (folder / ".launch.json.new").symlink_to(outside)
    lay_out(folder, {"command": ["true"]})
    assert outside.read_text() == "mine"
    assert (folder / ".launch.json").read_text() == '{"command":["true"]}'


def test_outputs_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / ".outputs.json").write_text('{"output": {"parameterValues": {"a": 1}}, "parameters": {"b": "2"}}')
    found = outputs_in(tmp_path)
    assert found.output is not None
    assert (found.output.parameter_values, found.parameters) == ({"a": 1}, {"b": "2"})


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('{"parameters": {"word": "secret"}}')
    (tmp_path / ".outputs.json").symlink_to(tmp_path / "secret")
    with pytest.raises(BadOutput, match="failed to read the outputs"):
        outputs_in(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".outputs.json")
    with pytest.raises(BadOutput, match="is no file"):
        outputs_in(tmp_path)


def test_too_much_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / ".outputs.json").open("wb") as file:
        file.truncate(folders.MAX_OUTPUTS + 1)
    with pytest.raises(BadOutput, match="large data belongs into artifacts"):
        outputs_in(tmp_path)
