"""Where a benchmark's table stands in the documentation."""

from __future__ import annotations

from pathlib import Path


def put(page: Path, part: str, table: str) -> None:
    """Replace what the page has between the two marks of a part."""
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(f"<!-- {part} -->\n")
    _, end, after = rest.partition(f"<!-- end of {part} -->\n")
    assert end, f"{page} has no marks for {part}"
    page.write_text(f"{before}{begin}{table}\n{end}{after}", "utf-8")
