"""Arrow data that is mapped from a file is used as it lies there: what leads out of it has to be found before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa


def check_places(batch: pa.RecordBatch) -> None:
    """Raise pa.ArrowInvalid when something in a record batch leads out of it: lengths, offsets, numbers of entries.

    Texts that are not UTF-8 are let through, whoever reads them tells of which row they are.
    """
    batch.validate()
    for column in batch.columns:
        _check(column)


def _check(array: Any) -> None:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error):
            raise
        for inside in _inside(array, error):
            _check(inside)


def _inside(array: Any, error: pa.ArrowInvalid) -> Iterator[Any]:
    """The arrays inside one that has text that is not UTF-8, after its own places are looked at; none of a text."""
    kind = array.type
    if pa.types.is_struct(kind):
        yield from (array.field(index) for index in range(kind.num_fields))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        ends = array.offsets.to_numpy(zero_copy_only=False)
        if len(ends) and (ends[0] < 0 or ends[-1] > len(array.values) or bool(np.any(np.diff(ends) < 0))):
            raise error
        yield array.values
    elif pa.types.is_dictionary(kind):
        places = array.indices.drop_null().to_numpy(zero_copy_only=False)
        if len(places) and (places.min() < 0 or places.max() >= len(array.dictionary)):
            raise error
        yield array.dictionary
    elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise error
