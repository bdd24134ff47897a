"""What a converter makes the images of a row with."""

from __future__ import annotations

from pathlib import Path

from PIL.Image import Image

from phidata.conversion.options import Options
from phidata.media.images import encode, scale_down
from phidata.media.video import sample_frames


class Media:
    """The media of one row: read below the source folder, encoded by the options, kept until the row is known good."""

    def __init__(self, root: Path, name: str, options: Options) -> None:
        self._root = root
        self._name = name
        self._options = options
        self.encoded: dict[str, bytes] = {}

    def frames(self, file: str) -> tuple[str, ...]:
        """Take `num_frames` frames of a video, in order, and return the paths of their images.

        Raises DataError when the file is no whole video or a wanted frame is damaged.
        """
        images = sample_frames(
            self._root / file, self._options.num_frames, decoder=self._options.decoder, keep=self._encode
        )
        return tuple(self._add(image) for image in images)

    def _encode(self, image: Image) -> bytes:
        scaled = scale_down(image, self._options.max_side)
        return encode(scaled, self._options.image_format, quality=self._options.quality)

    def _add(self, data: bytes) -> str:
        path = f"{self._name}.{len(self.encoded)}.{self._options.image_format}"
        self.encoded[path] = data
        return path
