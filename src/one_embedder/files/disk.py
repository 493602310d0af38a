"""A disk that does not take what is written: the error names the file, whatever library wrote it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space, no quota, a file that is larger than it may be."""

REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)
"""Nothing can be written there, or something else is there."""


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Let an error of the disk in this block name the file: a write that fails does not know its own.

    Args:
        path: what is written, or the folder of it.

    Raises:
        OSError: the disk's, also where a library hid it behind an error of its own.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__  # torch's writer fails again as it closes
        if not isinstance(cause, OSError) or cause.errno not in (*FULL, *REFUSED):
            raise
        cause.filename = cause.filename or str(path)
        if cause is error:
            raise
        raise cause from None
