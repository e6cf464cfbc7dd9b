"""Saved images: unpacked once, as their layers say, and never outside their root."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from flowdeck.embedded.node.contract import Image, ImageError
from flowdeck.embedded.node.images.archives import Archives
from flowdeck.embedded.node.images.table import Row, Source
from flowdeck.embedded.node.images.users import user_of

Entry = tuple[str, str | None]
"""Name and content; a name with `->` is a symbolic link, with `=>` a hard link; content None: a folder."""


def a_layer(*entries: Entry, gzip: bool = False) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz" if gzip else "w") as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.uid, info.gid = os.geteuid(), os.getegid()
            if "->" in name or "=>" in name:
                kind = "->" if "->" in name else "=>"
                info.name, _, info.linkname = name.partition(kind)
                info.type = tarfile.SYMTYPE if kind == "->" else tarfile.LNKTYPE
            elif content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            else:
                info.size, info.mode = len(content), 0o4755
            tar.addfile(info, io.BytesIO((content or "").encode()))
    return raw.getvalue()


_CONFIG = {
    "config": {
        "Env": ["A=1=2", "PATH=/bin"], "Entrypoint": ["/run"], "Cmd": ["x"], "WorkingDir": "/w", "User": "1000",
    }
}  # fmt: skip


def _tar(file: Path, parts: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w") as tar:
        for name, data in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file


def docker_save(file: Path, layers: Sequence[bytes]) -> Path:
    names = [f"{index}/layer.tar" for index in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": ["team/app:1"], "Layers": names}]
    parts = {"manifest.json": json.dumps(manifest).encode(), "config.json": json.dumps(_CONFIG).encode()}
    return _tar(file, parts | dict(zip(names, layers, strict=True)))


def oci_layout(file: Path, layers: Sequence[bytes]) -> Path:
    parts: dict[str, bytes] = {}

    def put(data: bytes) -> dict[str, str]:
        digest = hashlib.sha256(data).hexdigest()
        parts[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}"}

    manifest = {"config": put(json.dumps(_CONFIG).encode()), "layers": [put(layer) for layer in layers]}
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    others = {"digest": "sha256:00", "platform": {"architecture": "s390x"}}
    index = {"manifests": [others, put(json.dumps(manifest).encode()) | {"platform": {"architecture": arch}}]}
    parts["index.json"] = json.dumps({"manifests": [put(json.dumps(index).encode())]}).encode()
    return _tar(file, parts)


async def unpacked(folder: Path, file: Path):
    row = Row(references=("team/app",), source=Source.ARCHIVE, archive=str(file))
    return await Archives(folder / "archives").unpack("team/app:1", row)


@pytest.mark.parametrize("write", [docker_save, oci_layout])
async def test_layers_are_laid_over_each_other(tmp_path: Path, write) -> None:
    lower = a_layer(
        ("etc/", None), ("etc/keep", "k"), ("etc/gone", "g"), ("var/", None), ("var/old", "o"), ("bin->usr/bin", None),
        ("usr/", None), ("usr/bin/", None),
    )  # fmt: skip
    upper = a_layer(
        ("etc/.wh.gone", ""), ("var/new", "n"), ("var/.wh..wh..opq", ""), ("bin/tool", "t"),
        ("etc/again=>etc/keep", None), gzip=True,
    )  # fmt: skip
    image = await unpacked(tmp_path, write(tmp_path / "image.tar", [lower, upper]))
    root = image.root
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink())
    assert found == ["bin", "etc/again", "etc/keep", "usr/bin/tool", "var/new"]
    assert (root / "etc/again").read_text() == "k"
    assert (root / "etc/keep").stat().st_mode & 0o7777 == 0o755
    assert (image.entrypoint, image.command, image.env["A"]) == (("/run",), ("x",), "1=2")
    assert (image.working_dir, image.user) == ("/w", "1000")


@pytest.mark.parametrize(
    "entries",
    [
        [("../out", "x")],
        [("a/../../out", "x")],
        [("link->/etc", None), ("link/../../out", "x")],
        [("hard=>../../secret", None)],
    ],
)
async def test_paths_that_lead_out_are_refused(tmp_path: Path, entries: list[Entry]) -> None:
    (tmp_path / "secret").write_text("s")
    with pytest.raises(ImageError) as caught:
        await unpacked(tmp_path, docker_save(tmp_path / "image.tar", [a_layer(*entries)]))
    assert caught.value.reason == "ErrImagePull"


async def test_links_that_point_out_are_followed_inside_only(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    layer = a_layer((f"abs->{outside}", None), ("abs/file", "x"), ("up->../../../../..", None), ("up/file", "y"))
    image = await unpacked(tmp_path, docker_save(tmp_path / "image.tar", [layer]))
    assert list(outside.iterdir()) == []
    assert (Path(str(image.root) + str(outside)) / "file").read_text() == "x"
    assert (image.root / "file").read_text() == "y"


async def test_what_is_no_image_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "junk.tar").write_bytes(b"junk" * 1000)
    for file in (tmp_path / "junk.tar", tmp_path / "missing.tar", _tar(tmp_path / "empty.tar", {"a": b"b"})):
        with pytest.raises(ImageError, match=file.name):
            await unpacked(tmp_path, file)


async def test_an_archive_is_unpacked_again_only_when_it_changed(tmp_path: Path) -> None:
    file = docker_save(tmp_path / "image.tar", [a_layer(("one", "1"))])
    image = await unpacked(tmp_path, file)
    (image.root / "mark").write_text("")
    await unpacked(tmp_path, file)
    assert (image.root / "mark").exists()
    docker_save(file, [a_layer(("two", "22"), ("three", "3"))])
    os.utime(file, (1, 1))
    again = await unpacked(tmp_path, file)
    assert sorted(os.listdir(again.root)) == ["three", "two"]


@pytest.mark.parametrize(
    ("user", "expected"),
    [("", (None, None)), ("1000", (1000, None)), ("1:2", (1, 2)), ("app", (7, 8)), ("app:staff", (7, 9))],
)
def test_an_images_user_is_looked_up_in_its_own_files(tmp_path: Path, user: str, expected: tuple) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\napp:x:7:8::/:/bin/sh\n")
    (tmp_path / "etc/group").write_text("staff:x:9:\n")
    assert user_of(Image(reference="a", digest="", root=tmp_path, user=user)) == expected


def test_a_user_that_the_image_does_not_know_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="'nobody'"):
        user_of(Image(reference="a", digest="", root=tmp_path, user="nobody"))
