"""Loops: over what, in which order results are collected, what a task inside sees."""

# ruff: noqa: B006 - the SDK reads annotations and defaults, and components are short

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output


@dsl.component
def double(value: int) -> int:
    return value * 2


@dsl.component
def listed(count: int) -> list:
    return [{"title": f"n{at}", "size": str(at), "tags": ["t"] * at} for at in range(count)]


@dsl.component
def keep(values: list) -> list:
    return values


@dsl.component
def describe(name: str, size: str) -> str:
    return f"{name}:{size}"


@dsl.component
def add(left: int, right: int) -> int:
    return left * 10 + right


@dsl.component
def write(text: str, data: Output[Dataset]):
    data.metadata["text"] = text
    with open(data.path, "w") as file:
        file.write(text.upper())


@dsl.component
def read_all(datasets: Input[list[Dataset]]) -> list:
    return [open(each.path).read() + each.metadata["text"] for each in datasets]


@dsl.component
def read(data: Input[Artifact]) -> str:
    return open(data.path).read()


@dsl.pipeline(name="loop-over-constants")
def loop_over_constants() -> list:
    with dsl.ParallelFor([5, 1, 4, 2]) as item:
        made = double(value=item)
    return keep(values=dsl.Collected(made.output)).output


@dsl.pipeline(name="loop-over-an-input")
def loop_over_an_input(items: list[int] = [3, 2, 1], limit: int = 10) -> list:
    with dsl.ParallelFor(items, parallelism=2) as item:
        made = add(left=item, right=limit)
    return keep(values=dsl.Collected(made.output)).output


@dsl.pipeline(name="loop-over-an-output")
def loop_over_an_output(count: int = 3) -> list:
    with dsl.ParallelFor(listed(count=count).output) as item:
        made = describe(name=item.title, size=item.size)
    return keep(values=dsl.Collected(made.output)).output


@dsl.pipeline(name="loop-over-structures")
def loop_over_structures() -> list:
    with dsl.ParallelFor([{"title": "a", "size": "1"}, {"title": "b", "size": "2"}]) as item:
        made = describe(name=item.title, size=item.size)
    return keep(values=dsl.Collected(made.output)).output


@dsl.pipeline(name="loops-in-loops")
def loops_in_loops() -> list:
    with dsl.ParallelFor([1, 2]) as outer, dsl.ParallelFor([3, 4, 5]) as inner:
        made = add(left=outer, right=inner)
    return keep(values=dsl.Collected(made.output)).output


@dsl.pipeline(name="tasks-of-one-iteration")
def tasks_of_one_iteration() -> list:
    with dsl.ParallelFor(["x", "y"]) as item:
        first = describe(name=item, size="1")
        second = describe(name=first.output, size="2")
    return keep(values=dsl.Collected(second.output)).output


@dsl.pipeline(name="artifacts-of-a-loop")
def artifacts_of_a_loop() -> list:
    with dsl.ParallelFor(["one", "two", "three"]) as item:
        made = write(text=item)
    return read_all(datasets=dsl.Collected(made.outputs["data"])).output


@dsl.component
def larger(value: int, than: int) -> bool:
    return value > than


@dsl.component
def word(text: str) -> str:
    return text


@dsl.pipeline(name="conditions-in-a-loop")
def conditions_in_a_loop() -> list:
    with dsl.ParallelFor([1, 5, 9]) as item:
        is_large = larger(value=item, than=4)
        with dsl.If(is_large.output == True):  # noqa: E712 - the SDK makes a condition of it
            large = word(text="large")
        with dsl.Else():
            small = word(text="small")
        said = word(text=dsl.OneOf(large.output, small.output))
    return keep(values=dsl.Collected(said.output)).output
