"""Environments are built without a network here, of what a package cache of the session holds: pip, which each gets.

Where Python brings a pip of its own (`ensurepip`) that is taken; Debian's has none.
"""

import subprocess
from collections.abc import Iterator

import pytest
from uv import find_uv_bin


@pytest.fixture(scope="session", autouse=True)
def pip_in_the_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("packages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_CACHE_DIR", str(folder / "cache"))
        fetch = [find_uv_bin(), "pip", "install", "--quiet", "--target", str(folder / "pip"), "pip"]
        subprocess.run(fetch, check=True)
        yield
