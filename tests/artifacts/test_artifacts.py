"""What is told of stores that are not there; and that credentials are told to nobody."""

import asyncio
import socket
from pathlib import Path

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.kube.errors import ApiError, ServiceUnavailable
from tests.artifacts.s3 import SECRET, make_bucket, options, s3_server


async def test_a_store_that_is_not_there_is_told_in_words_and_without_credentials(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    artifacts = Artifacts(ArtifactSettings(url="s3://bucket", options=options(f"http://127.0.0.1:{port}")), tmp_path)
    with pytest.raises(ServiceUnavailable, match="s3://bucket") as refused:
        await artifacts.ping()
    assert SECRET not in str(refused.value) + repr(artifacts) + repr(artifacts.settings)


async def test_a_bucket_that_is_not_there_is_not_ready(tmp_path: Path) -> None:
    with s3_server() as endpoint:
        artifacts = Artifacts(ArtifactSettings(url="s3://nobodys", options=options(endpoint)), tmp_path)
        with pytest.raises(ApiError, match="s3://nobodys"):
            await artifacts.ping()


async def test_credentials_and_endpoint_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server() as endpoint:
        await asyncio.to_thread(make_bucket, endpoint, "bucket")
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        artifacts = Artifacts(ArtifactSettings(url="s3://bucket/home"), tmp_path)
        await artifacts.put(f"{artifacts.home}/a", b"x")
        assert await artifacts.get("s3://bucket/home/a") == b"x"


async def test_files_lie_below_the_folder_by_bucket_and_key(tmp_path: Path) -> None:
    artifacts = Artifacts(ArtifactSettings(), tmp_path / "artifacts")
    await artifacts.put("minio://mlpipeline/v2/model", b"x")
    assert (tmp_path / "artifacts" / "mlpipeline" / "v2" / "model").read_bytes() == b"x"
    assert (tmp_path / "artifacts").stat().st_mode & 0o777 == 0o700


def test_minio_is_no_setting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use s3://bucket and AWS_ENDPOINT_URL"):
        Artifacts(ArtifactSettings(url="minio://mlpipeline"), tmp_path)
