"""Datasets and models arrive where training expects them; a Hub that breaks off, refuses or lies is dealt with."""

import hashlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from flowdeck.components.training.initializers import data_cache, huggingface, local, s3, sts
from flowdeck.components.training.initializers.huggingface import fetch, repository_name
from flowdeck.components.training.initializers.model import ALLOW, IGNORE
from flowdeck.components.training.initializers.patterns import is_wanted
from flowdeck.components.training.initializers.settings import InitializerError, Source
from flowdeck.components.training.initializers.sources import run


@dataclass
class Hub:
    """A Hugging Face Hub with one repository, that can misbehave."""

    files: dict[str, bytes]
    url: str = ""
    token: str = ""
    """What it asks for, if anything."""
    break_off_at: int = 0
    """Ends the first answer of each file after so many bytes."""
    lie: bool = False
    """Says a wrong checksum."""
    asked: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)


def handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.asked.append(self.path)
            if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                self.send_error(401)
            elif "/tree/" in self.path:
                self._list()
            else:
                self._file(hub.files[self.path.partition("/resolve/main/")[2]])

        def _list(self) -> None:
            page = int((re.findall(r"cursor=(\d+)", self.path) or ["0"])[0])
            name = sorted(hub.files)[page]
            data = hub.files[name]
            digest = "0" * 64 if hub.lie else hashlib.sha256(data).hexdigest()
            items = [
                {"type": "directory", "path": "folder", "size": 0},
                {"type": "file", "path": name, "size": len(data), "lfs": {"oid": digest}},
            ]
            headers = {}
            if page + 1 < len(hub.files):
                headers["Link"] = f'<{hub.url}{self.path.partition("&")[0]}&cursor={page + 1}>; rel="next"'
            self._send(200, json.dumps(items).encode(), headers)

        def _file(self, data: bytes) -> None:
            start = 0
            if wanted := self.headers.get("Range"):
                hub.ranges.append(wanted)
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self._send(206 if start else 200, data[start:], {}, cut=0 if start else hub.break_off_at)

        def _send(self, code: int, body: bytes, headers: Mapping[str, str], cut: int = 0) -> None:
            self.send_response(code)
            for name, text in headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:cut] if cut else body)

        def log_message(self, *_: object) -> None:
            return

    return Handler


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(huggingface, "PAUSE_S", 0.0)
    hub = Hub({"data/a.parquet": b"a" * 3000, "README.md": b"read me", "model.safetensors": b"m" * 10, "x.bin": b"x"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


def source(hub: Hub, folder: Path, uri: str = "hf://org/name", **env: str) -> Source:
    return Source(uri=uri, destination=str(folder), env={"HF_ENDPOINT": hub.url, **env})


def arrived(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dataset_arrives_whole_over_all_pages(hub: Hub, tmp_path: Path) -> None:
    fetch(source(hub, tmp_path, "hf://org/name/data"), "dataset")
    assert arrived(tmp_path) == hub.files
    assert hub.asked[0] == "/api/datasets/org/name/tree/main?recursive=true"
    assert "/datasets/org/name/resolve/main/data/a.parquet" in hub.asked


def test_a_model_arrives_without_what_is_not_needed(hub: Hub, tmp_path: Path) -> None:
    wanted = Source(
        uri="hf://org/name", destination=str(tmp_path), allow=ALLOW, ignore=IGNORE, env={"HF_ENDPOINT": hub.url}
    )
    fetch(wanted, "model")
    assert set(arrived(tmp_path)) == {"model.safetensors"}
    assert "/org/name/resolve/main/model.safetensors" in hub.asked


def test_a_download_that_breaks_off_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.break_off_at = 5
    fetch(source(hub, tmp_path), "dataset")
    assert arrived(tmp_path) == hub.files
    assert set(hub.ranges) == {"bytes=5-"}


def test_what_is_there_already_is_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    fetch(source(hub, tmp_path), "dataset")
    hub.asked.clear()
    fetch(source(hub, tmp_path), "dataset")
    assert not [path for path in hub.asked if "/resolve/" in path]


def test_a_damaged_file_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.lie = True
    with pytest.raises(InitializerError, match="arrived damaged"):
        fetch(source(hub, tmp_path), "dataset")
    assert not arrived(tmp_path)


def test_a_gated_repository_needs_a_token(hub: Hub, tmp_path: Path) -> None:
    hub.token = "secret"
    with pytest.raises(InitializerError, match="set ACCESS_TOKEN"):
        fetch(source(hub, tmp_path), "dataset")
    fetch(source(hub, tmp_path, ACCESS_TOKEN="secret"), "dataset")
    assert arrived(tmp_path) == hub.files


def test_a_file_name_that_leads_out_of_the_folder_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.files = {"../evil": b"evil"}
    with pytest.raises(InitializerError, match="bad name"):
        fetch(source(hub, tmp_path / "inside"), "dataset")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [("a/b", "dataset", "a/b"), ("a/b/c/d", "dataset", "a/b"), ("a/b", "model", "a/b"), ("gpt2", "model", "gpt2")],
)
def test_repository_names(path: str, kind: str, name: str) -> None:
    assert repository_name(path, kind) == name  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("model.json", True), ("deep/model.json", True), ("model.bin", False), ("model.h5", False), ("x.py", False)],
)
def test_patterns(path: str, wanted: bool) -> None:
    assert is_wanted(path, allow=ALLOW, ignore=IGNORE) is wanted


def test_a_pattern_of_a_folder_means_all_below_it() -> None:
    assert not is_wanted("data/x/y", ignore=["data/"])
    assert is_wanted("other/x", ignore=["data/"])


@pytest.mark.parametrize("is_file", [True, False])
def test_files_are_copied(tmp_path: Path, is_file: bool) -> None:
    origin, target = tmp_path / "from", tmp_path / "to"
    (origin / "deep").mkdir(parents=True)
    (origin / "deep" / "a.txt").write_text("a")
    (origin / "b.bin").write_text("b")
    uri = f"file://{origin / 'deep' / 'a.txt'}" if is_file else f"file://{origin}"
    local.fetch(Source(uri=uri, destination=str(target), ignore=["*.bin"]))
    assert set(arrived(target)) == ({"a.txt"} if is_file else {"deep/a.txt"})


def test_nothing_at_the_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InitializerError, match="there is nothing at"):
        local.fetch(Source(uri=f"file://{tmp_path}/gone", destination=str(tmp_path)))


def test_s3_settings() -> None:
    env = {"ENDPOINT": "minio:9000", "ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "secret"}
    assert s3.store_config(env) == {
        "region": "auto",
        "virtual_hosted_style_request": False,
        "endpoint": "https://minio:9000",
        "access_key_id": "id",
        "secret_access_key": "secret",
    }
    assert "access_key_id" not in s3.store_config({})


def test_requests_for_a_role_are_signed_as_botocore_signs_them() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    env = {"ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "secret"}
    headers = sts.signed("https://sts.amazonaws.com/", "Action=AssumeRole", env, "us-east-1", now)
    assert headers["x-amz-date"] == "20260102T030405Z"
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=id/20260102/us-east-1/sts/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=6e1835f233685385870e940f9c212e5054c99c049b207ab26460581d040c3392"
    )


BUCKET = {"data/a.txt": b"a", "data/deep/b.txt": b"bb", "data/c.bin": b"c", "other/d.txt": b"d"}


class BucketHandler(BaseHTTPRequestHandler):
    """Just enough of S3: one listing page, and objects."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if "list-type" in url.query:
            prefix = parse_qs(url.query).get("prefix", [""])[0]
            found = "".join(
                f"<Contents><Key>{key}</Key><Size>{len(data)}</Size><ETag>x</ETag>"
                "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
                for key, data in BUCKET.items()
                if key.startswith(prefix)
            )
            body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode()
        else:
            body = BUCKET[url.path.removeprefix("/bucket/")]
        self.send_response(200)
        for name, text in (
            ("Content-Length", str(len(body))),
            ("ETag", '"x"'),
            ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ):
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


def test_objects_below_a_prefix_arrive_without_it(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BucketHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    env = {
        "ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "REGION": "us-east-1",
        "ACCESS_KEY_ID": "id",
        "SECRET_ACCESS_KEY": "secret",
    }
    try:
        s3.fetch(Source(uri="s3://bucket/data", destination=str(tmp_path), ignore=["*.bin"], env=env))
        with pytest.raises(InitializerError, match="there is nothing at s3://bucket/gone"):
            s3.fetch(Source(uri="s3://bucket/gone", destination=str(tmp_path), env=env))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert arrived(tmp_path) == {"a.txt": b"a", "deep/b.txt": b"bb"}


def test_the_data_cache_is_a_set_of_objects_owned_by_the_train_job() -> None:
    owner = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "train", "namespace": "default", "uid": "u"},
    }
    env = {"CLUSTER_SIZE": "4", "METADATA_LOC": "s3://meta", "IAM_ROLE": "arn:x", "CACHE_IMAGE": "cache:1"}
    wanted = Source(uri="cache://schema/table", destination="", env=env)
    objects = {obj["kind"]: obj for _, obj in data_cache.cache_objects(wanted, owner)}
    assert {kind: obj["metadata"]["name"] for kind, obj in objects.items()} == {
        "ServiceAccount": "train-cache",
        "LeaderWorkerSet": "train-cache",
        "Service": "train-cache-service",
    }
    assert all(obj["metadata"]["ownerReferences"][0]["uid"] == "u" for obj in objects.values())
    assert objects["ServiceAccount"]["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": "arn:x"}
    template = objects["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
    head = template["leaderTemplate"]["spec"]["containers"][0]
    assert template["size"] == 4
    assert head["args"] == ["0.0.0.0", "50051"]
    assert {item["name"]: item["value"] for item in head["env"]} == {
        "METADATA_LOC": "s3://meta",
        "SCHEMA_NAME": "schema",
        "TABLE_NAME": "table",
    }
    assert head["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}


def test_an_unknown_scheme_ends_with_1_and_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(lambda: Source(uri="foo://x", destination=""), {"hf": partial(fetch, kind="dataset")})
    assert ended.value.code == 1
    assert "unknown scheme 'foo'" in capsys.readouterr().err


@pytest.mark.parametrize("program", ["dataset", "model"])
def test_the_programs_start_without_the_platform(program: str, tmp_path: Path) -> None:
    module = f"flowdeck.components.training.initializers.{program}"
    code = f"import sys, {module}; print([m for m in sys.modules if m.startswith('flowdeck')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    allowed = ("flowdeck.components.training.initializers", "flowdeck.components.training", "flowdeck.components")
    loaded = json.loads(done.stdout.replace("'", '"'))
    assert all(name in (*allowed, "flowdeck") or name.startswith(f"{allowed[0]}.") for name in loaded), loaded
    done = subprocess.run([sys.executable, "-m", module], capture_output=True, text=True, env={}, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "error: STORAGE_URI is not set: nothing to fetch\n")
