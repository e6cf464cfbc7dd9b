"""Settings in a ConfigMap: what they become, and how wrong ones are told."""

import pytest

from flowdeck.cluster.settings import ClusterSettings, LeaderSettings
from flowdeck.cluster.settings_text import as_tree, read_settings
from flowdeck.components.training.settings import TrainingSettings
from flowdeck.kube import yaml_text
from flowdeck.settings_tree import SettingsError


def test_nothing_means_the_defaults() -> None:
    assert read_settings("") == ClusterSettings()
    assert as_tree(ClusterSettings()) == {}


def test_what_is_left_out_in_a_branch_keeps_the_clusters_default() -> None:
    settings = read_settings("training:\n  progress_server: false\nleader: {renew_s: 5}\ndisabled: [jobset]\n")
    training = TrainingSettings(progress_server=False, progress_host="0.0.0.0", progress_port=10443)
    assert settings == ClusterSettings(
        disabled=frozenset({"jobset"}), training=training, leader=LeaderSettings(renew_s=5.0)
    )


def test_settings_survive_being_written() -> None:
    text = (
        "disabled: [jobset]\nwebhook_port: 1\nleader: {lease_s: 3}\npipelines: {webhooks: ['https://a', 'https://b']}\n"
    )
    assert as_tree(read_settings(text)) == yaml_text.load(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "settings are not YAML"),
        ("- a", "settings: must be a mapping"),
        ("webhookport: 1", "webhookport: there is no such setting; there are disabled, host"),
        ("webhook_port: nine", "webhook_port: must be of type int, not 'nine'"),
        ("webhook_port: true", "webhook_port: must be of type int, not True"),
        ("leader: {lease: 3}", "leader.lease: there is no such setting; there are lease_s"),
        ("leader: 3", "leader: must be a mapping"),
        ("training: {tls_key: /etc/passwd}", "training.tls_key: there is no such setting"),
        ("disabled: jobset", "disabled: must be a list of texts, not 'jobset'"),
        ("disabled: [typo]", "disabled: there is no component 'typo'"),
    ],
)
def test_wrong_settings_are_told_with_their_place(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match="^" + told.replace("[", r"\[")):
        read_settings(text)
