"""The plain driver: paths are rewritten where they are whole paths, and stay inside their volumes."""

from pathlib import Path

import pytest

from flowdeck.embedded.node.sandbox.client import StartError
from flowdeck.embedded.node.sandbox.plain import places_of, rewrite
from flowdeck.embedded.node.sandbox.plan import Mount

PLACES = {"/data": "/x/d", "/data/deep": "/y", "/etc/mpi": "/z"}


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("/data", "/x/d"),
        ("/data/file", "/x/d/file"),
        ("/data/deep/file", "/y/file"),
        ("--out=/data,/etc/mpi/hostfile", "--out=/x/d,/z/hostfile"),
        ("cat /data/a > '/data/b'", "cat /x/d/a > '/x/d/b'"),
        ("file:///data/a", "file:///x/d/a"),
        ("https://host/data/a", "https://host/data/a"),
        ("/database", "/database"),
        ("/mnt/data", "/mnt/data"),
        ("/data-2", "/data-2"),
        ("read /data.", "read /x/d."),
    ],
)
def test_mount_paths_are_rewritten(text: str, rewritten: str) -> None:
    assert rewrite(text, PLACES) == rewritten


def test_a_sub_path_is_made_inside_its_volume(tmp_path: Path) -> None:
    places = places_of([Mount(source=tmp_path, target="/v", sub_path="a/b")])
    assert places == {"/v": str(tmp_path.resolve() / "a" / "b")}
    assert (tmp_path / "a" / "b").is_dir()


def test_a_sub_path_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "out").symlink_to(tmp_path)
    with pytest.raises(StartError, match="leads out of its volume"):
        places_of([Mount(source=tmp_path / "volume", target="/v", sub_path="out")])
