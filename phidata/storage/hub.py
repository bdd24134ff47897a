"""Files of data sets on the Hugging Face hub, through the hub's own cache."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from phidata.errors import DataError, UsageError

_REPO_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True)
class HubFile:
    """One file in a data set repository."""

    repo_id: str
    filename: str


@dataclass(frozen=True)
class HubFiles:
    """Files in a data set repository, by patterns such as `nlvr2/*.parquet`; `*` also stands for slashes."""

    repo_id: str
    patterns: tuple[str, ...]


@dataclass(frozen=True)
class HubCopy:
    """The local copy of a hub file, or the folder of several, and the commit that it is from."""

    path: Path
    revision: str


def is_repo_id(text: str) -> bool:
    """Whether this can be the id of a data set on the hub, as in `sayakpaul/ucf101-subset`."""
    return _REPO_ID.fullmatch(text) is not None


def fetch(file: HubFile) -> HubCopy:
    """Return the cached copy of a file, downloaded when it is not there.

    HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT and HF_TOKEN are respected. Raises DataError, which tells how to do without
    the hub, when there is no cached copy and the hub can not be reached, and UsageError when the hub has no such data
    set or file.
    """
    from huggingface_hub import hf_hub_download

    with _hub_errors(file.repo_id, file.filename):
        path = Path(hf_hub_download(file.repo_id, file.filename, repo_type="dataset"))
    return HubCopy(path, revision=path.relative_to(_snapshots(path)).parts[0])


def fetch_all(files: HubFiles) -> HubCopy:
    """Return the folder with the cached copies of files, downloaded when they are not there; as `fetch` else.

    The folder may hold other files of the repository: go by the patterns.
    """
    from huggingface_hub import snapshot_download

    with _hub_errors(files.repo_id, " ".join(files.patterns)):
        path = Path(snapshot_download(files.repo_id, repo_type="dataset", allow_patterns=list(files.patterns)))
    return HubCopy(path, revision=path.name)


@contextmanager
def _hub_errors(repo_id: str, what: str) -> Iterator[None]:
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
    )

    remedy = "pass --source DIR or ARCHIVE to read a local copy"
    try:
        yield
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UsageError(f"the hub has no data set {repo_id} that you may read; {remedy}") from error
    except RemoteEntryNotFoundError as error:
        raise UsageError(f"the hub's data set {repo_id} has no file {what}; {remedy}") from error
    except (LocalEntryNotFoundError, HfHubHTTPError) as error:
        raise DataError(
            f"{what} of {repo_id} is not in the hub's cache and can not be downloaded now; {remedy}"
        ) from error


def _snapshots(path: Path) -> Path:
    """The folder `snapshots/` of the cache, which holds one folder a commit."""
    return next(parent for parent in path.parents if parent.name == "snapshots")
