"""A data set as one page to look at."""

from __future__ import annotations

from phidata.previewing.page import Page, preview

__all__ = ["Page", "preview"]
