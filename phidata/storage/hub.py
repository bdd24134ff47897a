"""Files of data sets on the Hugging Face hub, through the hub's own cache."""

from __future__ import annotations

import re
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
class HubCopy:
    """The local copy of a hub file, and the commit that it is from."""

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
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
    )

    remedy = "pass --source DIR or ARCHIVE to read a local copy"
    try:
        path = Path(hf_hub_download(file.repo_id, file.filename, repo_type="dataset"))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UsageError(f"the hub has no data set {file.repo_id} that you may read; {remedy}") from error
    except RemoteEntryNotFoundError as error:
        raise UsageError(f"the hub's data set {file.repo_id} has no file {file.filename}; {remedy}") from error
    except (LocalEntryNotFoundError, HfHubHTTPError) as error:
        raise DataError(
            f"{file.filename} of {file.repo_id} is not in the hub's cache and can not be downloaded now; {remedy}"
        ) from error
    return HubCopy(path, revision=path.relative_to(_snapshots(path)).parts[0])


def _snapshots(path: Path) -> Path:
    """The folder `snapshots/` of the cache, which holds one folder a commit."""
    return next(parent for parent in path.parents if parent.name == "snapshots")
