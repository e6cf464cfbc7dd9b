"""`hf://`: snapshots of Hugging Face repositories through the Hub's public HTTP API.

Files are fetched in parallel, each to `<name>.incomplete` first: a download that was broken off goes on where it
stopped, and a file that is there in full (by size, and by SHA-256 where the Hub knows it) is not fetched again.
"""

import hashlib
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Literal, TypeVar

from flowdeck.components.training.initializers.patterns import is_wanted
from flowdeck.components.training.initializers.report import Report, megabytes, say
from flowdeck.components.training.initializers.settings import InitializerError, Source

HUB = "https://huggingface.co"
WORKERS = 8
ATTEMPTS = 5
PAUSE_S = 1.0
TIMEOUT_S = 60
CHUNK = 1024 * 1024

_T = TypeVar("_T")
_NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')


@dataclass(frozen=True)
class HubFile:
    """One file of a repository."""

    path: str
    size: int
    sha256: str = ""
    """Known for large files only."""


@dataclass(frozen=True)
class Repository:
    """One repository at one revision."""

    kind: Literal["dataset", "model"]
    name: str
    hub: str = HUB
    token: str = ""
    revision: str = "main"

    @property
    def tree_url(self) -> str:
        return f"{self.hub}/api/{self.kind}s/{self.name}/tree/{self.revision}?recursive=true"

    def file_url(self, path: str) -> str:
        prefix = "datasets/" if self.kind == "dataset" else ""
        return f"{self.hub}/{prefix}{self.name}/resolve/{self.revision}/{urllib.parse.quote(path)}"

    def files(self) -> Iterator[HubFile]:
        """All its files, page by page."""
        url = self.tree_url
        while url:
            with self.open(url) as answer:
                for item in json.load(answer):
                    if item["type"] == "file":
                        yield HubFile(item["path"], item["size"], (item.get("lfs") or {}).get("oid", ""))
                link = _NEXT.search(answer.headers.get("Link") or "")
            url = link[1] if link else ""

    def open(self, url: str, *, start: int = 0) -> HTTPResponse:
        """Opens a URL, from byte `start` on; raises `InitializerError` for answers that trying again won't change."""
        request = urllib.request.Request(url, headers={"User-Agent": "flowdeck-initializer"})
        if self.token:
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        if start:
            request.add_header("Range", f"bytes={start}-")
        try:
            answer: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            if error.code in (408, 416, 429) or error.code >= 500:
                raise
            raise InitializerError(self._why(error.code, url)) from error
        return answer

    def _why(self, code: int, url: str) -> str:
        if code in (401, 403, 404):
            hint = "it is gated or private, or does not exist; set ACCESS_TOKEN to a token that may read it"
            return f"{self.kind} {self.name} cannot be read (HTTP {code}): {hint}"
        return f"{url} answered HTTP {code}"


def fetch(source: Source, kind: Literal["dataset", "model"]) -> None:
    """Downloads the wanted files of the repository that the source names."""
    repository = Repository(
        kind=kind,
        name=repository_name(source.path, kind),
        hub=source.env.get("HF_ENDPOINT", HUB).rstrip("/"),
        token=source.env.get("ACCESS_TOKEN", ""),
    )
    listed = _retried(lambda: list(repository.files()), repository.tree_url)
    files = [file for file in listed if is_wanted(file.path, allow=source.allow, ignore=source.ignore)]
    if not files:
        raise InitializerError(f"{kind} {repository.name} has no file that matches the patterns")
    report = Report(sum(file.size for file in files), len(files))
    say(f"Fetching {len(files)} files ({megabytes(report.total_bytes)}) of {kind} {repository.name}")
    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(lambda file: _download(repository, file, Path(source.destination), report), files):
            pass


def repository_name(path: str, kind: Literal["dataset", "model"]) -> str:
    """`org/name` of a dataset, whatever folder follows; all of it for a model. Raises `InitializerError`."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        raise InitializerError("the URI names no repository: hf://<owner>/<name>")
    return "/".join(parts[:2] if kind == "dataset" else parts)


def _download(repository: Repository, file: HubFile, folder: Path, report: Report) -> None:
    target = _inside(folder, file.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and _is_whole(target, file):
        report.advance(file.size)
        return
    part = target.with_name(target.name + ".incomplete")
    _retried(lambda: _download_part(repository, file, part, report), file.path)
    if not _is_whole(part, file):
        part.unlink()
        raise InitializerError(f"{file.path} arrived damaged: size or checksum differ from the Hub's")
    part.replace(target)


def _download_part(repository: Repository, file: HubFile, part: Path, report: Report) -> None:
    start = part.stat().st_size if part.exists() else 0
    if start >= file.size > 0:
        return
    with repository.open(repository.file_url(file.path), start=start) as answer:
        mode = "ab" if answer.status == 206 else "wb"
        with part.open(mode) as out:
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                report.advance(len(chunk))
    if part.stat().st_size < file.size:
        raise ConnectionError(f"{file.path} broke off after {part.stat().st_size} of {file.size} bytes")


def _is_whole(path: Path, file: HubFile) -> bool:
    if path.stat().st_size != file.size:
        return False
    if not file.sha256:
        return True
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest() == file.sha256


def _inside(folder: Path, path: str) -> Path:
    """The place of a file; raises when its name leads out of the folder."""
    target = (folder / path).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise InitializerError(f"the repository holds a file with a bad name: {path!r}")
    return target


def _retried(attempt: Callable[[], _T], what: str) -> _T:
    """Tries again with growing pauses when the network or the Hub fails."""
    for number in range(ATTEMPTS):
        try:
            return attempt()
        except (OSError, HTTPException) as error:
            if number == ATTEMPTS - 1:
                raise InitializerError(f"{what}: gave up after {ATTEMPTS} attempts: {error}") from error
            say(f"{what}: {error}; trying again")
            time.sleep(PAUSE_S * 2**number)
    raise AssertionError("unreachable")
