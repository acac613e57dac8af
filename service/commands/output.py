"""The files and the output that commands write, and what is said where the system does not let them."""

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

from service.errors import OutputError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def write_file(path: Path, content: bytes) -> Path:
    """Write a file that somebody asked for; raises `OutputError` with the name and the reason."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None
    return path


def open_for_writing(path: Path) -> None:
    """Raise `OutputError` for a file that cannot be written, before the work that is to fill it."""
    try:
        path.open("ab").close()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None


def describe_system_fault(error: OSError) -> str:
    """What the system refused, in words: of a file or an address it is named, and never any content."""
    reason = error.strerror or type(error).__name__
    if error.errno in _NO_ROOM and error.filename is None:
        return f"the output cannot be written ({reason})"
    if not _has_working_directory():
        return "the working directory cannot be read, or was removed; change to another one"
    return f"{error.filename}: {reason}" if error.filename is not None else f"the system refused: {reason}"


def _has_working_directory() -> bool:
    try:
        Path.cwd()
    except OSError:
        return False
    return True


def drop_output() -> None:
    """Let what is still to be printed go nowhere, since nobody reads it or there is no room for it."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
