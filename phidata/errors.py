"""What a user can be told: one sentence, what, where, what was found and what to do.

`UsageError` is for what was asked (a flag, a folder, a name): exit code 2.
`DataError` is for what was found in the data: exit code 1.
"""

from __future__ import annotations

import errno

DISK_FULL = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
)  # errno: no room, no more for this user, or for one file


class PhidataError(Exception):
    """A sentence for the user; the command line prints it without a traceback."""

    exit_code = 1


class UsageError(PhidataError):
    """The request can not be carried out as it was made."""

    exit_code = 2


class DataError(PhidataError):
    """The data is not what it has to be."""
