"""The folder a run writes: opened once, filled so that nothing unfinished looks whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from phidata.errors import DataError, PhidataError, UsageError
from phitrain.environment import ENVIRONMENT

LOCK = ".lock"  # held by the run that writes the folder
RUN_CONFIG = "train_config.json"
QUANTISATION = "base_quantisation.json"  # beside adapters that were trained on a base in four bits


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise UsageError when nothing can be written there, or what lies there is not to be replaced. Changes nothing."""
    existing = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not existing.is_dir():
        what = f"--output_dir {path} is a file" if path.exists() else f"--output_dir {path}: {existing} is a file"
        raise UsageError(f"{what}; give the name of a folder")
    if not os.access(existing, os.W_OK):
        raise UsageError(f"--output_dir {path}: {existing} is not writable; name another folder")
    entries = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
    if entries - {_temporary(path / RUN_CONFIG).name, LOCK}:  # which a run leaves that was killed as it began
        if not overwrite:
            raise UsageError(f"--output_dir {path} is not empty; give another, or --overwrite_output_dir to replace it")
        if RUN_CONFIG not in entries:
            raise UsageError(
                f"--output_dir {path} holds files but no {RUN_CONFIG}: it was not written by `phitrain train` and is "
                "not overwritten; give another folder"
            )


def check_apart(output: Path, **inputs: str) -> None:
    """Raise UsageError where a folder that a run reads is the one that it writes, or lies in it; `inputs` by flag."""
    for flag, name in inputs.items():
        if name and Path(name).exists() and output.resolve() in (Path(name).resolve(), *Path(name).resolve().parents):
            raise UsageError(f"--output_dir {output} would replace what --{flag} {name} names; give another folder")


def check_new_file(flag: str, path: Path) -> None:
    """Raise UsageError where no file can be written: found before the work whose result it is to hold."""
    if path.is_dir():
        raise UsageError(f"{flag} {path} is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise UsageError(f"{flag} {path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{flag} {path}: {path.parent} is not writable; name another folder")


def open_output(path: Path, *, overwrite: bool) -> None:
    """Make the folder of a run, empty. Raises UsageError as `check_output` does."""
    check_output(path, overwrite=overwrite)
    if path.is_dir():
        # The configuration last: without it what is left would not be taken for that of a run.
        for entry in sorted(path.iterdir(), key=lambda entry: entry.name == RUN_CONFIG):
            if entry.name == LOCK:
                continue
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    path.mkdir(parents=True, exist_ok=True)


class OutputLock:
    """Keeps a second run away from an output folder until `release`, or until this process has ended somehow."""

    def __init__(self, output: Path) -> None:
        self._output, self._is_new = output, False
        self._file: TextIO | None = None

    def take(self) -> None:
        """Raise UsageError while another process has it. A lock of fcntl's, which loader processes do not inherit."""
        import fcntl

        self._is_new = not self._output.exists()
        self._output.mkdir(parents=True, exist_ok=True)
        file = (self._output / LOCK).open("w")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            file.close()
            raise UsageError(
                f"--output_dir {self._output} is being written by another run; wait for it, or name another folder"
            ) from error
        except OSError:
            pass  # a disk without locks, as some clusters have, keeps nobody away
        self._file = file

    def release(self) -> None:
        """Leave nothing behind: a folder that nothing was written to is gone too."""
        if self._file is not None:
            (self._output / LOCK).unlink(missing_ok=True)
            self._file.close()
            if self._is_new and not any(self._output.iterdir()):
                self._output.rmdir()


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """An empty folder to write into, gone at the end. Raises DataError where the disk does not take what is written."""
    from safetensors import SafetensorError

    shutil.rmtree(path, ignore_errors=True)
    try:
        path.mkdir(parents=True)
        yield path
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path.parent} can not be written: {error}; make room there or name another folder") from error
    finally:
        shutil.rmtree(path, ignore_errors=True)


def check_space(folder: Path, num_bytes: int) -> None:
    """Raise UsageError when fewer bytes are free where `folder` lies."""
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise UsageError(
            f"{folder} has {free / 1e9:.2f} GB free, the trained model takes {num_bytes / 1e9:.2f} GB; make room there "
            "or name another folder"
        )


def make_durable(folder: Path) -> None:
    """Bring the files of a folder to disk, readable by whom the umask says: the weights' writer hides them."""
    for file in folder.iterdir():
        file.chmod(0o666 & ~_umask())
        fsync(file)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """In the block, which writes a file, what the disk refuses becomes a DataError that names the file."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path} can not be written ({reason}); make room there and start the same again") from error


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A text file that takes its name when the block ends well, and is gone else. Raises what `writing` raises."""
    temporary = _temporary(path)
    try:
        with writing(path):
            with temporary.open("w", encoding="utf-8", newline="\n") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write one JSON file whole or not at all. Raises DataError where the disk does not take it."""
    with replacing(path) as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


@contextmanager
def beginning(path: Path) -> Iterator[None]:
    """In the block a run begins: where it can not, what it has written of itself goes, so that it can begin again."""
    try:
        yield
    except PhidataError:
        if path.is_dir() and {entry.name for entry in path.iterdir()} <= {RUN_CONFIG, ENVIRONMENT, LOCK}:
            for name in (RUN_CONFIG, ENVIRONMENT):
                (path / name).unlink(missing_ok=True)
        raise


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
