"""The images that rows name: each file looked at once, each finding at the place of its path in the row."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from phidata.diagnostics.excerpt import quoted
from phidata.media.defect import Defect
from phidata.media.presence import ImageFolder
from phidata.media.probe import probe
from phidata.validation.inputs import Media
from phidata.validation.meaning import turns
from phidata.validation.paths import is_image_path
from phidata.validation.scan import Fault, Scan
from phidata.validation.seen import Slots, SoundImages

NUM_REMEMBERED = 1024  # images with defects; sound ones are remembered by SoundImages


class ImageChecks:
    """The images below one folder, looked at as closely as `media` says."""

    def __init__(self, root: str, media: Media, slots: Slots) -> None:
        self._folder = ImageFolder(root)
        self._media = media
        self._sound = SoundImages(slots)
        self._defects = lru_cache(maxsize=NUM_REMEMBERED)(self._look)

    def is_sound(self, name: str) -> bool:
        """Whether nothing is wrong with the image of this name."""
        path = self._folder.path(name)
        if path in self._sound:
            return True
        sound = not self._defects(name)
        if sound:
            self._sound.add(path)
        return sound

    def faults(self, scan: Scan) -> Iterator[Fault]:
        """What is wrong with the images of a row. Paths that are wrong as paths are left out: the shape has them."""
        for turn_path, turn in turns(scan.value):
            images = turn.get("images")
            for number, name in enumerate(images if isinstance(images, list) else ()):
                if isinstance(name, str) and is_image_path(name) and not self.is_sound(name):
                    path = (*turn_path, "images", number)
                    start, end = scan.spans[path]
                    for rule, what in self._defects(name):
                        message = f"image {quoted(name)} {what}"
                        yield Fault(rule=rule, start=start, end=end, path=path, message=message)

    def _look(self, name: str) -> tuple[Defect, ...]:
        if absent := self._folder.defect(name):
            return (absent,)
        if self._media == "exists":
            return ()
        return tuple(probe(self._folder.path(name), decode=self._media == "decode"))
