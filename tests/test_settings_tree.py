"""Settings in a file: what it may say, and that the platform obeys."""

import urllib.request
from pathlib import Path

import pytest

import flowdeck
from flowdeck.cli.up import IN_FILE
from flowdeck.components.pipelines.settings import PipelinesSettings, RetentionSettings
from flowdeck.settings import JobSettings, Settings
from flowdeck.settings_tree import SettingsError, read
from tests.kubernetes.rig.control_plane import free_ports

PLAIN = Settings(data=Path("/data"), database="postgresql://h/d")


def test_a_file_says_what_has_no_option() -> None:
    text = """
jobs: {back_off_start_s: 10}
pipelines:
  webhooks: [https://a.example, https://b.example]
  url_origins: [https://git.example]
  retention: {archive_runs_s: 60, with_runs: true}
"""
    pipelines = PipelinesSettings(
        webhooks=("https://a.example", "https://b.example"),
        url_origins=frozenset({"https://git.example"}),
        retention=RetentionSettings(archive_runs_s=60, with_runs=True),
    )
    wanted = Settings(
        data=PLAIN.data, database=PLAIN.database, jobs=JobSettings(back_off_start_s=10.0), pipelines=pipelines
    )
    assert read(text, PLAIN, only=IN_FILE) == wanted


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("node: {pods: 3}", "node: there is no such setting; there are jobs, pipelines, training"),
        ("pipelines: {webhooks: https://a}", "pipelines.webhooks: must be a list of texts"),
        ("pipelines: {retention: {days: 3}}", "pipelines.retention.days: there is no such setting"),
    ],
)
def test_what_has_an_option_or_is_none_is_refused(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=f"^{told}"):
        read(text, PLAIN, only=IN_FILE)


def test_a_platform_is_started_with_a_file(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    file = tmp_path / "settings.yaml"
    file.write_text(f"pipelines: {{port: {port}}}")
    with flowdeck.platform(options=["--no-node", "--settings", str(file)]):
        answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/apis/v2beta1/healthz", timeout=30)
        assert answer.status == 200
