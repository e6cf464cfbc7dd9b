"""Conditions: which branch runs, and what it gives."""

from typing import NamedTuple

from kfp import dsl


@dsl.component
def flip(text: str) -> str:
    return text


@dsl.component
def number(value: int) -> int:
    return value


@dsl.component
def truth(value: bool) -> bool:
    return value


@dsl.component
def branch(name: str) -> str:
    return f"ran {name}"


@dsl.component
def follow(text: str) -> str:
    return f"it {text}"


@dsl.pipeline(name="texts-decide")
def texts_decide() -> str:
    coin = flip(text="heads or tails")
    with dsl.If(coin.output == "heads or tails"):
        yes = branch(name="if")
    with dsl.Else():
        no = branch(name="else")
    return dsl.OneOf(yes.output, no.output)


@dsl.pipeline(name="a-ladder-of-branches")
def a_ladder_of_branches(value: int = 15) -> str:
    made = number(value=value)
    with dsl.If(made.output > 20):
        first = branch(name="more than 20")
    with dsl.Elif(made.output >= 15):
        second = branch(name="15 or more")
    with dsl.Elif(made.output >= 10):
        third = branch(name="10 or more")
    with dsl.Else():
        last = branch(name="few")
    return dsl.OneOf(first.output, second.output, third.output, last.output)


class TruthDecides(NamedTuple):
    of_a_task: str
    of_an_input: str


@dsl.pipeline(name="truth-decides")
def truth_decides(value: bool = False) -> TruthDecides:
    made = truth(value=value)
    with dsl.If(made.output == True):  # noqa: E712 - the SDK makes a condition of it
        yes = branch(name="true")
    with dsl.Else():
        no = branch(name="false")
    with dsl.If(value == False):  # noqa: E712
        yes_input = branch(name="false input")
    with dsl.Else():
        no_input = branch(name="true input")
    return TruthDecides(dsl.OneOf(yes.output, no.output), dsl.OneOf(yes_input.output, no_input.output))


@dsl.pipeline(name="conditions-in-conditions")
def conditions_in_conditions(outer: str = "a", inner: int = -1) -> str:
    made, counted = flip(text=outer), number(value=inner)
    with dsl.If(made.output != "b"):
        with dsl.If(counted.output < 0):
            negative = branch(name="a, negative")
        with dsl.Else():
            positive = branch(name="a, not negative")
        found = flip(text=dsl.OneOf(negative.output, positive.output))
    with dsl.Else():
        other = branch(name="b")
    return dsl.OneOf(found.output, other.output)


@dsl.pipeline(name="both-sides-of-a-comparison")
def both_sides_of_a_comparison(left: int = 3) -> str:
    right = number(value=4)
    with dsl.If(right.output >= left):
        yes = branch(name="not less")
    with dsl.Else():
        no = branch(name="less")
    return follow(text=dsl.OneOf(yes.output, no.output)).output
