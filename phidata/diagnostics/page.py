"""The catalogue as a page: `python -m phidata.diagnostics.page > docs/diagnostics.md`."""

from __future__ import annotations

import sys
from textwrap import fill

from phidata.diagnostics.catalogue import RULES
from phidata.diagnostics.rule import Rule

WIDTH = 120
HEAD = """\
# Diagnostics

What `phidata validate` can find. A code keeps its meaning for ever. `phidata explain CODE` prints the same text.

An **error** makes the exit code 1: the data can not be used as they are. A **warning** is something that a person
should decide. This page is made from the catalogue by `python -m phidata.diagnostics.page`.

"""


def catalogue_page() -> str:
    """The whole page, in Markdown."""
    rows = (
        f"| [{rule.code}](#{rule.code.lower()}) | {rule.name} | {rule.severity} | {rule.title} |"
        for rule in RULES.values()
    )
    table = ["| code | name | severity | |", "|---|---|---|---|", *rows, ""]
    return HEAD + "\n".join(table) + "".join(map(_section, RULES.values()))


def _section(rule: Rule) -> str:
    blocks = [
        f"## {rule.code}",
        f"**{rule.name}** ({rule.severity}): {rule.title}.",
        fill(rule.explanation, WIDTH, break_long_words=False, break_on_hyphens=False),
        *([f"    {rule.example}"] if rule.example else []),
        f"Help: {rule.remedy}.",
    ]
    return "".join(f"\n{block}\n" for block in blocks)


if __name__ == "__main__":
    sys.stdout.write(catalogue_page())
