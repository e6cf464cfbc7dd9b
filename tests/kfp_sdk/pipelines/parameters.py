"""Parameters: what a task gets of each type, what it hands on, and what is left out."""

# ruff: noqa: B006, UP045 - the SDK reads annotations and defaults, and components are short

from typing import NamedTuple, Optional

from kfp import dsl


@dsl.component
def tell(text: str, whole: int, real: float, yes: bool, items: list, fields: dict) -> dict:
    values = {"text": text, "whole": whole, "real": real, "yes": yes, "items": items, "fields": fields}
    kinds = {name: type(value).__name__ for name, value in values.items() if name not in ("real", "whole")}
    return {**values, "kinds": kinds}


@dsl.pipeline(name="every-type")
def every_type(
    text: str = "a 'quoted' \"text\" with ünïcode and a \\ in it",
    whole: int = 7,
    real: float = 0.5,
    yes: bool = True,
    items: list = [1, "two", 3.5, [4], {"five": 5}, True],
    fields: dict = {"a": 1, "b": {"c": [1, 2.5, "x"]}, "ü": "ß"},
) -> dict:
    return tell(text=text, whole=whole, real=real, yes=yes, items=items, fields=fields).output


@dsl.pipeline(name="empty-values")
def empty_values() -> dict:
    return tell(text="\n\t", whole=0, real=0.0, yes=False, items=[], fields={}).output


@dsl.component
def measure() -> NamedTuple(
    "Numbers", [("large", int), ("negative", int), ("tiny", float), ("huge", float), ("round", float)]
):
    return (9007199254740991, -3, 1.5e-7, 1e21, 4.0)


@dsl.component
def compare(large: int, negative: int, tiny: float, huge: float, round: float) -> str:
    return f"{large + negative} {tiny!r} {huge!r} {round / 2}"


class Numbers(NamedTuple):
    text: str
    large: int
    tiny: float
    huge: float
    round: float


@dsl.pipeline(name="numbers")
def numbers() -> Numbers:
    made = measure()
    told = compare(**{name: made.outputs[name] for name in ("large", "negative", "tiny", "huge", "round")})
    of = made.outputs
    return Numbers(told.output, of["large"], of["tiny"], of["huge"], of["round"])


@dsl.component
def make_structures() -> NamedTuple("Made", [("items", list), ("fields", dict)]):
    return (
        [{"id": 1, "tags": ["a", "b"]}, {"id": 2, "tags": []}],
        {"deep": {"er": {"est": [1, [2, [3]]]}}, "none": {}},
    )


@dsl.component
def read_structures(items: list, fields: dict) -> list:
    return [items[0]["tags"], items[1], fields["deep"]["er"]["est"][1][1], sorted(fields)]


class Structures(NamedTuple):
    items: list
    fields: dict
    read: list


@dsl.pipeline(name="structures")
def structures() -> Structures:
    made = make_structures()
    read = read_structures(items=made.outputs["items"], fields=made.outputs["fields"])
    return Structures(made.outputs["items"], made.outputs["fields"], read.output)


@dsl.component
def with_defaults(
    given: str, text: str = "default", whole: int = 3, items: list = ["a", "b"], maybe: Optional[str] = None
) -> str:
    return f"{given} {text} {whole} {items} {maybe!r}"


class DefaultsOfAComponent(NamedTuple):
    none: str
    some: str
    all: str


@dsl.pipeline(name="defaults-of-a-component")
def defaults_of_a_component(given: str = "pipeline's") -> DefaultsOfAComponent:
    none = with_defaults(given=given)
    some = with_defaults(given=given, whole=4)
    everything = with_defaults(given=given, text="t", whole=0, items=[], maybe="yes")
    return DefaultsOfAComponent(none.output, some.output, everything.output)


@dsl.component
def write_files(
    text: dsl.OutputPath(str),
    whole: dsl.OutputPath(int),
    yes: dsl.OutputPath(bool),
    items: dsl.OutputPath(list),
    fields: dsl.OutputPath(dict),
):
    import json

    for path, value in (
        (text, " text with\nlines\n"),
        (whole, "12"),
        (yes, "True"),
        (items, [1, "b"]),
        (fields, {"a": 1}),
    ):
        with open(path, "w") as file:
            file.write(value if isinstance(value, str) else json.dumps(value))


class OutputsAsFiles(NamedTuple):
    text: str
    whole: int
    yes: bool
    items: list
    fields: dict


@dsl.pipeline(name="outputs-as-files")
def outputs_as_files() -> OutputsAsFiles:
    of = write_files().outputs
    return OutputsAsFiles(of["text"], of["whole"], of["yes"], of["items"], of["fields"])
