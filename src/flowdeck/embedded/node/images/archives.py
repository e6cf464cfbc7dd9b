"""OCI and docker-save archives, unpacked to root folders for the namespaces driver."""

from pathlib import Path

from flowdeck.embedded.node.contract import Image
from flowdeck.embedded.node.images.table import Row


class Archives:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, reference: str, row: Row) -> Image | None:
        return None

    async def unpack(self, reference: str, row: Row) -> Image:
        raise NotImplementedError
