"""Artifacts: files and folders, their metadata, lists of them, those that were there before."""

# ruff: noqa: SIM115 - the SDK reads annotations and defaults, and components are short

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Model, Output


@dsl.component
def make_data(rows: int, data: Output[Dataset]):
    data.metadata.update(rows=rows, share=0.25, tags=["a", "b"], nested={"x": 1, "y": [1.5]}, good=True, empty="")
    with open(data.path, "w") as file:
        file.write("\n".join(str(at * at) for at in range(rows)))


@dsl.component
def train(data: Input[Dataset], model: Output[Model], metrics: Output[Metrics]) -> float:
    values = [int(line) for line in open(data.path)]
    model.framework = "none"
    with open(model.path, "w") as file:
        file.write(f"mean {sum(values) / len(values)}")
    metrics.log_metric("mean", sum(values) / len(values))
    metrics.log_metric("largest", max(values))
    return sum(values) / len(values)


@dsl.component
def look(data: Input[Artifact]) -> dict:
    return {"type": data.schema_title, "metadata": data.metadata}


class DataModelMetrics(NamedTuple):
    data: Dataset
    model: Model
    metrics: Metrics
    mean: float
    seen: dict


@dsl.pipeline(name="data-model-metrics")
def data_model_metrics(rows: int = 5) -> DataModelMetrics:
    data = make_data(rows=rows)
    trained = train(data=data.outputs["data"])
    seen = look(data=data.outputs["data"])
    of = trained.outputs
    return DataModelMetrics(data.outputs["data"], of["model"], of["metrics"], of["Output"], seen.output)


@dsl.component
def make_folder(model: Output[Model]):
    import os

    os.makedirs(os.path.join(model.path, "inner"))
    for name in ("weights.bin", "inner/config.json"):
        with open(os.path.join(model.path, name), "w") as file:
            file.write(f"content of {name}")


@dsl.component
def list_folder(model: Input[Model]) -> list:
    import os

    return sorted(
        os.path.relpath(os.path.join(folder, name), model.path)
        for folder, _, names in os.walk(model.path)
        for name in names
    )


class Folders(NamedTuple):
    model: Model
    names: list


@dsl.pipeline(name="folders")
def folders() -> Folders:
    model = make_folder()
    return Folders(model.outputs["model"], list_folder(model=model.outputs["model"]).output)


@dsl.component
def report(html: Output[HTML], markdown: Output[Markdown], matrix: Output[ClassificationMetrics]):
    with open(html.path, "w") as file:
        file.write("<h1>fine</h1>")
    with open(markdown.path, "w") as file:
        file.write("# fine")
    matrix.log_confusion_matrix(["cat", "dog"], [[3, 1], [0, 4]])
    matrix.log_roc_curve([0.0, 0.5], [0.0, 1.0], [1.0, 0.5])


class Reports(NamedTuple):
    html: HTML
    markdown: Markdown
    matrix: ClassificationMetrics


@dsl.pipeline(name="reports")
def reports() -> Reports:
    of = report().outputs
    return Reports(of["html"], of["markdown"], of["matrix"])


@dsl.component
def nothing_written(model: Output[Model]):
    model.metadata["note"] = "no file"


@dsl.pipeline(name="an-artifact-without-a-file")
def an_artifact_without_a_file() -> dict:
    return look(data=nothing_written().outputs["model"]).output


@dsl.component
def two_models() -> NamedTuple("Out", [("first", Model), ("second", Model)]):
    from kfp import dsl

    found = []
    for name in ("first", "second"):
        model = dsl.Model(uri=dsl.get_uri(suffix=name), metadata={"name": name, "size": 2})
        with open(model.path, "w") as file:
            file.write(f"the {name}")
        found.append(model)
    return tuple(found)


@dsl.component
def read_both(first: Model, second: Model) -> list:
    return [open(each.path).read() for each in (first, second)]


class ArtifactsAsValues(NamedTuple):
    first: Model
    second: Model
    read: list


@dsl.pipeline(name="artifacts-as-values")
def artifacts_as_values() -> ArtifactsAsValues:
    of = two_models().outputs
    return ArtifactsAsValues(of["first"], of["second"], read_both(first=of["first"], second=of["second"]).output)


@dsl.component
def make_part(number: str, part: Output[Dataset]):
    part.metadata["part"] = number
    with open(part.path, "w") as file:
        file.write(f"part {number}")


@dsl.pipeline
def make_parts() -> list[Dataset]:
    with dsl.ParallelFor(["3", "1", "2"]) as number:
        made = make_part(number=number)
    return dsl.Collected(made.outputs["part"])


@dsl.component
def read_list(parts: Input[list[Dataset]]) -> list:
    return [f"{open(each.path).read()} {each.metadata['part']}" for each in parts]


class ListsOfArtifacts(NamedTuple):
    parts: list[Dataset]
    read: list


@dsl.pipeline(name="lists-of-artifacts")
def lists_of_artifacts() -> ListsOfArtifacts:
    parts = make_parts().output
    return ListsOfArtifacts(parts, read_list(parts=parts).output)
