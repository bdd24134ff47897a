"""`phitrain report`: the page of a run, made again."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("output_dir", type=click.Path(path_type=Path))
def report(output_dir: Path) -> None:
    """Write report.html of a run anew, from what lies in its OUTPUT_DIR."""
    from phitrain.page import write_report_page

    click.echo(write_report_page(output_dir))
