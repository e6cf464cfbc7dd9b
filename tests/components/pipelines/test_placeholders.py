"""Placeholders in constants, commands and arguments."""

from typing import Any

import pytest

from flowdeck.components.pipelines.values.paths import local_path
from flowdeck.components.pipelines.values.placeholders import Execution, mentioned_parameters, resolved
from flowdeck.kube.objects import Tree

CONSTANTS = {"pipeline_job_name": "my {{$}} run", "workspace_path": "/kfp-workspace"}
INPUT: Tree = {
    "inputs": {
        "parameterValues": {"x": "a'b", "n": 1e6, "l": [1, 2], "p": "{{$.inputs.parameters['x']}}"},
        "artifacts": {
            "d": {"artifacts": [{"name": "id-1", "uri": "minio://b/d", "metadata": {"rows": 3, "t": {"k": 1}}}]},
            "c": {"artifacts": [{"name": "id-2", "uri": "minio://b/c", "customPath": "/tmp/c"}]},
            "none": {"artifacts": []},
        },
    },
    "outputs": {
        "parameters": {"o": {"outputFile": "/tmp/kfp/outputs/o"}},
        "artifacts": {"m": {"artifacts": [{"name": "id-3", "uri": "s3://b/m", "metadata": {}}]}},
        "outputFile": "/minio/b/output_metadata.json",
    },
}


def command(*texts: str) -> list[str]:
    return Execution(INPUT, CONSTANTS, local_path).resolved_command(texts)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{{$.inputs.parameters['x']}}", "a'b"),
        ('{{$.inputs.parameters["x"]}}', "a'b"),
        ("--n={{$.inputs.parameters['n']}},{{$.inputs.parameters['l']}}", "--n=1000000,[1,2]"),
        ("{{$.inputs.parameters['absent']}}", ""),
        ("{{$.inputs.parameters['p']}}", "{{$.inputs.parameters['x']}}"),
        ("{{$.inputs.artifacts['d'].uri}}", "minio://b/d"),
        ("{{$.inputs.artifacts['d'].path}}/f", "/minio/b/d/f"),
        ("{{$.inputs.artifacts['c'].path}}", "/tmp/c"),
        ("{{$.inputs.artifacts['d'].name}}", "id-1"),
        ("{{$.inputs.artifacts['d'].metadata['rows']}}", "3"),
        ("{{$.inputs.artifacts['d'].metadata['t']}}", '{"k":1}'),
        ("{{$.inputs.artifacts['none'].uri}}", ""),
        ("{{$.inputs.artifacts['none']}}", "[]"),
        ("{{$.inputs.artifacts['c']}}", '[{"name":"id-2","uri":"minio://b/c","customPath":"/tmp/c"}]'),
        ("{{$.outputs.artifacts['m'].path}}", "/s3/b/m"),
        ("{{$.outputs.parameters['o'].output_file}}", "/tmp/kfp/outputs/o"),
        ("{{$.outputs.output_file}}", "/minio/b/output_metadata.json"),
        ("{{$.pipeline_job_name}}", "my {{$}} run"),
        ("at {{$.workspace_path}}/x", "at /kfp-workspace/x"),
        ("{{$.something_else}}", "{{$.something_else}}"),
        ("{{workflow.name}} {$} $", "{{workflow.name}} {$} $"),
        ("{not json", "{not json"),
    ],
)
def test_a_placeholder_in_a_command_becomes_its_value(text: str, result: str) -> None:
    assert command(text) == [result]


def test_the_whole_input_is_json() -> None:
    import msgspec

    assert msgspec.json.decode(command("{{$}}")[0]) == INPUT


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('{"IfPresent": {"InputName": "x", "Then": ["--x", "{{$.inputs.parameters[\'x\']}}"]}}', ["--x", "a'b"]),
        ('{"IfPresent": {"InputName": "y", "Then": ["--y"], "Else": ["--no-y"]}}', ["--no-y"]),
        ('{"IfPresent": {"InputName": "y", "Then": "--y", "Else": "e"}}', ["e"]),
        ('{"IfPresent": {"InputName": "y", "Then": "--y"}}', []),
        ('{"IfPresent": {"InputName": "d", "Then": ["{{$.inputs.artifacts[\'d\'].uri}}"]}}', ["minio://b/d"]),
        ('{"IfPresent": {"InputName": "none", "Then": ["there"]}}', []),
        ('{"Concat": ["a-", "{{$.inputs.parameters[\'x\']}}", "-b"]}', ["a-a'b-b"]),
        ('{"Concat": ["a", {"IfPresent": {"InputName": "y", "Then": "no", "Else": "b"}}, "c"]}', ["abc"]),
        ('{"Concat": ["a", {"Concat": ["b", "c"]}]}', ["abc"]),
        (
            '{"IfPresent": {"InputName": "x", "Then": [{"Concat": ["p", "q"]}, {"IfPresent": {"InputName": "y",'
            ' "Then": "no"}}, "z"]}}',
            ["pq", "z"],
        ),
        ('{"Other": 1}', ['{"Other": 1}']),
    ],
)
def test_structured_arguments_become_none_one_or_several(text: str, result: list[str]) -> None:
    assert command("first", text, "last") == ["first", *result, "last"]


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("{{$.inputs.parameters['n']}}", 5),
        ("n is {{$.inputs.parameters['n']}}", "n is 5"),
        ("{{$.inputs.parameters['l']}}", [1]),
        ("{{$.inputs.parameters['absent']}}", ""),
        ("run {{$.pipeline_job_name}}!", "run my {{$}} run!"),
        ([{"a": "{{$.inputs.parameters['n']}}"}], [{"a": 5}]),
        (7, 7),
        (None, None),
        ("{{$.unknown}}", "{{$.unknown}}"),
        ("{{$}}", "{{$}}"),
    ],
)
def test_a_constant_takes_inputs_and_what_is_known_of_the_run(value: Any, result: Any) -> None:
    assert resolved(value, CONSTANTS, {"n": 5, "l": [1]}) == result


def test_a_text_tells_what_it_asks_for() -> None:
    assert mentioned_parameters("a {{$.inputs.parameters['x']}} {{$.inputs.parameters[\"y\"]}} {{$}}") == {"x", "y"}
