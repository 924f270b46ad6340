"""Private files: readable and writable by their owner only, whatever was there before.

A name that is a symbolic link is never followed: in a folder that others may write to, it could
lead to any file of this user.
"""

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

_PRIVATE = 0o600
_OTHERS = 0o077


def open_private(path: str | Path, flags: int) -> int:
    """Open a file and return its descriptor; the file is made private if it is this user's.

    Parameters:
        path: the file. A device or a pipe is opened as it is, through a link too.
        flags: the flags of `os.open`, such as `os.O_WRONLY | os.O_CREAT`.

    Raises `OSError`; `ELOOP` with a clear text for a symbolic link to a file, or to nothing.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        descriptor = _open_device(path, flags)
    make_private(descriptor)
    return descriptor


def make_private(file: int | str | Path) -> None:
    """Take away what others may do with a regular file of this user.

    Parameters:
        file: a descriptor, or a path; a missing file is left alone.
    """
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(file)
        is_own = status.st_uid == os.geteuid()
        if is_own and stat.S_ISREG(status.st_mode) and status.st_mode & _OTHERS:
            os.chmod(file, stat.S_IMODE(status.st_mode) & ~_OTHERS)


def replace_private(path: str | Path, content: bytes) -> None:
    """Write a whole private file in the place of another, at once.

    Parameters:
        path: the file; a symbolic link there is replaced, and not followed.
        content: the bytes.
    """
    new = unpredictable(path, "new")
    descriptor = open_private(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise


def unpredictable(path: str | Path, ending: str) -> str:
    """Return a name beside a file that no other program can foresee."""
    return f"{os.fspath(path)}.{secrets.token_hex(8)}.{ending}"


def _open_device(path: str | Path, flags: int) -> int:
    """Open a device or a pipe through a link, such as `/dev/stdout`."""
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        is_file = True
    if is_file:
        raise OSError(errno.ELOOP, "a symbolic link, which is not followed; name the file itself")
    return os.open(path, flags & ~os.O_CREAT | os.O_CLOEXEC)
