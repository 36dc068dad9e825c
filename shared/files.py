"""The attachments that we hold: written piece by piece, whole or not at all, in a folder or in an S3 bucket."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import obstore
from obstore.store import LocalStore

from shared.errors import Rejected

PIECE_BYTES: Final = 256 * 1024
FOLDER: Final = "files"


class Writer:
    """A file on its way in. `size` in bytes; `sha256` in hexadecimal."""

    def __init__(self, sink: Any, max_bytes: int) -> None:
        self._sink = sink
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self.size = 0

    async def write(self, piece: bytes, /) -> None:
        """Raises `Rejected` for what is larger than we keep."""
        self.size += len(piece)
        if self.size > self._max_bytes:
            raise Rejected(f"The file is larger than the {self._max_bytes} bytes that are kept.")
        self._hash.update(piece)
        await self._sink.write(piece)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


class FileStore:
    """Files by the id of their attachment. Writing the same one again replaces it."""

    def __init__(self, store: Any) -> None:
        self._store = store

    @contextlib.asynccontextmanager
    async def writer(self, attachment: str, *, max_bytes: int) -> AsyncIterator[Writer]:
        """Keep a file; an exception inside the block leaves nothing behind."""
        async with obstore.open_writer_async(self._store, path_of(attachment), max_concurrency=1) as sink:
            yield Writer(sink, max_bytes)

    async def keep(self, name: str, content: bytes, /) -> None:
        """Keep these bytes under a name that is no attachment's."""
        await obstore.put_async(self._store, path_of(name), content)

    async def read(self, attachment: str, /) -> bytes:
        """The whole file; raises `Rejected` if there is none."""
        try:
            return bytes(await (await obstore.get_async(self._store, path_of(attachment))).bytes_async())
        except FileNotFoundError:
            raise Rejected(f"The file {attachment} is not here.") from None

    async def stream(self, attachment: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `stop`, piece by piece; raises `Rejected` before the first if there are none."""
        if stop is not None and start >= stop:
            return
        options: obstore.GetOptions = {} if stop is None else {"range": (start, stop)}
        try:
            found = await obstore.get_async(self._store, path_of(attachment), options=options)
        except FileNotFoundError:
            raise Rejected(f"The file {attachment} is not here.") from None
        async for piece in found.stream(min_chunk_size=PIECE_BYTES):
            yield bytes(piece)

    async def delete(self, attachment: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, path_of(attachment))


def path_of(attachment: str) -> str:
    """Spread over folders by the end of the id, its random part; the start is the time."""
    return f"{attachment[-2:]}/{attachment}"


def local_files(data_dir: Path) -> FileStore:
    """Files in a folder below the data folder, made if it is not there."""
    return FileStore(LocalStore(prefix=data_dir.expanduser().absolute() / FOLDER, mkdir=True))
