"""What artifact stores promise, kept by files and by S3."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.kube.errors import BadRequest, NotFound, ServiceUnavailable
from tests.artifacts.s3 import make_bucket, options, s3_server

LARGE = bytes(range(256)) * 50_000
"""More than a multipart upload's part."""


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["files", "s3"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    """A store with nothing in it."""
    if request.param == "files":
        return Artifacts(ArtifactSettings(), tmp_path / "artifacts")
    endpoint: str = request.getfixturevalue("s3")
    bucket = tmp_path.name.replace("_", "-").lower()
    make_bucket(endpoint, bucket)
    return Artifacts(ArtifactSettings(url=f"s3://{bucket}/home", options=options(endpoint)), tmp_path)


async def names(artifacts: Artifacts, prefix: str) -> list[str]:
    return [info.uri.removeprefix(f"{artifacts.home}/") async for info in artifacts.list(prefix)]


@pytest.mark.parametrize("data", [b"", b"model", LARGE], ids=["empty", "small", "large"])
async def test_what_was_put_is_got(artifacts: Artifacts, data: bytes) -> None:
    uri = f"{artifacts.home}/run/model"
    await artifacts.put(uri, data)
    assert await artifacts.get(uri) == data
    assert b"".join([chunk async for chunk in artifacts.chunks(uri)]) == data
    info = await artifacts.find(uri)
    assert info is not None
    assert (info.uri, info.size) == (uri, len(data))


async def test_a_part_of_it(artifacts: Artifacts) -> None:
    uri = f"{artifacts.home}/run/model"
    await artifacts.put(uri, LARGE)
    for begin, end in ((0, 10), (5, 7), (2_000_000, None), (0, None), (7, len(LARGE))):
        assert b"".join([chunk async for chunk in artifacts.chunks(uri, begin, end)]) == LARGE[begin:end]


async def test_a_file_goes_there_and_back(artifacts: Artifacts, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(LARGE)
    await artifacts.put(f"{artifacts.home}/file", tmp_path / "there")
    await artifacts.download(f"{artifacts.home}/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == LARGE


async def test_putting_again_replaces(artifacts: Artifacts) -> None:
    uri = f"{artifacts.home}/a"
    await artifacts.put(uri, LARGE)
    await artifacts.put(uri, b"new")
    assert await artifacts.get(uri) == b"new"


@pytest.mark.parametrize("name", ["späß", "with space", "100%", "a#b?c&d=e+f", "a:b", "%2e%2e", "a\\b"])
async def test_names_are_kept_whatever_is_in_them(artifacts: Artifacts, name: str) -> None:
    uri = f"{artifacts.home}/odd/{name}"
    await artifacts.put(uri, name.encode())
    assert await artifacts.get(uri) == name.encode()
    assert await names(artifacts, f"{artifacts.home}/odd") == [f"odd/{name}"]


async def test_lists_hold_what_is_below_and_nothing_else(artifacts: Artifacts) -> None:
    for name in ("a/2", "a/1", "a/deep/er/3", "ab", "b/1"):
        await artifacts.put(f"{artifacts.home}/{name}", b"x")
    assert await names(artifacts, f"{artifacts.home}/a") == ["a/1", "a/2", "a/deep/er/3"]
    assert await names(artifacts, f"{artifacts.home}/a/") == ["a/1", "a/2", "a/deep/er/3"]
    assert await names(artifacts, artifacts.home) == ["a/1", "a/2", "a/deep/er/3", "ab", "b/1"]
    assert await names(artifacts, f"{artifacts.home}/nothing") == []


async def test_deleting_deletes_once_and_forgives_the_second_time(artifacts: Artifacts) -> None:
    for name in ("a", "b"):
        await artifacts.put(f"{artifacts.home}/{name}", b"x")
    await artifacts.delete(f"{artifacts.home}/a")
    await artifacts.delete(f"{artifacts.home}/a")
    assert await names(artifacts, artifacts.home) == ["b"]
    await artifacts.put(f"{artifacts.home}/c/d", b"x")
    await artifacts.delete(f"{artifacts.home}/c")
    assert await names(artifacts, artifacts.home) == ["b", "c/d"]


async def test_what_is_not_there_is_not_found(artifacts: Artifacts) -> None:
    uri = f"{artifacts.home}/nothing"
    assert await artifacts.find(uri) is None
    with pytest.raises(NotFound, match=f"there is no artifact {uri}"):
        await artifacts.get(uri)
    with pytest.raises(NotFound):
        [chunk async for chunk in artifacts.chunks(uri)]


@pytest.mark.parametrize("key", ["../x", "a/../../x", "a//b", "./a", "/etc/passwd"])
async def test_keys_that_lead_elsewhere_are_refused(artifacts: Artifacts, key: str) -> None:
    for call in (artifacts.get, artifacts.delete, artifacts.find):
        with pytest.raises(BadRequest, match="has a segment that is empty"):
            await call(f"{artifacts.home}/{key}")


@pytest.mark.parametrize("uri", ["", "model", "http://host/x", "s3://", "file:///etc/passwd"])
async def test_what_is_no_uri_is_refused_with_the_forms_that_are(artifacts: Artifacts, uri: str) -> None:
    with pytest.raises(BadRequest, match="is no URI of an artifact: use minio://bucket/key"):
        await artifacts.get(uri)


async def test_another_scheme_has_no_store(artifacts: Artifacts) -> None:
    with pytest.raises(ServiceUnavailable, match="there is no store for gs://: artifacts are kept in"):
        await artifacts.get("gs://bucket/key")


async def test_it_answers_readiness(artifacts: Artifacts) -> None:
    await artifacts.ping()
