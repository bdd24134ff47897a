"""The most floating-point operations a second that a GPU does in a number format, by the name its driver gives."""

from __future__ import annotations

import re
from typing import NamedTuple

TERA = 1e12


class Rates(NamedTuple):
    """10^12 operations a second, dense: not doubled for matrices with two zeros in four. None: not built in."""

    fp32: float
    fp16: float
    bf16: float | None
    tf32: float | None


# The maker's names, without "NVIDIA", "Tesla" and "GeForce". Sources, all NVIDIA's: the data sheets of V100, V100S, T4,
# A10, A30, A40, A100, L4, L40, L40S, H100 (SXM, PCIe, NVL), H200 (SXM, NVL); the white papers "Ampere GA102 GPU
# Architecture" v2 (RTX 3090, appendix A; RTX A6000, appendix C) and "Ada GPU Architecture" (RTX 4090, RTX 6000 Ada).
# Half precision with sums in fp32, as torch multiplies. A part of a GPU (MIG) and a laptop's GPU match nothing.
PEAKS: tuple[tuple[str, Rates], ...] = (
    (r"V100-SXM[23]-(16|32)GB(-LS)?", Rates(15.7, 125, None, None)),
    (r"V100-PCIE-(16|32)GB", Rates(14, 112, None, None)),
    (r"V100S-PCIE-32GB", Rates(16.4, 130, None, None)),
    (r"T4", Rates(8.1, 65, None, None)),
    (r"A100-SXM4?-(40|80)GB|A100-PCIE-40GB|A100 80GB PCIe", Rates(19.5, 312, 312, 156)),
    (r"A10", Rates(31.2, 125, 125, 62.5)),
    (r"A30", Rates(10.3, 165, 165, 82)),
    (r"A40", Rates(37.4, 149.7, 149.7, 74.8)),
    (r"RTX A6000", Rates(38.7, 154.8, 154.8, 77.4)),
    (r"RTX 3090", Rates(35.6, 71, 71, 35.6)),
    (r"RTX 4090", Rates(82.6, 165.2, 165.2, 82.6)),
    (r"RTX 6000 Ada Generation", Rates(91.1, 364.2, 364.2, 182.1)),
    (r"L4", Rates(30.3, 121, 121, 60)),
    (r"L40", Rates(90.5, 181, 181, 90.5)),
    (r"L40S", Rates(91.6, 362, 362, 183)),
    (r"H100 80GB HBM3", Rates(67, 989.4, 989.4, 494.7)),
    (r"H100 PCIe", Rates(51, 756, 756, 378)),
    (r"H100 NVL", Rates(60, 835.5, 835.5, 417.5)),
    (r"H200", Rates(67, 989.4, 989.4, 494.7)),
    (r"H200 NVL", Rates(60, 835.5, 835.5, 417.5)),
)  # fmt: skip


def peak_flops(device_name: str, precision: str) -> float | None:
    """Operations a second of one GPU in fp32, tf32, fp16 or bf16, by the name that `torch.cuda.get_device_name` gives.

    None for a GPU that is not in the table and for a format that it has no units for: a share of a wrong peak would
    say less than none.
    """
    name = re.sub(r"^(NVIDIA |Tesla |GeForce )+", "", device_name.strip())
    for pattern, rates in PEAKS:
        if re.fullmatch(pattern, name):
            rate: float | None = getattr(rates, precision)
            return None if rate is None else rate * TERA
    return None
