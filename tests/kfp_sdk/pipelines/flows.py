"""Flows: order without data, retries, exits, pipelines in pipelines."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Input, Output, PipelineTaskFinalStatus


@dsl.component
def say(text: str) -> str:
    return text


@dsl.component
def fail_once(mark: str) -> str:
    import os
    import sys

    attempt = int(os.environ.get("KFP_RETRY_INDEX", "0"))
    if attempt == 0 and not os.path.exists(mark):
        open(mark, "w").close()
        sys.exit("the first attempt fails")
    return "the second attempt"


@dsl.pipeline(name="a-second-attempt")
def a_second_attempt(mark: str) -> str:
    task = fail_once(mark=mark)
    task.set_retry(num_retries=2, backoff_duration="0s")
    task.set_caching_options(False)
    return task.output


class OrderWithoutData(NamedTuple):
    last: str
    first: str


@dsl.pipeline(name="order-without-data")
def order_without_data() -> OrderWithoutData:
    first = say(text="first")
    second = say(text="second").after(first)
    third = say(text="third").after(first, second)
    return OrderWithoutData(third.output, first.output)


@dsl.component
def tidy_up(status: PipelineTaskFinalStatus, note: str) -> str:
    good = status.state in ("COMPLETE", "SUCCEEDED")
    return f"{note}: {status.pipeline_task_name} {'ended well' if good else 'failed'}"


@dsl.pipeline(name="an-exit-after-success")
def an_exit_after_success(note: str = "done") -> str:
    exit_task = tidy_up(note=note)
    with dsl.ExitHandler(exit_task):
        body = say(text="inside")
        say(text=f"{body.output} and after")
    return exit_task.output


@dsl.component
def greet(name: str, greeting: str = "hello") -> str:
    return f"{greeting} {name}"


@dsl.pipeline
def polite(name: str, greeting: str = "good day") -> str:
    return greet(name=greet(name=name, greeting=greeting).output).output


class Politer(NamedTuple):
    once: str
    twice: str


@dsl.pipeline
def politer(name: str, greeting: str = "hello, Dr") -> Politer:
    once = polite(name=name, greeting=greeting)
    twice = polite(name=once.output, greeting="welcome")
    return Politer(once.output, twice.output)


class PipelinesInPipelines(NamedTuple):
    once: str
    twice: str
    other: str


@dsl.pipeline(name="pipelines-in-pipelines")
def pipelines_in_pipelines(name: str = "Noether") -> PipelinesInPipelines:
    first = politer(name=name)
    second = politer(name=name, greeting="Prof")
    return PipelinesInPipelines(first.outputs["once"], first.outputs["twice"], second.outputs["once"])


@dsl.component
def write(text: str, data: Output[Dataset]):
    data.metadata["length"] = len(text)
    with open(data.path, "w") as file:
        file.write(text)


@dsl.component
def read(data: Input[Dataset]) -> str:
    return open(data.path).read()


@dsl.pipeline
def makes_data(text: str) -> Dataset:
    return write(text=text).outputs["data"]


class ArtifactsOfPipelines(NamedTuple):
    data: Dataset
    text: str


@dsl.pipeline(name="artifacts-of-pipelines")
def artifacts_of_pipelines() -> ArtifactsOfPipelines:
    made = makes_data(text="handed on")
    return ArtifactsOfPipelines(made.output, read(data=made.output).output)


@dsl.component
def together(texts: list) -> list:
    return texts


@dsl.pipeline(name="pipelines-in-loops")
def pipelines_in_loops() -> list:
    with dsl.ParallelFor(["a", "b"]) as item:
        made = polite(name=item, greeting="hi")
    return together(texts=dsl.Collected(made.output)).output
