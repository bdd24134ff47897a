"""Which crops run, which projected rows each image takes, where they stand in the batch: integers, on the host."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from phidata.errors import DataError
from phitrain.models.phi3v.geometry import CROP, MERGED, image_tokens


@dataclass(frozen=True)
class Placement:
    """Index tensors of one batch.

    - `crops`: (real crops,) which of all crop slots hold a picture; the padded ones never run.
    - `rows`: (image tokens,) row of the table [144 rows a real crop, then `sub_GN`, then `glb_GN`].
    - `positions`: (image tokens,) where each row goes in the flattened (batch * tokens) sequence.
    """

    crops: Tensor
    rows: Tensor
    positions: Tensor

    @classmethod
    def idle(cls) -> Placement:
        """Of one crop that no text shows."""
        return cls(torch.tensor([0]), _layout(0, 0, 0, 1), torch.tensor([], dtype=torch.long))

    def to(self, device: torch.device) -> Placement:
        return Placement(*(index.to(device, non_blocking=True) for index in (self.crops, self.rows, self.positions)))


def place(ids: Tensor, image_sizes: Tensor, slots: int | None, image_token_id: int) -> Placement | None:
    """Index tensors for `ids` (batch, tokens) and `image_sizes` (images, 2); None where no position is an image.

    `slots` is the number of crop slots an image has in `pixel_values`; None when it holds real crops only.

    Image k of a sample is marked by the id -k: its rows go there, wherever in the text that is (the original
    code fills marks in reading order and ignores k). In a batch without negative ids `image_token_id` marks
    image positions instead, filled in reading order. Raises DataError where marks and images do not agree.
    """
    ids, sizes = ids.cpu(), [(int(height), int(width)) for height, width in image_sizes.tolist()]
    if bool((ids < 0).any()):
        images = [positions for sample in range(len(ids)) for positions in _tagged(ids, sample)]
    elif bool((ids == image_token_id).any()):
        images = _in_reading_order(torch.nonzero(ids.flatten() == image_token_id).flatten(), sizes)
    else:
        return None
    if len(images) != len(sizes):
        raise DataError(f"the batch marks {len(images)} images in its text, but carries {len(sizes)} images")
    crops, rows, first_slot, first_crop = [], [], 0, 0
    num_crops = sum(_real_crops(size) for size in sizes)
    for number, ((height, width), positions) in enumerate(zip(sizes, images, strict=True), start=1):
        wanted = image_tokens(height, width)
        if len(positions) != wanted:
            used = "twice, which is not possible" if len(positions) == 2 * wanted else "with another size"
            raise DataError(
                f"image {number} of the batch ({width} x {height} after padding) makes {wanted} rows, but its mark "
                f"stands at {len(positions)} positions: the same image is used {used}"
            )
        real = _real_crops((height, width))
        if slots is not None and real > slots:
            raise DataError(
                f"image {number} of the batch is {width} x {height} after padding and needs {real} crops, but "
                f"pixel_values holds {slots}: pass the processor's image_sizes and pixel_values together"
            )
        crops.append(torch.arange(first_slot, first_slot + real))
        rows.append(_layout(height // CROP, width // CROP, first_crop, num_crops))
        first_slot += real if slots is None else slots
        first_crop += real
    return Placement(torch.cat(crops), torch.cat(rows), torch.cat(images))


def _real_crops(size: tuple[int, int]) -> int:
    return 1 + (size[0] // CROP) * (size[1] // CROP)


def _tagged(ids: Tensor, sample: int) -> list[Tensor]:
    """Flat positions of images 1, 2, ... of one sample; the marks must be -1 ... -n without a gap."""
    tags = sorted(-tag for tag in ids[sample].unique().tolist() if tag < 0)
    if tags != list(range(1, len(tags) + 1)):
        raise DataError(f"sample {sample} marks images {tags}; they must be numbered 1 to {len(tags)}")
    start = sample * ids.shape[1]
    return [start + torch.nonzero(ids[sample] == -tag).flatten() for tag in tags]


def _in_reading_order(positions: Tensor, sizes: list[tuple[int, int]]) -> list[Tensor]:
    lengths = [image_tokens(height, width) for height, width in sizes]
    if sum(lengths) != len(positions):
        raise DataError(
            f"the batch marks {len(positions)} image positions, but its {len(sizes)} images make {sum(lengths)} rows"
        )
    return list(positions.split(lengths))


def _layout(height: int, width: int, first_crop: int, num_crops: int) -> Tensor:
    """Rows of one image: its local crops as one grid with `sub_GN` ending each line, `glb_GN`, the global view."""
    sub, glb = num_crops * MERGED * MERGED, num_crops * MERGED * MERGED + 1
    cells = MERGED * MERGED
    crop = torch.arange(cells).view(MERGED, MERGED)
    local = torch.arange(1, height * width + 1).view(height, 1, width, 1) + first_crop
    grid = (local * cells + crop.view(1, MERGED, 1, MERGED)).reshape(height * MERGED, width * MERGED)
    local_rows = torch.nn.functional.pad(grid, (0, 1), value=sub).flatten()
    global_rows = torch.nn.functional.pad(crop + first_crop * cells, (0, 1), value=sub).flatten()
    return torch.cat([local_rows, torch.tensor([glb]), global_rows])
