"""Data folders for real processes: an empty one is made in 1 s, a copy of a used one in a tenth of that."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.process import SAID, running_up, say


@pytest.fixture(scope="session")
async def used_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a demo that was started, used and stopped. Not to be started: copies are."""
    folder = tmp_path_factory.mktemp("used") / "data"
    async with running_up(folder) as up:
        await say(up, SAID)
        code, _ = await up.stop()
        assert code == 0
    return folder


@pytest.fixture
def used(used_folder: Path, tmp_path: Path) -> Path:
    """A copy of the used data folder, with one message in it."""
    return copied(used_folder, tmp_path / "data")


@pytest.fixture
def copy_used(used_folder: Path) -> Callable[[Path], Path]:
    """Put a copy of the used data folder somewhere."""
    return lambda to: copied(used_folder, to)


def copied(folder: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    subprocess.run(["cp", "-a", str(folder), str(to)], check=True)
    return to
