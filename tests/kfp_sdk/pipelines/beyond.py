"""What `kfp.local` cannot run, or gives otherwise than a server does; the tests know what must come out."""

# ruff: noqa: B006, UP045 - the SDK reads annotations and defaults, and components are short

from typing import NamedTuple, Optional

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output, PipelineTaskFinalStatus


@dsl.component
def say(text: str) -> str:
    return text


@dsl.component
def keep(values: list) -> list:
    return values


@dsl.component
def total(values: list[int]) -> int:
    return sum(values)


@dsl.component
def double(value: int) -> int:
    return value * 2


@dsl.component
def write(text: str, data: Output[Dataset]):
    data.metadata["length"] = len(text)
    with open(data.path, "w") as file:
        file.write(text)


@dsl.component
def read(data: Input[Artifact]) -> str:
    return open(data.path).read()


@dsl.component
def fail(message: str = "as it should"):
    raise ValueError(message)


# ---- numbers: a server's are whole where they are whole -----------------------------------------------------------


class NumbersInTexts(NamedTuple):
    text: str
    sum: int
    kinds: str


@dsl.component
def kinds(items: list, fields: dict) -> str:
    return f"{items} {fields}"


@dsl.pipeline(name="numbers-in-texts")
def numbers_in_texts(count: int = 3, share: float = 0.25, large: float = 1e6) -> NumbersInTexts:
    made = double(value=count)
    text = say(text=f"{made.output} of {count}, {share}, {large}")
    with dsl.ParallelFor([1, 2, 3]) as item:
        doubled = double(value=item)
    sum_of_all = total(values=dsl.Collected(doubled.output))
    told = kinds(items=[1, 2.5, count], fields={"a": 1, "b": [2.0]})
    return NumbersInTexts(text.output, sum_of_all.output, told.output)


# ---- containers ----------------------------------------------------------------------------------------------------

_WRITE_ARGUMENTS = "import json, sys; json.dump(sys.argv[2:], open(sys.argv[1], 'w'))"


@dsl.container_component
def arguments_of(
    text: str, whole: int, real: float, yes: bool, items: list, fields: dict, arguments: dsl.OutputPath(list)
):
    return dsl.ContainerSpec(
        image="python:3.11",
        command=["python3", "-c", _WRITE_ARGUMENTS, arguments],
        args=[text, whole, real, yes, items, fields, f"--text={text}"],
    )


@dsl.pipeline(name="values-in-a-command")
def values_in_a_command() -> list:
    return arguments_of(
        text="a 'b'", whole=1000000, real=0.1, yes=True, items=[1, "x", {"y": []}], fields={"b": 2, "a": [1.5]}
    ).output


@dsl.container_component
def maybe(arguments: dsl.OutputPath(list), name: str = "n", other: Optional[str] = None):
    return dsl.ContainerSpec(
        image="python:3.11",
        command=["python3", "-c", _WRITE_ARGUMENTS, arguments],
        args=[
            dsl.IfPresentPlaceholder("other", then=["--other", other], else_=["--no-other"]),
            dsl.IfPresentPlaceholder("other", then="there"),
            dsl.ConcatPlaceholder(
                ["<", name, dsl.IfPresentPlaceholder("other", then=dsl.ConcatPlaceholder(["+", other])), ">"]
            ),
        ],
    )


class MaybeThere(NamedTuple):
    without: list
    given: list


@dsl.pipeline(name="maybe-there")
def maybe_there() -> MaybeThere:
    return MaybeThere(maybe().output, maybe(name="m", other="o").output)


@dsl.container_component
def copy(source: Input[Dataset], target: Output[Dataset]):
    return dsl.ContainerSpec(
        image="alpine",
        command=["sh", "-c", 'cp "$0" "$1"; echo from $2 >> "$1"'],
        args=[source.path, target.path, "sh"],
    )


class CopiedFile(NamedTuple):
    text: str
    target: Dataset


@dsl.pipeline(name="a-copied-file")
def a_copied_file() -> CopiedFile:
    copied = copy(source=write(text="line\n").outputs["data"])
    return CopiedFile(read(data=copied.outputs["target"]).output, copied.outputs["target"])


# ---- conditions and loops ------------------------------------------------------------------------------------------


@dsl.component
def share(value: float) -> float:
    return value


@dsl.pipeline(name="reals-decide")
def reals_decide(value: float = 0.75) -> str:
    made = share(value=value)
    with dsl.If(made.output > 0.9):
        high = say(text="high")
    with dsl.Elif(made.output > 0.5):
        middle = say(text="middle")
    with dsl.Else():
        low = say(text="low")
    return dsl.OneOf(high.output, middle.output, low.output)


@dsl.pipeline(name="one-of-two-artifacts")
def one_of_two_artifacts(first: bool = False) -> str:
    with dsl.If(first == True):  # noqa: E712 - the SDK makes a condition of it
        one = write(text="the first")
    with dsl.Else():
        two = write(text="the second")
    return read(data=dsl.OneOf(one.outputs["data"], two.outputs["data"])).output


class Skipped(NamedTuple):
    text: str


@dsl.pipeline(name="skipped-tasks")
def skipped_tasks(yes: bool = False) -> Skipped:
    with dsl.If(yes == True):  # noqa: E712 - the SDK makes a condition of it
        inside = say(text="never")
        say(text=f"{inside.output} either")
    return Skipped(say(text="this runs").output)


@dsl.pipeline(name="no-iterations")
def no_iterations(items: list[int] = []) -> list:
    with dsl.ParallelFor(items) as item:
        made = double(value=item)
    return keep(values=dsl.Collected(made.output)).output


@dsl.pipeline
def make_three() -> list[Dataset]:
    with dsl.ParallelFor(["a", "b", "c"]) as text:
        made = write(text=text)
    return dsl.Collected(made.outputs["data"])


@dsl.pipeline(name="loop-over-artifacts")
def loop_over_artifacts() -> list:
    with dsl.ParallelFor(make_three().output) as data:
        text = read(data=data)
    return keep(values=dsl.Collected(text.output)).output


@dsl.pipeline(name="loop-in-a-loop-over-its-item")
def loop_in_a_loop_over_its_item() -> list:
    with dsl.ParallelFor([{"row": ["a", "b"]}, {"row": ["c"]}]) as outer, dsl.ParallelFor(outer.row) as inner:
        made = say(text=inner)
    return keep(values=dsl.Collected(made.output)).output


# ---- pipelines in pipelines ----------------------------------------------------------------------------------------


@dsl.component
def tell(text: Optional[str] = None, count: int = 5) -> str:
    return f"{text!r} {count}"


@dsl.pipeline
def passes_on(text: Optional[str] = None, count: int = 4) -> str:
    return tell(text=text, count=count).output


class WhatNobodyGave(NamedTuple):
    none: str
    given: str
    own: str


@dsl.pipeline(name="what-nobody-gave")
def what_nobody_gave(text: Optional[str] = None, given: Optional[str] = "given") -> WhatNobodyGave:
    return WhatNobodyGave(passes_on(text=text).output, passes_on(text=given, count=3).output, passes_on().output)


@dsl.pipeline
def reads_data(data: Input[Dataset], name: str) -> str:
    return say(text=f"{name} reads {read(data=data).output}").output


@dsl.pipeline(name="artifacts-into-pipelines")
def artifacts_into_pipelines() -> str:
    return reads_data(data=write(text="what was written").outputs["data"], name="Ada").output


# ---- failures and exits --------------------------------------------------------------------------------------------


@dsl.component
def tidy_up(status: PipelineTaskFinalStatus) -> dict:
    return {
        "state": status.state,
        "task": status.pipeline_task_name,
        "run": status.pipeline_job_resource_name.startswith("an-exit-"),
        "message": status.error_message or "",
    }


@dsl.pipeline(name="an-exit-after-a-failure")
def an_exit_after_a_failure():
    exit_task = tidy_up()
    with dsl.ExitHandler(exit_task):
        fail(message="on purpose").set_caching_options(False)


@dsl.pipeline
def tidy_up_well(note: str):
    say(text=say(text=note).output)


@dsl.pipeline(name="a-pipeline-as-exit")
def a_pipeline_as_exit():
    with dsl.ExitHandler(tidy_up_well(note="bye")):
        say(text="inside")


@dsl.component
def fail_or_say(text: str) -> str:
    raise ValueError("it never says anything")


@dsl.component
def hear(text: str = "nothing") -> str:
    return f"heard {text}"


@dsl.pipeline(name="failures-that-do-not-matter")
def failures_that_do_not_matter():
    failing = fail_or_say(text="x")
    hear(text=failing.output).ignore_upstream_failure()


# ---- the rest ------------------------------------------------------------------------------------------------------


@dsl.component
def at_a_path_of_its_own(data: Output[Dataset]):
    data.set_path("/tmp/of-its-own.txt")
    with open(data.path, "w") as file:
        file.write("at a path of its own")


@dsl.pipeline(name="paths-of-their-own")
def paths_of_their_own() -> str:
    return read(data=at_a_path_of_its_own().outputs["data"]).output


@dsl.component
def know(resource: str, created: str, scheduled: str, mixed: str) -> dict:
    from datetime import datetime

    return {
        "resource": resource.startswith("what-a-run-knows-") and len(resource) == len("what-a-run-knows-") + 5,
        "created": datetime.fromisoformat(created.replace("Z", "+00:00")).year > 2000,
        "scheduled": scheduled >= created,
        "mixed": mixed.startswith("run what-a-run-knows-") and mixed.endswith(", task know"),
    }


@dsl.pipeline(name="what-a-run-knows")
def what_a_run_knows() -> dict:
    return know(
        resource=dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER,
        created=dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER,
        scheduled=dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER,
        mixed=f"run {dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER}, task {dsl.PIPELINE_TASK_NAME_PLACEHOLDER}",
    ).output
