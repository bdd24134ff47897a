"""The data folder of a run that names none: converted as its recipe says, once, and found again by the next run."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import phidata
from phidata.errors import DataError, UsageError
from phitrain.config import DataPart

DATA = Path("data")  # below the current folder
MANIFEST = "manifest.json"


def ensure_data(part: DataPart, *, folder: Path = DATA) -> Path:
    """The data folder of a run: the one that is named, else the one that is converted below `folder`, if need be now.

    Every process of a run calls it, before it joins the others: one converts while the rest wait. `phidata convert`
    does the work, and says on standard error how far it is; an interrupted one goes on where it was. Raises UsageError
    and DataError where it fails, UsageError where there is nothing to convert, and DataError for a folder that is no
    longer what its manifest says.
    """
    if part.dir:
        return Path(part.dir)
    place = data_folder(part, folder=folder)
    with _one_at_a_time(place):
        if not place.exists():
            _make(part, place)
        elif os.environ.get("RANK", "0") == "0":
            click.echo(f"no --data_dir: using {place}, which was converted before", err=True)
    _check_files(place)
    return place


def data_folder(part: DataPart, *, folder: Path = DATA) -> Path:
    """Where `ensure_data` finds or makes the data: a folder for each converter, source and choice of options.

    Raises UsageError where neither a folder nor a converter is named.
    """
    if part.dir:
        return Path(part.dir)
    if not part.converter:
        raise UsageError("--data_dir is missing; give the folder that `phidata convert` wrote, or name data.converter")
    made_from = [part.converter, _named(part.source), part.convert_options]
    if part.eval_source:
        made_from += [_named(part.eval_source), part.eval_convert_options]
    digest = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:8]
    return folder / f"{Path(part.converter).stem}-{digest}"


def _named(source: str) -> str:
    """A folder or file by its whole path, a hub id as it is."""
    return str(Path(source).resolve()) if source and Path(source).exists() else source


def _make(part: DataPart, place: Path) -> None:
    click.echo(f"no --data_dir: converting {part.converter} to {place}, which later runs use too", err=True)
    parts = place.with_name(f".{place.name}")
    trained, evaluated = parts / "train", parts / "eval"
    _convert("source", part.converter, part.source, part.convert_options, trained)
    if part.eval_source:
        _convert("eval_source", part.converter, part.eval_source, part.eval_convert_options, evaluated)
        phidata.merge([trained, evaluated], out=place)
    else:
        trained.rename(place)
    shutil.rmtree(parts)


def _convert(field: str, converter: str, source: str, options: tuple[str, ...], out: Path) -> None:
    """Convert one source to `out`, which is there when all of it was accepted, and not before."""
    if out.exists():
        return
    begun = out.with_name(f"{out.name}.begun")
    if (begun / MANIFEST).is_file():
        _refuse_failed(begun)
    else:
        _run_convert(field, converter, source, options, begun)
    begun.rename(out)


def _run_convert(field: str, converter: str, source: str, options: tuple[str, ...], out: Path) -> None:
    from_source = ["--source", source] if source else []
    command = ["convert", "--from", converter, *from_source, "--out", str(out), *options]
    code = subprocess.run([sys.executable, "-m", "phidata", *command], stdout=sys.stderr).returncode
    if code:
        kind = UsageError if code == UsageError.exit_code else DataError
        raise kind(
            f"`phidata {shlex.join(command)}` has failed and says why above; --set data.{field}=PATH names another "
            "source, --data_dir a folder that is converted already"
        )


def _refuse_failed(begun: Path) -> None:
    """A conversion that ended, and was not accepted then, is not accepted when the run is started again."""
    num_failed = _manifest(begun)["rows"]["failed"]
    if num_failed:
        raise DataError(
            f"{num_failed} rows failed when {begun} was converted, {begun / 'failures.jsonl'} says why; mend the "
            f"source and remove that folder, or train without them with --data_dir {begun}"
        )


@contextmanager
def _one_at_a_time(place: Path) -> Iterator[None]:
    """Wait until no other process is making the same folder, on this machine or on one that shares its disk."""
    import fcntl

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = (place.parent / f".{place.name}.lock").open("w")
    except OSError as error:
        raise UsageError(
            f"{place.parent} can not be written ({error.strerror}), and the data is to be converted there; "
            "convert it with `phidata convert` and give --data_dir"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _manifest(place: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads((place / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{place / MANIFEST} can not be read ({error}); remove {place}, and it is converted again"
        ) from error
    return found


def _check_files(place: Path) -> None:
    """The files with the rows are those that were written; whether every image is there is seen row by row later."""
    for split in _manifest(place)["splits"].values():
        for file in split["files"]:
            path = place / file["name"]
            if not path.is_file() or _sha256(path) != file["sha256"]:
                raise DataError(
                    f"{path} is not the file that its manifest names; remove {place}, and it is converted again, or "
                    f"train on it as it is with --data_dir {place}"
                )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
