"""What is private is never readable by others, not for a moment, whatever lay in its place."""

from pathlib import Path

from flowdeck import private_files


def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    private_files.put(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / "key").symlink_to(outside)
    private_files.put(tmp_path / "key", "new")
    assert (outside.read_text(), (tmp_path / "key").read_text()) == ("mine", "new")
