"""What a processor multiplies in hardware."""

from __future__ import annotations

from pathlib import Path

import torch

UNITS = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")
"""Units of a processor that policies use, by torch's names."""


def processor_units() -> set[str]:
    """Those of `UNITS` that this processor has.

    From torch, where it tells; an older one does not, and Linux is asked, or nothing is known.
    """
    if hasattr(torch.cpu, "get_capabilities"):
        return {name for name, has in torch.cpu.get_capabilities().items() if has} & set(UNITS)
    info = Path("/proc/cpuinfo")
    flags = info.read_text().replace("avx512f", "avx512_f").split() if info.exists() else []
    return set(flags) & set(UNITS)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 matrices in hardware, faster than float32 ones.

    A CPU does with AVX512-BF16 or AMX; one without these emulates it, slower than float32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return not processor_units().isdisjoint(("avx512_bf16", "amx_bf16"))
    return False
