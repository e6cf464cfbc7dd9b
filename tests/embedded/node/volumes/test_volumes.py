"""Volumes: payloads, swaps, host paths."""

import os
import socket
from pathlib import Path

import pytest

from flowdeck.embedded.node.volumes.atomic import write_all
from flowdeck.embedded.node.volumes.host_path import host_path
from flowdeck.embedded.node.volumes.payload import File, VolumeError, config_map_payload, safe_path, secret_payload


def test_all_keys_or_those_that_are_picked() -> None:
    found = {"data": {"a": "1", "b": "2"}, "binaryData": {"c": "Mw=="}}
    everything = config_map_payload({"name": "x"}, found, default_mode=0o644)
    assert {name: file.content for name, file in everything.items()} == {"a": b"1", "b": b"2", "c": b"3"}
    source = {"name": "x", "items": [{"key": "b", "path": "deep/b", "mode": 0o400}]}
    assert config_map_payload(source, found, default_mode=0o644) == {"deep/b": File(b"2", 0o400)}


def test_a_key_that_is_missing_is_told_unless_optional() -> None:
    source = {"secretName": "x", "items": [{"key": "k", "path": "k"}]}
    with pytest.raises(VolumeError, match="secret references non-existent secret key: k"):
        secret_payload(source, {"data": {}}, default_mode=0o644)
    assert secret_payload({**source, "optional": True}, {"data": {}}, default_mode=0o644) == {}
    assert secret_payload({**source, "optional": True}, None, default_mode=0o644) == {}


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "", "..data/x"])
def test_paths_that_lead_out_are_refused(path: str) -> None:
    with pytest.raises(VolumeError):
        safe_path(path)


def test_a_change_is_seen_whole_or_not_at_all(tmp_path: Path) -> None:
    assert write_all(tmp_path, {"a": File(b"1", 0o640), "d/b": File(b"1", 0o644)})
    held = os.open(tmp_path / "..data", os.O_RDONLY)
    assert write_all(tmp_path, {"a": File(b"2", 0o640)})
    assert (tmp_path / "a").read_bytes() == b"2"
    assert not (tmp_path / "d").exists()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert len([entry for entry in tmp_path.iterdir() if entry.name.startswith("..2")]) == 1
    os.close(held)


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    assert write_all(tmp_path, {"a": File(b"1", 0o644)})
    assert not write_all(tmp_path, {"a": File(b"1", 0o644)})


def test_host_paths_are_made_or_checked(tmp_path: Path) -> None:
    assert host_path(str(tmp_path / "d"), "DirectoryOrCreate", hidden=[]).is_dir()
    assert host_path(str(tmp_path / "f"), "FileOrCreate", hidden=[]).is_file()
    assert host_path(str(tmp_path / "d"), "Directory", hidden=[])
    with socket.socket(socket.AF_UNIX) as listening:
        short = os.open(tmp_path, os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{short}/s")
        os.close(short)
        assert host_path(str(tmp_path / "s"), "Socket", hidden=[])
    for kind in ("File", "Socket", "CharDevice", "BlockDevice"):
        with pytest.raises(VolumeError, match="hostPath type check failed"):
            host_path(str(tmp_path / "d"), kind, hidden=[])
    with pytest.raises(VolumeError, match="hostPath type check failed"):
        host_path(str(tmp_path / "none"), "Directory", hidden=[])


def test_host_paths_of_the_platform_are_refused_even_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "data" / "pki").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data" / "pki")
    for path in ("data", "data/pki", "link"):
        with pytest.raises(VolumeError, match="belongs to the platform"):
            host_path(str(tmp_path / path), "", hidden=[tmp_path / "data"])
    volumes = tmp_path / "data" / "volumes"
    assert host_path(str(volumes / "v"), "DirectoryOrCreate", hidden=[tmp_path / "data"], allowed=[volumes]).is_dir()
