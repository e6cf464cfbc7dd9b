"""Trains one model for each point of a grid, all at once, and keeps the best.

python examples/pipelines/parameter_sweep.py
"""

import sys

import kfp
from kfp import dsl
from kfp.dsl import Input, Model, Output

TOOLS = ["scikit-learn==1.7.2"]
GRID = [{"kernel": kernel, "penalty": penalty} for kernel in ("rbf", "poly") for penalty in ("0.1", "1", "10")]


@dsl.component(packages_to_install=TOOLS)
def try_out(kernel: str, penalty: str, model: Output[Model]) -> None:
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.model_selection import cross_val_score
    from sklearn.svm import SVC

    flowers, kinds = load_iris(return_X_y=True)
    machine = SVC(kernel=kernel, C=float(penalty))
    accuracy = float(cross_val_score(machine, flowers, kinds, cv=5).mean())
    joblib.dump(machine.fit(flowers, kinds), model.path)
    model.metadata.update(kernel=kernel, penalty=float(penalty), accuracy=accuracy)
    print(f"{kernel}, {penalty}: {accuracy:.3f}")


@dsl.component
def choose(models: Input[list[Model]], best: Output[Model]) -> str:
    import shutil

    for model in sorted(models, key=lambda each: each.metadata["accuracy"]):
        print(model.metadata["kernel"], model.metadata["penalty"], model.metadata["accuracy"])
    winner = max(models, key=lambda each: each.metadata["accuracy"])
    shutil.copy(winner.path, best.path)
    best.metadata.update(winner.metadata)
    return f"{winner.metadata['kernel']} with a penalty of {winner.metadata['penalty']}"


@dsl.pipeline(name="parameter-sweep")
def parameter_sweep(grid: list = GRID) -> str:
    with dsl.ParallelFor(grid, parallelism=3) as point:
        tried = try_out(kernel=point.kernel, penalty=point.penalty)
    return choose(models=dsl.Collected(tried.outputs["model"])).outputs["Output"]


if __name__ == "__main__":
    run = kfp.Client().create_run_from_pipeline_func(parameter_sweep).wait_for_run_completion()
    for task in run.run_details.task_details:
        if task.pod_name is None or "attempt" not in task.display_name:
            print(f"{task.state:10} {task.display_name}")
    print(f"run {run.run_id}: {run.state}")
    sys.exit(run.state != "SUCCEEDED")
