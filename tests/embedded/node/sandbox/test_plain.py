"""The plain driver: paths are rewritten where they are whole paths, and stay inside their volumes."""

import fcntl
from pathlib import Path

import pytest

from flowdeck.embedded.node.sandbox.client import StartError, Zygote
from flowdeck.embedded.node.sandbox.driver import PlainDriver
from flowdeck.embedded.node.sandbox.plain import places_of, rewrite
from flowdeck.embedded.node.sandbox.plan import ContainerSpec, Mount

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


async def test_what_a_container_needs_is_held_while_it_runs_and_not_longer(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    zygote = Zygote(tmp_path / "zygote.log")
    running = await PlainDriver(zygote, []).start(
        ContainerSpec(
            id="0" * 64, folder=tmp_path / "one", pod_folder=tmp_path, argv=["sleep", "60"], env={},
            log=tmp_path / "log", log_max_bytes=1 << 20, log_max_files=1, holds=[tmp_path / "mark"],
        )
    )  # fmt: skip
    assert await running.started() == ""
    zygote.stop()  # whoever started it may be gone
    with (tmp_path / "mark").open() as mark:
        with pytest.raises(BlockingIOError):
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        running.signal(9)
        await running.ended()
        running.close()
        fcntl.flock(mark, fcntl.LOCK_EX)
