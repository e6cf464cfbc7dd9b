"""Trains a model on a table, measures it on rows that it has not seen, and publishes it if it is good enough.

python examples/pipelines/tabular_training.py [LEAST ACCURACY]
"""

import sys

import kfp
from kfp import dsl
from kfp.dsl import ClassificationMetrics, Dataset, Input, Metrics, Model, Output

TOOLS = ["scikit-learn==1.7.2", "pandas==2.3.3"]


@dsl.component(packages_to_install=TOOLS)
def split(train: Output[Dataset], test: Output[Dataset], test_share: float = 0.25) -> None:
    """Handwritten digits, 64 pixels and a label a row, as two tables."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    table = load_digits(as_frame=True).frame
    halves = train_test_split(table, test_size=test_share, random_state=0)
    for artifact, rows in zip((train, test), halves, strict=True):
        rows.to_csv(artifact.path, index=False)
        artifact.metadata["rows"] = len(rows)


@dsl.component(packages_to_install=TOOLS)
def fit(train: Input[Dataset], model: Output[Model], trees: int = 100) -> None:
    import joblib
    import pandas as pd
    from sklearn.ensemble import RandomForestClassifier

    table = pd.read_csv(train.path)
    forest = RandomForestClassifier(trees, random_state=0).fit(table.drop(columns="target"), table["target"])
    joblib.dump(forest, model.path)
    model.framework = "scikit-learn"


@dsl.component(packages_to_install=TOOLS)
def evaluate(
    model: Input[Model], test: Input[Dataset], metrics: Output[Metrics], confusion: Output[ClassificationMetrics]
) -> float:
    import joblib
    import pandas as pd
    from sklearn.metrics import accuracy_score, confusion_matrix

    table = pd.read_csv(test.path)
    predicted = joblib.load(model.path).predict(table.drop(columns="target"))
    accuracy = float(accuracy_score(table["target"], predicted))
    metrics.log_metric("accuracy", accuracy)
    confusion.log_confusion_matrix(
        [str(digit) for digit in range(10)], confusion_matrix(table["target"], predicted).tolist()
    )
    print(f"accuracy {accuracy:.3f} on {len(table)} rows")
    return accuracy


@dsl.component
def publish(model: Input[Model], accuracy: float, published: Output[Model]) -> str:
    import shutil

    shutil.copy(model.path, published.path)
    published.metadata.update(model.metadata, accuracy=accuracy)
    return f"published, with an accuracy of {accuracy:.3f}"


@dsl.component
def refuse(accuracy: float, least: float) -> str:
    return f"not published: an accuracy of {accuracy:.3f} is less than {least}"


@dsl.pipeline(name="tabular-training")
def tabular_training(least_accuracy: float = 0.95, trees: int = 100) -> str:
    tables = split()
    model = fit(train=tables.outputs["train"], trees=trees).outputs["model"]
    accuracy = evaluate(model=model, test=tables.outputs["test"]).outputs["Output"]
    with dsl.If(accuracy >= least_accuracy):
        good = publish(model=model, accuracy=accuracy)
    with dsl.Else():
        bad = refuse(accuracy=accuracy, least=least_accuracy)
    return dsl.OneOf(good.outputs["Output"], bad.output)


if __name__ == "__main__":
    least = float(sys.argv[1]) if len(sys.argv) > 1 else 0.95
    result = kfp.Client().create_run_from_pipeline_func(tabular_training, arguments={"least_accuracy": least})
    run = result.wait_for_run_completion()
    for task in run.run_details.task_details:
        if task.pod_name is None or "attempt" not in task.display_name:
            print(f"{task.state:10} {task.display_name}")
    print(f"run {run.run_id}: {run.state}")
    sys.exit(run.state != "SUCCEEDED")
