"""URIs of artifacts as they stand on the wire: `minio://mlpipeline/v2/model`, `s3://bucket/key`, `gs://`, `az://`."""

import re
from dataclasses import dataclass

from flowdeck.kube.errors import BadRequest

SCHEMES = ("minio", "s3", "gs", "az")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Uri:
    """One object, or all below a prefix."""

    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}" if self.key else f"{self.scheme}://{self.bucket}"


def parse_uri(text: str) -> Uri:
    """Raises `BadRequest`. A slash at the end says nothing; segments that are empty, `.` or `..` are refused.

    Where artifacts are files, buckets are folders: one that is called `..` would be all that is beside them.
    """
    scheme, found, rest = text.partition("://")
    bucket, _, key = rest.partition("/")
    if not found or scheme not in SCHEMES or not bucket:
        raise BadRequest(f"{text!r} is no URI of an artifact: use {', '.join(f'{s}://bucket/key' for s in SCHEMES)}")
    if not _BUCKET.fullmatch(bucket):
        raise BadRequest(f"{text!r} has a bucket that is none: its name may have letters, digits, '.', '_' and '-'")
    key = key.removesuffix("/")
    if key and any(segment in ("", ".", "..") for segment in key.split("/")):
        raise BadRequest(f"{text!r} has a segment that is empty, '.' or '..'")
    if "\0" in key:
        raise BadRequest(f"{text!r} has a NUL in it")
    return Uri(scheme, bucket, key)
