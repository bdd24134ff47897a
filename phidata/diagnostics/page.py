"""The catalogue as a page: `python -m phidata.diagnostics.page > docs/diagnostics.md`."""

from __future__ import annotations

import sys
from textwrap import fill

from phidata.diagnostics.catalogue import FLAGS, RULES
from phidata.diagnostics.rule import Rule

WIDTH = 120
HEAD = """\
# Diagnostics

What `phidata validate` can find. A code keeps its meaning for ever. `phidata explain CODE` prints the same text.

An **error** makes the exit code 1: the data can not be used as they are. A **warning** is something that a person
should decide. `--fix` repairs findings of the rules marked so, `--unsafe-fixes` others too, where the text of the rule
says: [validate.md](validate.md#repairs). Codes from PHI501 are found only when `--for` asks for that trainer, codes
from PHI601 with `--tokens`. This page is made from the catalogue by `python -m phidata.diagnostics.page`.

"""


def catalogue_page() -> str:
    """The whole page, in Markdown."""
    rows = (
        f"| [{rule.code}](#{rule.code.lower()}) | {rule.name} | {rule.severity} "
        f"| {rule.title} | {FLAGS[rule.fixable]} |"
        for rule in RULES.values()
    )
    table = ["| code | name | severity | | repair |", "|---|---|---|---|---|", *rows, ""]
    return HEAD + "\n".join(table) + "".join(map(_section, RULES.values()))


def _section(rule: Rule) -> str:
    blocks = [
        f"## {rule.code}",
        f"**{rule.name}** ({rule.severity}): {rule.title}.",
        _filled(rule.explanation),
        *([f"    {rule.example}"] if rule.example else []),
        f"Help: {rule.remedy}.",
        *([_filled(f"`{FLAGS[rule.fixable]}`: {rule.repair}.")] if rule.repair else []),
        *([_filled(f"Source: {rule.source}.")] if rule.source else []),
    ]
    return "".join(f"\n{block}\n" for block in blocks)


def _filled(text: str) -> str:
    return fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    sys.stdout.write(catalogue_page())
