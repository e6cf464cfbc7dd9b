"""Who the containers of an image run as, where their spec does not say."""

from pathlib import Path

from flowdeck.embedded.node.contract import Image, ImageError


def user_of(image: Image) -> tuple[int | None, int | None]:
    """User and group id of `image.user` (`1000`, `1000:100`, `app`, `app:staff`); None: not said.

    Names are looked up in the image's own files. Raises `ImageError` (`ErrImagePull`) for a name that is not there.
    """
    user, _, group = image.user.partition(":")
    if not user:
        return None, None
    root = image.root or Path("/")
    entry = [] if user.isdigit() else _entry(root / "etc/passwd", user)
    uid = int(user) if user.isdigit() else int(entry[2])
    if group:
        return uid, int(group) if group.isdigit() else int(_entry(root / "etc/group", group)[2])
    return uid, int(entry[3]) if entry else None


def _entry(file: Path, name: str) -> list[str]:
    """The line of a name, in its fields."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for fields in (line.split(":") for line in lines):
        if fields[0] == name and len(fields) > 3 and fields[2].isdigit() and (fields[3].isdigit() or len(fields) == 4):
            return fields
    raise ImageError("ErrImagePull", f"the image runs as {name!r}, who is not in its /{file.parent.name}/{file.name}")
