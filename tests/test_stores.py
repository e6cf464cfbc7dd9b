"""State elsewhere: a platform whose components' database is PostgreSQL and whose artifacts are in S3."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.client.http import HttpClient
from flowdeck.kube.errors import ApiError, ServiceUnavailable
from flowdeck.kube.objects import ObjectKey
from flowdeck.stores import News, Stores
from flowdeck.testing.platform import RunningPlatform
from tests.artifacts.s3 import SECRET, make_bucket, s3_server
from tests.sql.postgresql import PASSWORD, postgresql


async def ready(client: HttpClient) -> str:
    try:
        return (await client.raw("GET", "/readyz", query={"verbose": ""})).decode()
    except ApiError as error:
        return error.message


async def test_a_platform_keeps_its_state_elsewhere_and_is_ready_while_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = RunningPlatform(tmp_path)
    with s3_server() as endpoint:
        make_bucket(endpoint, "bucket")
        with postgresql() as server:
            for name, value in {
                "FLOWDECK_DATABASE": server.url("postgres"), "FLOWDECK_ARTIFACTS": "s3://bucket/home",
                "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": SECRET,
            }.items():  # fmt: skip
                monkeypatch.setenv(name, value)
            platform.start("--no-node")
            try:
                async with platform.client() as client:
                    assert await ready(client) == "[+]ping ok\nreadyz check passed\n"
            except BaseException:
                platform.stop()
                raise
        try:
            async with platform.client() as client:
                told = await ready(client)
                assert "[+]ping ok\n[-]database failed: reason withheld\nreadyz check failed" in told
                assert await client.raw("GET", "/livez") == b"ok"
        finally:
            platform.stop()
    log = (tmp_path / "logs" / "flowdeck.log").read_text()
    assert "the database postgresql+psycopg://flowdeck:***@127.0.0.1" in log
    assert PASSWORD not in log
    assert SECRET not in log


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--database", f"mysql://u:{PASSWORD}@h/d"], "mysql://u:***@h/d is no database that we know"),
        (["--database", "nonsense"], "this is no URL of a database: use sqlite:////folder/file.db or postgresql://"),
        (["--artifacts", "minio://mlpipeline"], "use s3://bucket and AWS_ENDPOINT_URL"),
        (["--artifacts", "nonsense"], "'nonsense' is no URI of an artifact"),
    ],
)
def test_what_names_no_store_is_refused_at_once(tmp_path: Path, options: list[str], told: str) -> None:
    command = [sys.executable, "-m", "flowdeck.cli.main", "up", "--data", str(tmp_path), "--port", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert told in done.stderr
    assert PASSWORD not in done.stderr


async def test_nothing_is_opened_before_somebody_asks(tmp_path: Path) -> None:
    stores = Stores(folder=tmp_path)
    stores.open()
    assert await stores.check() == {}
    assert os.listdir(tmp_path) == []
    await stores.database.ping()
    await stores.artifacts.put(f"{stores.artifacts.home}/a", b"x")
    assert await stores.check() == {}
    assert {"flowdeck.db", "artifacts"} <= set(os.listdir(tmp_path))
    await stores.close()


async def test_on_a_cluster_nothing_is_kept_in_files() -> None:
    with pytest.raises(ServiceUnavailable, match="no database is set"):
        _ = Stores().database
    with pytest.raises(ServiceUnavailable, match="no artifact store is set"):
        _ = Stores().artifacts


def test_secrets_are_not_shown() -> None:
    stores = Stores(f"postgresql://u:{PASSWORD}@h/d", ArtifactSettings(url="s3://b", options={"secret": SECRET}))
    assert PASSWORD not in repr(stores)
    assert SECRET not in repr(stores)


def test_who_listens_no_more_is_told_nothing_and_keeps_nobody_else_from_listening() -> None:
    news, key = News(), ObjectKey("team", "a")
    earlier: list[ObjectKey] = []
    later: list[ObjectKey] = []
    leave_earlier = news.listen("runs", earlier.append)
    news.tell("runs", key)
    leave_later = news.listen("runs", later.append)
    leave_earlier()
    news.tell("runs", key)
    leave_later()
    news.tell("runs", key)
    assert (earlier, later) == ([key], [key])
