"""`phidata formats`, `phidata detect` and `phidata test-converter`: what there is to convert from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from phidata.errors import UsageError

_format = click.option(
    "--format", "report", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the output."
)


@click.command()
@_format
def formats(report: str) -> None:
    """List the sources that can be converted, those of other installed packages included."""
    from phidata.conversion.converter import registered_converters

    found = [_about(name) for name in registered_converters()]
    if report == "json":
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for entry in found:
        click.echo(f"{click.style(entry['name'], bold=True)}  {entry['kind']}")
        for label in ("source", "hub", "licence", "options"):
            if entry[label]:
                text = ", ".join(entry[label]) if isinstance(entry[label], list) else entry[label]
                click.echo(click.wrap_text(f"{label}: {text}", 100, initial_indent="    ", subsequent_indent="      "))


@click.command()
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path))
@_format
def detect(path: Path, report: str) -> int:
    """Say which format a file, folder or archive is, and why it is none of the others.

    Exit code 0: at least one fits; 1: none does.
    """
    from phidata.conversion.detection import detect as ask

    found = ask(path)
    if report == "json":
        click.echo(json.dumps([asdict(detection) for detection in found], ensure_ascii=False))
    else:
        width = max(len(detection.name) for detection in found)
        for detection in found:
            mark = click.style("yes", fg="green") if detection.matches else "no "
            click.echo(f"{mark}  {detection.name:{width}}  {detection.why}")
    return 0 if any(detection.matches for detection in found) else 1


@click.command("test-converter")
@click.argument("module", metavar="MODULE")
@click.option("--source", metavar="PATH|ID", help="What it is to read; without it only what needs no data is checked.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="One of its options.")
@_format
def test_converter(module: str, source: str | None, given: tuple[str, ...], report: str) -> int:
    """Check that a converter keeps what the engine relies on. MODULE is a module, a file, or a registered name.

    Exit code 0: everything is kept; 1: something is not.
    """
    from phidata.conversion.conformance import check_converter

    num_broken = 0
    for check in check_converter(module, source=source, settings=_settings(module, given)):
        num_broken += check.broken is not None
        if report == "json":
            click.echo(json.dumps(asdict(check), ensure_ascii=False))
        elif check.broken is None:
            click.echo(f"{click.style('kept  ', fg='green')}  {check.promise}")
        else:
            click.echo(f"{click.style('BROKEN', fg='red')}  {check.promise}: {check.broken}")
    if source is None and report == "text":
        click.echo("pass --source to check what it makes of data")
    return 1 if num_broken else 0


def _about(name: str) -> dict[str, Any]:
    from phidata.conversion.converter import find_converter

    try:
        about = find_converter(name).about
    except UsageError as error:
        return {"name": name, "kind": str(error), "source": "", "hub": [], "licence": "", "options": []}
    return {
        "name": name,
        "kind": about.kind,
        "source": about.source,
        "hub": [place.repo_id for place in about.hub if place.repo_id],
        "licence": about.licence,
        "options": [f"--{option.name.replace('_', '-')}" for option in about.options],
    }


def _settings(module: str, given: tuple[str, ...]) -> dict[str, Any]:
    from phidata.conversion.converter import find_converter

    known = {option.name: option for option in find_converter(module).about.options}
    found: dict[str, Any] = {}
    for text in given:
        name, _, value = text.partition("=")
        option = known.get(name.replace("-", "_"))
        if option is not None and option.multiple:
            found.setdefault(option.name, []).append(value)
        else:
            found[name.replace("-", "_")] = value
    return found
