"""`phidata.push`: a data folder, verified and uploaded to the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from phidata.errors import DataError, UsageError
from phidata.storage.folder import MANIFEST
from phidata.storage.hub import is_repo_id
from phidata.storage.inspection import inspect_folder
from phidata.storage.manifest import read_manifest

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

MAIN = "main"
MAX_FILES = 100  # of one commit, as the hub recommends


class PushedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file, by its path in the folder and in the repository."""

    name: str
    bytes: int


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What is uploaded, or would be in a dry run: then `url` is None. `left_out` are files of the folder that are no
    part of the data set, `also_there` files of the repository that are not of this folder."""

    repo_id: str
    revision: str
    private: bool
    message: str
    files: tuple[PushedFile, ...]
    left_out: tuple[str, ...]
    also_there: tuple[str, ...] = ()
    url: str | None = None

    @property
    def num_bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def to_json(self) -> str:
        """All of it as one line of JSON."""
        return msgspec.json.encode({**msgspec.to_builtins(self), "num_bytes": self.num_bytes}).decode()


def push(
    path: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str = MAIN,
    message: str | None = None,
    dry_run: bool = False,
) -> Publication:
    """Upload a finished data folder to the data set repository `repo_id`, made when there is none.

    The folder is verified first, and nothing but its own files is uploaded. `manifest.json` comes last, and one of an
    older version goes first where it takes several commits, so that a repository which has it has everything. HF_TOKEN
    or the saved login is used, HF_ENDPOINT is respected; `revision` is a branch, made when there is none. A
    `dry_run` verifies and says what would be done, without the hub.

    Raises UsageError when there is no such folder or the hub refuses, DataError when the folder is unfinished or not
    what its manifest says, or when the hub can not be reached.
    """
    if not is_repo_id(repo_id):
        raise UsageError(f"{repo_id!r} is no repository of the hub; write it as organisation/name")
    root = Path(path)
    plan = _plan(root, repo_id, private=private, revision=revision, message=message)
    return plan if dry_run else _upload(root, plan)


def _plan(root: Path, repo_id: str, *, private: bool, revision: str, message: str | None) -> Publication:
    inspection = inspect_folder(root)
    found = inspection.verification
    errors = [mismatch.message for mismatch in found.mismatches if mismatch.severity == "error"]
    if errors:
        raise DataError(
            f"{root} is not pushed, it is not what its manifest says: {errors[0]} "
            f"({len(errors)} in all; `phidata verify {root}` shows them)"
        )
    names = sorted(inspection.files, key=lambda name: (name == MANIFEST, name))
    return Publication(
        repo_id=repo_id,
        revision=revision,
        private=private,
        message=message or f"Upload {read_manifest(root).name} with phidata",
        files=tuple(PushedFile(name=name, bytes=(root / name).stat().st_size) for name in names),
        left_out=tuple(mismatch.file for mismatch in found.mismatches),
    )


def _upload(root: Path, plan: Publication) -> Publication:
    from huggingface_hub import HfApi

    api = HfApi(library_name="phidata")
    with _one_sentence(plan.repo_id, api.endpoint):
        api.create_repo(plan.repo_id, repo_type="dataset", private=plan.private or None, exist_ok=True)
        if plan.private and not api.dataset_info(plan.repo_id).private:
            raise UsageError(f"{plan.repo_id} is there already and is public; make it private first, or push elsewhere")
        if plan.revision != MAIN:
            api.create_branch(plan.repo_id, repo_type="dataset", branch=plan.revision, exist_ok=True)
        before = api.list_repo_files(plan.repo_id, repo_type="dataset", revision=plan.revision)
        _commit(api, root, plan, replaces=MANIFEST in before)
    own = {file.name for file in plan.files} | {".gitattributes"}
    tree = "" if plan.revision == MAIN else f"/tree/{plan.revision}"
    return msgspec.structs.replace(
        plan,
        also_there=tuple(name for name in before if name not in own),
        url=f"{api.endpoint}/datasets/{plan.repo_id}{tree}",
    )


def _commit(api: HfApi, root: Path, plan: Publication, *, replaces: bool) -> None:
    """Upload in as many commits as it takes; the last has the manifest, and if it is not the only one the first deletes
    the old manifest that this one `replaces`."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    parts = list(_parts(plan.files))
    for number, part in enumerate(parts, 1):
        deleted = [CommitOperationDelete(MANIFEST)] if replaces and number == 1 < len(parts) else []
        added = [CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=root / file.name) for file in part]
        api.create_commit(
            plan.repo_id,
            [*deleted, *added],
            repo_type="dataset",
            revision=plan.revision,
            commit_message=plan.message if len(parts) == 1 else f"{plan.message} (part {number} of {len(parts)})",
        )


def _parts(files: Sequence[PushedFile]) -> Iterator[Sequence[PushedFile]]:
    for begin in range(0, len(files), MAX_FILES):
        yield files[begin : begin + MAX_FILES]


@contextmanager
def _one_sentence(repo_id: str, endpoint: str) -> Iterator[None]:
    """Say what the hub's refusals mean, and that it can not be reached."""
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    # Of the hub's HTTP library, which is httpx in some releases and httpx2 in others.
    http_error = next(
        base for base in HfHubHTTPError.__mro__ if issubclass(base, Exception) and base.__name__ == "HTTPError"
    )
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise _no_token(endpoint) from error
    except OfflineModeIsEnabled as error:
        raise UsageError("HF_HUB_OFFLINE is set; unset it to push") from error
    except HfHubHTTPError as error:
        raise _refusal(error, repo_id, endpoint) from error
    except http_error as error:
        raise DataError(
            f"the hub at {endpoint} can not be reached ({error}); the same command goes on where this one stopped"
        ) from error


def _refusal(error: HfHubHTTPError, repo_id: str, endpoint: str) -> UsageError | DataError:
    status = error.response.status_code
    said = error.server_message or f"status {status}"
    if status == 401:
        return _no_token(endpoint)
    if status == 403:
        return UsageError(f"the hub does not let you write {repo_id} ({said}); use a token with the right to write it")
    if status == 404:
        return UsageError(f"the hub has no {repo_id} that you may write ({said}); check the name and the token")
    return DataError(f"the hub at {endpoint} answers with an error ({said}); try the same command again")


def _no_token(endpoint: str) -> UsageError:
    return UsageError(f"the hub at {endpoint} does not know you; run `hf auth login` or set HF_TOKEN to a valid token")
