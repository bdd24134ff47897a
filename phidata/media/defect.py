"""One thing wrong with an image file."""

from __future__ import annotations

from typing import NamedTuple

from phidata.diagnostics import Rule


class Defect(NamedTuple):
    """`what` continues a sentence that begins with the image's name."""

    rule: Rule
    what: str
