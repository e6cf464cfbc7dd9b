"""`s3://bucket/prefix`: the objects below a prefix, with the prefix taken off."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flowdeck.components.training.initializers.patterns import is_wanted
from flowdeck.components.training.initializers.report import Report, megabytes, say
from flowdeck.components.training.initializers.settings import InitializerError, Source
from flowdeck.components.training.initializers.sts import assume_role

WORKERS = 8
RETRIES = 3


def fetch(source: Source) -> None:
    """Downloads all wanted objects below the URI's prefix."""
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    bucket, _, prefix = source.path.partition("/")
    if not bucket:
        raise InitializerError("the URI names no bucket: s3://<bucket>/<prefix>")
    try:
        config: Any = store_config(source.env)
        store = S3Store(bucket, config=config, **_options(source.env))
        _fetch_all(obstore, store, prefix.rstrip("/"), source)
    except BaseError as error:
        raise InitializerError(f"{source.uri} cannot be read: {error}") from error


def store_config(env: Mapping[str, str]) -> dict[str, Any]:
    """obstore's settings; without keys in the environment the store looks for credentials by itself."""
    config: dict[str, Any] = {"region": env.get("REGION") or "auto", "virtual_hosted_style_request": False}
    if endpoint := env.get("ENDPOINT"):
        config["endpoint"] = endpoint if "://" in endpoint else f"https://{endpoint}"
    if role := env.get("ROLE_ARN"):
        return config | assume_role(role, env)
    if key := env.get("ACCESS_KEY_ID"):
        config |= {"access_key_id": key, "secret_access_key": env.get("SECRET_ACCESS_KEY", "")}
    return config


def _options(env: Mapping[str, str]) -> dict[str, Any]:
    is_plain = env.get("ENDPOINT", "").startswith("http://")
    return {"client_options": {"allow_http": is_plain}, "retry_config": {"max_retries": RETRIES}}


def _fetch_all(obstore: Any, store: Any, prefix: str, source: Source) -> None:
    wanted = []
    for page in obstore.list(store, prefix=prefix or None):
        for meta in page:
            name = meta["path"].removeprefix(prefix).lstrip("/") or meta["path"].rpartition("/")[2]
            if is_wanted(name, allow=source.allow, ignore=source.ignore):
                wanted.append((meta["path"], name, meta["size"]))
    if not wanted:
        raise InitializerError(f"there is nothing at {source.uri} that matches the patterns")
    report = Report(sum(size for _, _, size in wanted), len(wanted))
    say(f"Fetching {len(wanted)} objects ({megabytes(report.total_bytes)}) from {source.uri}")

    def download(item: tuple[str, str, int]) -> None:
        path, name, _ = item
        target = Path(source.destination, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            for chunk in obstore.get(store, path):
                out.write(chunk)
                report.advance(len(chunk))

    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(download, wanted):
            pass
