"""The data folder's own files: those with secrets readable by their owner alone, and whole or not there at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from shared.errors import ShopbellError


class FolderProblem(ShopbellError):
    """The data folder cannot be used."""


@contextlib.contextmanager
def writing_in(data_dir: Path) -> Iterator[None]:
    """Raise `FolderProblem` for whatever keeps us from writing there, with what can be done."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileExistsError | NotADirectoryError):
            why, then = f"used: a file is in the way of {error.filename}", "remove it"
        else:
            why, then = f"written ({error.strerror})", "give it to this user, make room in it,"
        raise FolderProblem(
            f"The data folder {data_dir} cannot be {why}; {then} or name another with --data-dir or SHOPBELL_DATA_DIR."
        ) from error


def write_private(path: Path, text: str) -> None:
    """Put the file in the place of whatever was there. On the disk when it returns."""
    draft = write_draft(path, text)
    draft.replace(path)
    sync_folder(path.parent)


def create_private(path: Path, text: str) -> None:
    """Make the file unless there is one; of two processes that try, one wins and neither sees half a file."""
    draft = write_draft(path, text)
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
        sync_folder(path.parent)
    draft.unlink()


def write_draft(path: Path, text: str) -> Path:
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft


def sync_folder(folder: Path) -> None:
    """A new name is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
