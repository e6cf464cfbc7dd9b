"""Each shipped runtime with each sort of TrainJob leads to the objects that stand in golden/."""

import pytest
import yaml

from tests.components.training.golden_cases import FOLDER, RUNTIMES, built, cases

NAMES = list(cases("any"))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("case", NAMES)
def test_a_train_job_becomes_the_expected_objects(runtime: str, case: str) -> None:
    expected = yaml.load((FOLDER / f"{runtime}.yaml").read_text(), yaml.CSafeLoader)
    assert built(runtime, cases(runtime)[case]) == expected[case]


def test_every_runtime_and_case_is_covered() -> None:
    for path in FOLDER.glob("*.yaml"):
        assert path.stem in RUNTIMES
        assert list(yaml.load(path.read_text(), yaml.CSafeLoader)) == NAMES
