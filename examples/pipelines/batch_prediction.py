"""Predicts for many rows: the table is cut into parts, one model predicts for each, the results become one table.

python examples/pipelines/batch_prediction.py
"""

import sys

import kfp
from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

TOOLS = ["scikit-learn==1.7.2", "pandas==2.3.3"]


@dsl.component(packages_to_install=TOOLS)
def fit(model: Output[Model]) -> None:
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    joblib.dump(LogisticRegression(max_iter=1000).fit(*load_iris(return_X_y=True)), model.path)
    model.framework = "scikit-learn"


@dsl.component
def cut(parts: int, rows: int) -> list:
    """The bounds of each part."""
    size = -(-rows // parts)
    return [{"first": str(at), "behind": str(min(at + size, rows))} for at in range(0, rows, size)]


@dsl.component(packages_to_install=TOOLS)
def predict(model: Input[Model], first: str, behind: str, predictions: Output[Dataset]) -> None:
    import joblib
    import pandas as pd
    from sklearn.datasets import load_iris

    rows = load_iris().data[int(first) : int(behind)]
    found = joblib.load(model.path).predict(rows)
    pd.DataFrame({"row": range(int(first), int(behind)), "kind": found}).to_csv(predictions.path, index=False)


@dsl.component(packages_to_install=TOOLS)
def together(parts: Input[list[Dataset]], predictions: Output[Dataset]) -> str:
    import pandas as pd

    table = pd.concat([pd.read_csv(part.path) for part in parts]).sort_values("row")
    table.to_csv(predictions.path, index=False)
    counts = table["kind"].value_counts().sort_index()
    return ", ".join(f"{count} of kind {kind}" for kind, count in counts.items())


@dsl.pipeline(name="batch-prediction")
def batch_prediction(parts: int = 3, rows: int = 150) -> str:
    model = fit().outputs["model"]
    with dsl.ParallelFor(cut(parts=parts, rows=rows).output, parallelism=2) as part:
        predicted = predict(model=model, first=part.first, behind=part.behind)
    return together(parts=dsl.Collected(predicted.outputs["predictions"])).outputs["Output"]


if __name__ == "__main__":
    run = kfp.Client().create_run_from_pipeline_func(batch_prediction).wait_for_run_completion()
    for task in run.run_details.task_details:
        if task.pod_name is None or "attempt" not in task.display_name:
            print(f"{task.state:10} {task.display_name}")
    print(f"run {run.run_id}: {run.state}")
    sys.exit(run.state != "SUCCEEDED")
