"""`examples/pipelines`: each runs as its first lines say."""

from pathlib import Path

import pytest

from tests.kfp_sdk.conftest import Run

pytestmark = [pytest.mark.xdist_group("kfp"), pytest.mark.timeout(900)]
EXAMPLES = Path(__file__).parents[3] / "examples" / "pipelines"


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("tabular_training", ["split", "fit", "evaluate", "publish"]),
        ("parameter_sweep", ["try-out", "choose"]),
        ("train_job", ["train-on-nodes", "check"]),
        ("batch_prediction", ["fit", "cut", "predict", "together"]),
    ],
)
def test_an_example_runs_to_its_good_end(run: Run, name: str, steps: list[str]) -> None:
    said = run(str(EXAMPLES / f"{name}.py"))
    assert [step for step in steps if f"SUCCEEDED  {step}\n" not in said] == []
    assert said.rstrip().endswith("SUCCEEDED")


def test_a_model_that_is_not_good_enough_is_not_published(run: Run) -> None:
    said = run(str(EXAMPLES / "tabular_training.py"), "1.01")
    assert "SUCCEEDED  refuse\n" in said
    assert "SKIPPED    condition-2\n" in said
