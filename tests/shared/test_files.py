"""A file is kept whole or not at all."""

from pathlib import Path

import pytest

from shared.errors import Rejected
from shared.files import FileStore, local_files
from shared.ids import new_id

BIG = 12_000_000  # more than is buffered before something is written


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return local_files(tmp_path)


def left_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_file_comes_back_as_it_went_in(files: FileStore) -> None:
    name = new_id("att")
    async with files.writer(name, max_bytes=100) as writer:
        await writer.write(b"half ")
        await writer.write(b"and half")
    assert writer.size == 13
    assert writer.sha256.startswith("c26d7757")
    assert await files.read(name) == b"half and half"
    assert b"".join([piece async for piece in files.stream(name)]) == b"half and half"
    await files.delete(name)
    with pytest.raises(Rejected, match="not here"):
        await files.read(name)
    await files.delete(name)


@pytest.mark.parametrize("size", [10, BIG])
async def test_what_breaks_off_leaves_nothing(files: FileStore, tmp_path: Path, size: int) -> None:
    with pytest.raises(ConnectionError):
        async with files.writer(new_id("att"), max_bytes=2 * BIG) as writer:
            await writer.write(b"x" * size)
            raise ConnectionError
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("size", [10, BIG])
async def test_what_is_too_large_leaves_nothing(files: FileStore, tmp_path: Path, size: int) -> None:
    with pytest.raises(Rejected, match="larger than"):
        async with files.writer(new_id("att"), max_bytes=size) as writer:
            for _ in range(size):
                await writer.write(b"xx" * (size // 2))
    assert left_in(tmp_path) == []


async def test_writing_again_replaces(files: FileStore) -> None:
    name = new_id("att")
    for words in (b"first", b"second"):
        async with files.writer(name, max_bytes=10) as writer:
            await writer.write(words)
    assert await files.read(name) == b"second"
