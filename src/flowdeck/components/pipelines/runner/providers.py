"""How object stores are reached: the ConfigMap `kfp-launcher` of a namespace. Pure.

    defaultPipelineRoot: s3://bucket/prefix
    providers: |
      s3:                                  # or minio, gs, az
        default:
          endpoint: s3.example.org         # with or without scheme
          region: eu-1
          disableSSL: false
          forcePathStyle: true             # always, whatever it says: all stores take it
          credentials: {fromEnv: false, secretRef: {secretName: s, accessKeyKey: a, secretKeyKey: b, tokenKey: c}}
        overrides:
        - {bucketName: other, keyPrefix: some/prefix, ...}

Source: kubeflow/pipelines (backend/src/v2/config, backend/src/v2/objectstore).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import yaml

from flowdeck.artifacts.uris import Uri
from flowdeck.kube.errors import BadRequest

CONFIG: Final = "kfp-launcher"
"""The ConfigMap."""
_SECRET_OPTIONS: Final = {
    "s3": {"accessKeyKey": "access_key_id", "secretKeyKey": "secret_access_key", "tokenKey": "session_token"},
    "gs": {"tokenKey": "service_account_key"},
    "az": {"accessKeyKey": "account_name", "secretKeyKey": "account_key", "tokenKey": "sas_token"},
}
"""Keys of a `secretRef`, and what the store calls what they lead to."""


@dataclass(frozen=True)
class Provider:
    """How one bucket is reached; without a secret: as the environment says (`fromEnv`)."""

    options: Mapping[str, str] = field(default_factory=dict)
    """The store's own: `endpoint`, `region`, ..."""
    secret: str = ""
    """Name of a Secret in the namespace."""
    secret_keys: Mapping[str, str] = field(default_factory=dict)
    """Option -> key in that Secret."""


@dataclass(frozen=True)
class LauncherConfig:
    """What the ConfigMap says."""

    default_root: str = ""
    providers: Mapping[str, Any] = field(default_factory=dict)

    def has(self, scheme: str) -> bool:
        return bool(self.providers.get(scheme))

    def provider(self, at: Uri, query: str = "") -> Provider:
        """The one of an object; a `query` of the pipeline root goes before what the ConfigMap says."""
        config = self.providers.get(at.scheme) or {}
        chosen = config.get("default") or {}
        for override in config.get("overrides") or ():
            if override.get("bucketName") == at.bucket and at.key.startswith(override.get("keyPrefix") or ""):
                chosen = override
                break
        return _provider(store_of(at.scheme), {**chosen, **_of_query(query)})


def launcher_config(data: Mapping[str, str] | None) -> LauncherConfig:
    """Of the ConfigMap's data; raises `BadRequest`."""
    data = data or {}
    try:
        providers = yaml.safe_load(data.get("providers") or "") or {}
    except yaml.YAMLError as error:
        raise BadRequest(f"the ConfigMap {CONFIG} has `providers` that are no YAML: {error}") from error
    if not isinstance(providers, dict):
        raise BadRequest(f"the ConfigMap {CONFIG} has `providers` that are no mapping of s3, minio, gs, az")
    return LauncherConfig(data.get("defaultPipelineRoot") or "", providers)


def store_of(scheme: str) -> str:
    """What speaks to a scheme: MinIO speaks S3."""
    return "s3" if scheme == "minio" else scheme


def _provider(store: str, given: Mapping[str, Any]) -> Provider:
    options: dict[str, str] = {}
    if endpoint := str(given.get("endpoint") or ""):
        plain = _is(given.get("disableSSL"))
        options["endpoint"] = endpoint if "://" in endpoint else f"{'http' if plain else 'https'}://{endpoint}"
    if region := given.get("region"):
        options["region"] = str(region)
    credentials = given.get("credentials") or {}
    ref = credentials.get("secretRef") or {}
    if _is(credentials.get("fromEnv")) or not ref.get("secretName"):
        return Provider(options)
    keys = {option: str(ref[name]) for name, option in _SECRET_OPTIONS.get(store, {}).items() if ref.get(name)}
    return Provider(options, str(ref["secretName"]), keys)


def _of_query(query: str) -> dict[str, Any]:
    return {name: value for name, value in parse_qsl(query) if name in ("endpoint", "region", "disableSSL")}


def _is(value: Any) -> bool:
    return str(value).lower() == "true"
