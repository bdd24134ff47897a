"""How many positions an image takes: the published processor's counts."""

from __future__ import annotations

import json

import pytest
from conftest import golden_root

from phidata import DataError
from phidata.media.tokens import num_image_tokens


def test_counts_are_those_of_the_published_processor() -> None:
    table = json.loads((golden_root() / "processor" / "size_table.json").read_text())
    assert table["columns"] == ["width", "height", "num_crops", "hd_height", "hd_width", "num_img_tokens"]
    assert len(table["rows"]) >= 200
    for width, height, num_crops, _, _, expected in table["rows"]:
        assert num_image_tokens(width, height, num_crops) == expected, (width, height, num_crops)


def test_an_image_that_scaling_makes_vanish_is_refused() -> None:
    with pytest.raises(DataError, match=r"an image of 9000 x 1 pixels .* is too thin: scaled to 5376 pixels"):
        num_image_tokens(1, 9000)
