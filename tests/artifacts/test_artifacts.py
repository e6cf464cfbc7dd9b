"""What is told of stores that are not there; and that credentials are told to nobody."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.kube.errors import ApiError, BadRequest, NotFound, ServiceUnavailable
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


async def test_links_of_programs_lead_nowhere(tmp_path: Path) -> None:
    artifacts, secret = Artifacts(ArtifactSettings(), tmp_path / "artifacts"), tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("x")
    await artifacts.put("minio://b/run/model", b"x")
    folder = tmp_path / "artifacts" / "b" / "run"
    (folder / "file").symlink_to(secret / "key")
    (folder / "folder").symlink_to(secret)
    os.mkfifo(folder / "pipe")
    assert [info.uri async for info in artifacts.list("minio://b")] == ["minio://b/run/model"]
    for name in ("file", "folder/key", "pipe"):
        uri = f"minio://b/run/{name}"
        assert await artifacts.find(uri) is None
        with pytest.raises(NotFound):
            await artifacts.get(uri)
    await artifacts.delete("minio://b/run/folder/key")
    assert [info async for info in artifacts.list("minio://b/run/folder")] == []
    with pytest.raises(NotFound):
        await artifacts.put("minio://b/run/folder/other", b"x")
    assert [path.name for path in secret.iterdir()] == ["key"]


@pytest.mark.parametrize("bucket", ["..", ".", "%2e%2e", ".hidden", "a\\b", "a b", "b\0", "..\0", "-b"])
async def test_a_bucket_is_never_what_lies_beside_the_buckets(tmp_path: Path, bucket: str) -> None:
    (tmp_path / "kubeconfig").write_text("secret")
    (tmp_path / "artifacts").mkdir()
    artifacts = Artifacts(ArtifactSettings(), tmp_path / "artifacts")
    with pytest.raises(BadRequest, match="a bucket that is none"):
        await artifacts.get(f"minio://{bucket}/kubeconfig")
    with pytest.raises(BadRequest, match="a bucket that is none"):
        [info async for info in artifacts.list(f"minio://{bucket}")]
    with pytest.raises(BadRequest, match="a bucket that is none"):
        await artifacts.put(f"minio://{bucket}/kubeconfig", b"mine")
    assert (tmp_path / "kubeconfig").read_text() == "secret"


async def test_a_bucket_that_is_a_link_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "b").symlink_to(tmp_path / "secret")
    artifacts = Artifacts(ArtifactSettings(), tmp_path / "artifacts")
    assert await artifacts.find("minio://b/key") is None
    assert [info async for info in artifacts.list("minio://b")] == []
    with pytest.raises(NotFound):
        await artifacts.put("minio://b/key", b"mine")
    with pytest.raises(BadRequest, match="NUL"):
        await artifacts.find("minio://c/a\0b")
    assert (tmp_path / "secret" / "key").read_text() == "secret"


async def test_folders_in_folders_without_end_are_told(tmp_path: Path) -> None:
    artifacts = Artifacts(ArtifactSettings(), tmp_path)
    await artifacts.put("minio://b/" + "/".join("d" * 120) + "/x", b"x")
    with pytest.raises(ServiceUnavailable, match="more than 100 folders in each other"):
        [info async for info in artifacts.list("minio://b")]


async def test_empty_folders_go_with_their_last_file(tmp_path: Path) -> None:
    artifacts = Artifacts(ArtifactSettings(), tmp_path)
    await artifacts.put("minio://b/a/1/x", b"x")
    await artifacts.put("minio://b/a/y", b"x")
    await artifacts.delete("minio://b/a/1/x")
    assert [path.name for path in (tmp_path / "b" / "a").iterdir()] == ["y"]
    await artifacts.delete("minio://b/a/y")
    assert list((tmp_path / "b").iterdir()) == []


def test_minio_is_no_setting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use s3://bucket and AWS_ENDPOINT_URL"):
        Artifacts(ArtifactSettings(url="minio://mlpipeline"), tmp_path)
