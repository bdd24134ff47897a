"""The face both command lines share: exit codes, one-sentence errors, progress on standard error."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

import click

from phidata.errors import DISK_FULL, PhidataError
from phidata.regular import check_text

EXIT_INTERRUPTED = 130
SECONDS_A_LINE = 10.0


def run(command: click.Command, argv: Sequence[str] | None = None) -> int:
    """Run a click command and return its exit code: 0 fine, 1 findings or losses, 2 usage, 130 interrupted.

    Errors are one sentence on standard error. An argument that is not UTF-8 is one: the records that are written are
    text, and could not name it. With `--debug` anywhere on the line the traceback is shown as well.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    sys.unraisablehook = _unraisable
    _open_closed_streams()
    try:
        _check_text(arguments)
        code = command.main(arguments, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (PhidataError, OSError) as error:
        return report(error, debug=debug)
    finally:
        sys.unraisablehook = sys.__unraisablehook__


def _check_text(arguments: Sequence[str]) -> None:
    for argument in arguments:
        check_text(Path(argument))


def report(error: BaseException, *, debug: bool) -> int:
    """Print one error as a sentence (with its traceback when debugging) and return its exit code.

    What the sentence quotes of data can not control the terminal.
    """
    if debug:
        traceback.print_exception(error)
    click.echo(f"error: {_harmless(_sentence(error))}", err=True)
    return error.exit_code if isinstance(error, PhidataError) else 1


def _sentence(error: BaseException) -> str:
    if not isinstance(error, OSError) or error.errno not in DISK_FULL:
        return str(error)
    place = "standard output" if error.filename is None else error.filename
    return f"{place} can not be written ({error.strerror}); make room and run the same command again"


def _open_closed_streams() -> None:
    """A caller may have closed what is written to; Python has None for it then."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - stays open


def _harmless(text: str) -> str:
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    return " " if character.isspace() else character.encode("unicode_escape").decode()


def _unraisable(found: sys.UnraisableHookArgs) -> None:
    """Python drops what is raised in a finaliser; a Ctrl-C that lands in one is delivered again, once it is left."""
    if found.exc_type is KeyboardInterrupt:
        main_thread = threading.main_thread().ident
        assert main_thread is not None
        again = threading.Timer(0.01, signal.pthread_kill, (main_thread, signal.SIGINT))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(found)


class Progress(Protocol):
    """What a caller does with a progress bar."""

    def update(self, n: int = 1) -> object: ...

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> object: ...


@contextmanager
def progress(
    total: int | None, label: str, unit: str = "row", *, bar: bool = True, done: int = 0
) -> Iterator[Progress]:
    """A bar on a terminal; on anything else, and without `bar`, a plain line now and then and one at the end.

    Always on standard error. `done`: how many of `total` were done before, and take no time now.
    """
    if not (bar and sys.stderr.isatty()):
        lines = ProgressLines(total, label, unit, done=done)
        yield lines
        lines.tell()
        return
    from tqdm import tqdm

    # On a terminal that does not know its size the bar would be zero columns wide.
    size = {"dynamic_ncols": True} if _knows_its_size(sys.stderr) else {"ncols": 80, "nrows": 24}
    with tqdm(total=total, initial=done, desc=label, unit=unit, file=sys.stderr, **size) as shown:
        yield shown


def _knows_its_size(terminal: TextIO) -> bool:
    try:
        return os.get_terminal_size(terminal.fileno()).columns > 0
    except OSError:
        return False


class ProgressLines:
    """Progress for logs: one line each ten seconds."""

    def __init__(self, total: int | None, label: str, unit: str, *, done: int = 0) -> None:
        self._of = "" if total is None else f"/{total}"
        self._label, self._unit = label, unit
        self._done, self._done_before, self._note = done, done, ""
        self._began = self._told = time.monotonic()

    def update(self, n: int = 1) -> None:
        self._done += n
        if time.monotonic() - self._told >= SECONDS_A_LINE:
            self.tell()

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:  # noqa: ARG002 - a bar's signature
        self._note = f", {s}" if s else ""

    def tell(self) -> None:
        """Write the line now."""
        self._told = time.monotonic()
        seconds = self._told - self._began
        rate = (self._done - self._done_before) / seconds if seconds else 0.0
        click.echo(
            f"{self._label}: {self._done}{self._of} {self._unit}s in {seconds:.1f} s, "
            f"{rate:.1f} {self._unit}s/s{self._note}",
            err=True,
        )
