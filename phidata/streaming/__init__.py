"""Data sets as a stream of samples, for training jobs of any size."""

from phidata.streaming.sample import Sample
from phidata.streaming.stream import Stream, stream

__all__ = ["Sample", "Stream", "stream"]
