"""Files in object stores and on web servers, by fsspec: `s3://`, `az://`, `gs://`, `hf://`, `https://`, and the like.

A store is opened as its own library does it: keys and endpoints come from that library's variables and files, or from
`FSSPEC_<STORE>_<OPTION>`. A request that fails is made again, with longer and longer waits.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit, urlunsplit

from phidata.errors import DataError, PhidataError, UsageError

T = TypeVar("T")

_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://")
_WEB = ("http", "https")
_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
}
REQUEST_BYTES = 8 << 20
_NO_KEYS = ("NoCredentialsError", "PartialCredentialsError")  # of boto, which is not there without S3
_BUSY = (408, 429)  # refusals that may be over soon


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a store is asked: so many times, each time so many seconds for a request of some megabytes."""

    attempts: int = 6
    first_wait_s: float = 0.5
    timeout_s: float = 60.0

    def wait(self, attempt: int) -> None:
        """Wait after the first attempt (1), twice as long after the next; a random part of it, for others wait too."""
        time.sleep(self.first_wait_s * 2 ** (attempt - 1) * random.uniform(0.5, 1))


PATIENCE = Patience()


class Remote(NamedTuple):
    """A file system of fsspec, and a path in it. To be used in the process and thread that opened it."""

    fs: Any
    path: str


class NotThereError(DataError):
    """A store that answers, and has no such file."""


def is_remote(path: object) -> bool:
    """Whether this is the URL of a store, and not a path."""
    return isinstance(path, str) and _URL.match(path) is not None


def below(url: str, name: str) -> str:
    """The URL of a file below a folder; what stands behind a `?` of a web address, such as a key, stays there."""
    if url.partition("://")[0] not in _WEB:
        return f"{url.rstrip('/')}/{name}"
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


def shown(url: str) -> str:
    """A URL for messages, without what may be a key."""
    public = url.partition("?")[0] if url.partition("://")[0] in _WEB else url
    return _PASSWORD.sub(r"\1@", public)


def open_remote(url: str) -> Remote:
    """The file system that a URL belongs to. Raises UsageError where there is none, or its package is missing."""
    from fsspec.core import url_to_fs

    store = url.partition("://")[0]
    try:
        return Remote(*url_to_fs(url))
    except ImportError as error:
        package = _PACKAGES.get(store, "the package of its file system")
        raise UsageError(f"{store}:// needs {package}, which is not installed; pip install {package}") from error
    except ValueError as error:
        raise UsageError(f"{shown(url)} can not be opened ({_reason(error, url)}); check its beginning") from error


def attempt(url: str, action: Callable[[Remote], T], *, doing: str = "read") -> T:
    """What an action on a URL returns, which is tried again where it fails for a reason that may pass.

    Raises NotThereError for a file that is not there, and DataError for any other failure: with the last reason, when
    no attempt is left.
    """
    for number in count(1):
        try:
            return action(open_remote(url))
        except FileNotFoundError as error:
            raise NotThereError(f"{shown(url)} is not there; check the address, or copy it there") from error
        except PhidataError:
            raise
        except Exception as error:  # every store's library has errors of its own
            if _is_final(error):
                raise DataError(
                    f"{shown(url)} can not be {doing} ({_reason(error, url)}); check your access to it"
                ) from error
            if number >= PATIENCE.attempts:
                raise DataError(
                    f"{shown(url)} can not be {doing}, {number} times ({_reason(error, url)}); "
                    "try again when the store answers"
                ) from error
        PATIENCE.wait(number)
    raise AssertionError("the loop has no end")


def read_remote(url: str) -> bytes:
    """A whole file. Raises DataError as `attempt` does."""
    return attempt(url, lambda remote: _cat(remote))


def read_part(url: str, begin: int, end: int, *, total: int) -> bytes:
    """The bytes from `begin` to before `end` of a file that has `total`; all of them where a server knows no parts.

    Raises DataError as `attempt` does, also when always less comes.
    """

    def read(remote: Remote) -> bytes:
        data = _cat(remote, start=begin, end=end)
        if len(data) not in (end - begin, total):
            raise OSError(f"{len(data)} of {end - begin} bytes came")
        return data

    data = attempt(url, read)
    return data if len(data) == end - begin or not begin else data[begin:end]


def call(remote: Remote, method: str, *arguments: Any, num_bytes: int = 0, **options: Any) -> Any:
    """Call a method of a file system, and wait no longer for it than it should take with so many bytes."""
    if not remote.fs.async_impl:
        return getattr(remote.fs, method)(*arguments, **options)
    from fsspec.asyn import sync

    timeout_s = PATIENCE.timeout_s * (1 + num_bytes / REQUEST_BYTES)
    return sync(remote.fs.loop, getattr(remote.fs, f"_{method}"), *arguments, timeout=timeout_s, **options)


def _cat(remote: Remote, **part: int) -> bytes:
    data: bytes = call(remote, "cat_file", remote.path, **part)
    return data


def _is_final(error: Exception) -> bool:
    """Whether the store said no, rather than nothing."""
    status = getattr(error, "status", getattr(getattr(error, "response", None), "status_code", None))
    refused = isinstance(status, int) and 400 <= status < 500 and status not in _BUSY
    says_no = refused or type(error).__name__ in _NO_KEYS
    return says_no or isinstance(error, PermissionError | NotImplementedError | IsADirectoryError)


def _reason(error: Exception, url: str) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).replace(url, shown(url)).split()) or type(error).__name__
