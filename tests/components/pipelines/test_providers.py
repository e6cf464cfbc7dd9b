"""How a namespace's `kfp-launcher` says that buckets are reached."""

import pytest

from flowdeck.artifacts.uris import parse_uri
from flowdeck.components.pipelines.runner.providers import Provider, launcher_config
from flowdeck.kube.errors import BadRequest

CONFIG = """
s3:
  default:
    endpoint: s3.example.org
    region: eu-1
    disableSSL: false
    credentials: {fromEnv: false, secretRef: {secretName: keys, accessKeyKey: id, secretKeyKey: key, tokenKey: token}}
  overrides:
  - bucketName: other
    keyPrefix: private
    endpoint: http://10.0.0.1:9000
    credentials: {fromEnv: true}
minio:
  default:
    endpoint: minio:9000
    disableSSL: true
    credentials: {fromEnv: false, secretRef: {secretName: minio, accessKeyKey: a, secretKeyKey: b}}
gs:
  default:
    credentials: {fromEnv: false, secretRef: {secretName: google, tokenKey: json}}
"""
SECRETS = {"access_key_id": "id", "secret_access_key": "key", "session_token": "token"}


@pytest.mark.parametrize(
    ("uri", "query", "provider"),
    [
        ("s3://b/k", "", Provider({"endpoint": "https://s3.example.org", "region": "eu-1"}, "keys", SECRETS)),
        ("s3://other/private/k", "", Provider({"endpoint": "http://10.0.0.1:9000"})),
        (
            "s3://other/k",
            "region=us",
            Provider({"endpoint": "https://s3.example.org", "region": "us"}, "keys", SECRETS),
        ),
        (
            "minio://b/k",
            "",
            Provider({"endpoint": "http://minio:9000"}, "minio", {"access_key_id": "a", "secret_access_key": "b"}),
        ),
        ("gs://b/k", "", Provider({}, "google", {"service_account_key": "json"})),
        ("az://b/k", "endpoint=x&y=z", Provider({"endpoint": "https://x"})),
    ],
)
def test_a_bucket_has_the_provider_that_fits_best(uri: str, query: str, provider: Provider) -> None:
    assert launcher_config({"providers": CONFIG}).provider(parse_uri(uri), query) == provider


def test_without_a_config_map_nothing_is_said() -> None:
    config = launcher_config(None)
    assert (config.default_root, config.has("minio")) == ("", False)
    assert launcher_config({"defaultPipelineRoot": "s3://b/root"}).default_root == "s3://b/root"


@pytest.mark.parametrize("text", ["a: [", "- a"])
def test_providers_that_are_none_are_told(text: str) -> None:
    with pytest.raises(BadRequest, match="the ConfigMap kfp-launcher"):
        launcher_config({"providers": text})
