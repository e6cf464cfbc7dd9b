"""Placeholders: texts put together from values, and what a task can know of its run."""

from typing import NamedTuple

from kfp import dsl


@dsl.component
def say(text: str) -> str:
    return text


@dsl.component
def count(items: list) -> int:
    return len(items)


class TextsOfValues(NamedTuple):
    all: str
    two: str


@dsl.pipeline(name="texts-of-values")
def texts_of_values(name: str = "Ada", yes: bool = True) -> TextsOfValues:
    first = say(text=f"hello {name}")
    counted = say(text="3 of 3")
    everything = say(text=f"{first.output}! {counted.output}, {yes}: {{braces}} 100%")
    twice = say(text=f"{first.output}{first.output}")
    return TextsOfValues(everything.output, twice.output)


@dsl.pipeline(name="values-in-structures")
def values_in_structures(name: str = "Ada") -> int:
    return count(items=[name, say(text="x").output, [name], {"of": name}]).output


@dsl.component
def know(job: str, id: str, task: str, task_id: str, root: str) -> dict:
    values = (job, id, task, task_id, root)
    return {"whole": all(value and "{{" not in value for value in values), "different": len(set(values)), "task": task}


@dsl.pipeline(name="names-of-a-run")
def names_of_a_run() -> dict:
    return know(
        job=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        task=dsl.PIPELINE_TASK_NAME_PLACEHOLDER,
        task_id=dsl.PIPELINE_TASK_ID_PLACEHOLDER,
        root=dsl.PIPELINE_ROOT_PLACEHOLDER,
    ).output


@dsl.component
def read_environment() -> str:
    import os

    return f"{os.environ['PLAIN']} {os.environ['EMPTY']!r} {os.environ.get('ABSENT')}"


@dsl.pipeline(name="environment")
def environment() -> str:
    task = read_environment()
    task.set_env_variable("PLAIN", "a b=c $HOME").set_env_variable("EMPTY", "")
    task.set_caching_options(False).set_display_name("reads the environment")
    return task.output
