"""What a user sees of images: known ones run, unknown ones say at once how to make them run."""

import asyncio
import os
from pathlib import Path

import pytest

from flowdeck.clock import SystemClock
from flowdeck.embedded.node.contract import Additions, ImageError
from flowdeck.embedded.node.images.library import LocalImages
from flowdeck.embedded.node.images.references import parse_reference
from flowdeck.embedded.node.images.settings import ImageSettings
from flowdeck.embedded.node.images.table import Row, Source, Table, add_row, remove_row, shipped_rows, user_rows
from tests.embedded.node.images.indexes import package_index


def images_in(folder: Path, **settings: object) -> LocalImages:
    """A fresh store of images that needs no network (pip is in the session's package cache)."""
    given: dict = {
        "folder": folder / "images", "archives": folder / "archives", "table": folder / "images.toml",
        "offline": True, "machine_env": {"UV_CACHE_DIR": os.environ["UV_CACHE_DIR"]}, **settings,
    }  # fmt: skip
    return LocalImages(ImageSettings(**given), SystemClock())


@pytest.mark.parametrize(
    ("text", "name", "tag"),
    [
        ("python", "python", "latest"),
        ("docker.io/library/python:3.12-slim", "python", "3.12-slim"),
        ("localhost:5000/team/app", "localhost:5000/team/app", "latest"),
        ("ghcr.io/a/b_c:v1", "ghcr.io/a/b_c", "v1"),
        ("busybox@sha256:" + "a" * 64, "busybox", "latest"),
    ],
)
def test_a_reference_is_read_in_its_familiar_form(text: str, name: str, tag: str) -> None:
    parsed = parse_reference(text)
    assert (parsed.name, parsed.tag) == (name, tag)


@pytest.mark.parametrize("text", ["", "UPPER/case", "a b", "-x", "x:", "x@sha256:12", "../etc", "x:ta g"])
def test_what_is_no_reference_is_refused_by_name(text: str) -> None:
    with pytest.raises(ImageError) as caught:
        parse_reference(text)
    assert caught.value.reason == "InvalidImageName"


@pytest.mark.parametrize(
    ("image", "has"),
    [
        ("pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime", "torch"),
        ("docker.io/pytorch/pytorch:latest", "torch"),
        ("nvcr.io/nvidia/jax:25.10-py3", "jax"),
        ("ghcr.io/kubeflow/trainer/xgboost-runtime", "scikit-learn"),
        ("ghcr.io/kubeflow/trainer/deepspeed-runtime:v2.3.0", "deepspeed"),
        ("ghcr.io/kubeflow/trainer/mlx-runtime:v2.3.0", "mpi4py"),
        ("ghcr.io/kubeflow/trainer/torchtune-trainer:v2.3.0", "torchtune"),
        ("tensorflow/tensorflow:2.9.1", "tensorflow"),
    ],
)
def test_the_runtimes_of_the_trainer_are_known(image: str, has: str) -> None:
    row = Table(shipped_rows()).find(parse_reference(image))
    assert row is not None
    assert has in row.packages


async def test_an_unknown_image_fails_and_says_three_ways(tmp_path: Path) -> None:
    images = images_in(tmp_path)
    assert images.find("nginx:1.27") is None
    with pytest.raises(ImageError) as caught:
        await images.pull("nginx:1.27")
    assert caught.value.reason == "ErrImagePull"
    for way in ("--package", "--archive", "flowdeck image list"):
        assert way in str(caught.value)


async def test_a_python_image_is_built_once_and_found_again(tmp_path: Path) -> None:
    images = images_in(tmp_path)
    assert images.find("python:3") is None
    first, second = await asyncio.gather(images.pull("python:3"), images.pull("python:3"))
    assert first == second
    assert first.environment is not None
    for program in ("python", "python3", "pip"):
        shown = await asyncio.create_subprocess_exec(first.environment / "bin" / program, "--version")
        assert await shown.wait() == 0
    assert images_in(tmp_path).find("docker.io/library/python:3") == first
    assert images.listed()[0]["names"] == ["python:3"]


async def test_the_version_of_the_tag_is_installed_or_another_one_in_its_place_and_that_is_told(tmp_path: Path) -> None:
    told: list[str] = []

    async def pulled(tag: str, url: str) -> str:
        images = images_in(tmp_path, offline=False, index_url=url)
        assert images.find(f"pytorch/pytorch:{tag}") is None
        image = await images.pull(f"pytorch/pytorch:{tag}", on_progress=lambda text, is_notice=False: told.append(text))
        assert images.find(f"pytorch/pytorch:{tag}") == image
        assert image.environment is not None
        (found,) = image.environment.glob("lib/python3*/site-packages/torch-*.dist-info")
        return found.name

    with package_index(tmp_path / "old", {"torch": "2.9.0", "numpy": "2.0.0"}) as url:
        assert await pulled("2.9.0", url) == "torch-2.9.0.dist-info"
        assert await pulled("2.13.0", url) == "torch-2.9.0.dist-info"
        assert "torch 2.13.0 cannot be installed here; taking another version" in told
    with package_index(tmp_path / "new", {"torch": "2.13.0", "numpy": "2.0.0"}) as url:
        assert await pulled("2.13.0", url) == "torch-2.13.0.dist-info"


async def test_a_half_built_environment_is_built_anew(tmp_path: Path) -> None:
    built = await images_in(tmp_path).pull("python:3")
    assert built.environment is not None
    (built.environment / "flowdeck.json").unlink()
    (built.environment / "bin" / "pip").unlink()
    images = images_in(tmp_path)
    assert images.find("python:3") is None
    again = await images.pull("python:3")
    assert again.environment == built.environment
    assert (built.environment / "bin" / "pip").exists()


async def test_packages_that_cannot_be_had_are_named_with_the_command_to_try(tmp_path: Path) -> None:
    add_row(tmp_path / "images.toml", Row(references=("team/app",), packages=("no-such-package-at-all",)))
    with pytest.raises(ImageError, match=r"no-such-package-at-all.*uv pip install") as caught:
        await images_in(tmp_path).pull("team/app:1")
    assert caught.value.reason == "ErrImagePull"


async def test_an_unreadable_environment_folder_is_never_taken_for_an_image(tmp_path: Path) -> None:
    images = images_in(tmp_path)
    (tmp_path / "images" / "environments" / "junk").mkdir(parents=True)
    (tmp_path / "images" / "environments" / "junk" / "flowdeck.json").write_text("{")
    assert images.find("python:3") is None


def test_a_users_row_comes_before_the_shipped_one_and_can_be_taken_back(tmp_path: Path) -> None:
    file = tmp_path / "images.toml"
    add_row(file, Row(references=("busybox",), source=Source.MACHINE, command=("bash", "-l"), env={"A": 'x"y'}))
    images = images_in(tmp_path)
    mine = images.find("busybox:1.36")
    assert mine is not None
    assert (mine.command, mine.env) == (("bash", "-l"), {"A": 'x"y'})
    assert remove_row(file, "docker.io/library/busybox")
    assert not remove_row(file, "busybox")
    shipped = images.find("busybox:1.36")
    assert shipped is not None
    assert shipped.command == ("sh",)


def test_a_bad_row_is_told_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "images.toml").write_text('[[image]]\nreferences = ["a"]\npakages = ["b"]\n')
    with pytest.raises(ValueError, match=r"images.toml: unknown field 'pakages'"):
        user_rows(tmp_path / "images.toml")


async def test_what_a_program_will_install_is_there_for_who_says_so_and_for_nobody_else(tmp_path: Path) -> None:
    with package_index(tmp_path, {"torch": "2.9.0", "numpy": "2.0.0", "kfp": "2.17.3", "other": "1.0"}) as url:
        images = images_in(tmp_path, offline=False, index_url=url)
        wanted = Additions(("numpy>=2",), ("kfp==2.17.3",))
        image = await images.pull("python:3", wanted)
        assert images.find("python:3", wanted) == image
        assert images.find("python:3", Additions((), ("kfp==2.17.3",))) is None
        assert images.find("python:3") is None
        assert image.environment is not None
        assert len(list(image.environment.glob("lib/python3*/site-packages/*-2.*.dist-info"))) == 2
        assert "kfp.dsl.executor" in image.preload
        add_row(tmp_path / "images.toml", Row(references=("mine",), packages=("numpy",)))
        assert images.find("mine") is None


async def test_additions_that_cannot_be_had_are_left_out(tmp_path: Path) -> None:
    told: list[str] = []
    images = images_in(tmp_path)
    wanted = Additions(("no-such-package-at-all",), ())
    image = await images.pull("python:3", wanted, on_progress=lambda text, is_notice=False: told.append(text))
    assert image == images.find("python:3", wanted) == images.find("python:3")
    assert any("cannot be had beforehand" in text for text in told)
