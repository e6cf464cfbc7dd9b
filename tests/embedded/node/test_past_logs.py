"""The logs of deleted pods can be read for a while; the oldest go when there is too much."""

import os
from pathlib import Path

import pytest

from flowdeck.embedded.node.past_logs import PastLogs
from flowdeck.kube.errors import NotFound
from flowdeck.kube.objects import ObjectKey

POD = ObjectKey("team", "p")


def a_log_folder(folder: Path, name: str, *, attempts: int = 1, size: int = 10, age_s: int = 0) -> Path:
    logs = folder / name
    (logs / "main").mkdir(parents=True)
    for attempt in range(attempts):
        (logs / "main" / f"{attempt}.log").write_bytes(b"x" * size)
    return logs


def test_the_last_attempt_of_the_newest_pod_is_found(tmp_path: Path) -> None:
    past = PastLogs(tmp_path / "past")
    past.keep(a_log_folder(tmp_path, "team_p_old"))
    os.utime(tmp_path / "past" / "team_p_old", (1, 1))
    past.keep(a_log_folder(tmp_path, "team_p_new", attempts=12))
    assert past.find(POD, "main") == [tmp_path / "past" / "team_p_new" / "main" / "11.log"]


def test_an_attempt_that_was_killed_before_it_printed_anything_is_passed_over(tmp_path: Path) -> None:
    logs = a_log_folder(tmp_path, "team_p_uid", attempts=2)
    (logs / "main" / "2.log").touch()
    past = PastLogs(tmp_path / "past")
    past.keep(logs)
    assert past.find(POD, "main") == [tmp_path / "past" / "team_p_uid" / "main" / "1.log"]


def test_a_pod_is_found_by_the_name_that_its_own_was_made_from(tmp_path: Path) -> None:
    past = PastLogs(tmp_path / "past")
    past.keep(a_log_folder(tmp_path, "team_p-0-0-abcde_uid"))
    assert past.find(ObjectKey("team", "p-0-0-"), "main")
    for other in ("p-0-0", "p-0-", "p-"):
        with pytest.raises(NotFound):
            past.find(ObjectKey("team", other), "main")


@pytest.mark.parametrize(("pod", "container"), [(ObjectKey("team", "q"), "main"), (POD, "other")])
def test_what_was_not_kept_is_told(tmp_path: Path, pod: ObjectKey, container: str) -> None:
    past = PastLogs(tmp_path / "past")
    past.keep(a_log_folder(tmp_path, "team_p_uid"))
    with pytest.raises(NotFound, match=f'no log of container "{container}" of pod "{pod.name}"'):
        past.find(pod, container)


def test_the_oldest_go_when_there_is_too_much(tmp_path: Path) -> None:
    past = PastLogs(tmp_path / "past", max_bytes=25)
    for number in range(3):
        past.keep(a_log_folder(tmp_path, f"team_p{number}_uid"))
        os.utime(tmp_path / "past" / f"team_p{number}_uid", (number + 1, number + 1))
    past.keep(a_log_folder(tmp_path, "team_p3_uid"))
    assert sorted(folder.name for folder in (tmp_path / "past").iterdir()) == ["team_p2_uid", "team_p3_uid"]


def test_a_pod_without_logs_leaves_nothing(tmp_path: Path) -> None:
    PastLogs(tmp_path / "past").keep(tmp_path / "none")
    assert not (tmp_path / "past").exists()
