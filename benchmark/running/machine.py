"""The machine that cells run on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec

import torch

from baselines.processor import UNITS, processor_units
from benchmark.errors import UsageError

DEVICE = "DPBENCH_DEVICE"
"""Environment variable that names a device: worker processes inherit it."""


def best_device() -> torch.device:
    """What $DPBENCH_DEVICE names, else CUDA where there is one, else Apple's MPS, else the CPU.

    Raises:
        UsageError: If the one that is named is not here.
    """
    there = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    there = [*["cuda"] * bool(there), *there, *["mps"] * torch.backends.mps.is_available(), "cpu"]
    named = os.environ.get(DEVICE) or there[0]
    if named not in there:
        raise UsageError(f"no device {named!r} on this machine; devices: {', '.join(there)}")
    return torch.device(named)


def machine(device: torch.device) -> dict[str, str]:
    """What a page says of the machine and the versions, without naming the machine."""
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else "none"
    simulators = filter(find_spec, ("pymunk", "mujoco", "robosuite"))  # the last two are optional
    packages = ("dpbench", "torch", "numpy", "gymnasium", *simulators)
    units = [name for name in UNITS if name in processor_units()]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": ", ".join([platform.machine(), *units]),
        "accelerator": accelerator,
        "system": platform.system(),
        "Python": platform.python_version(),
    } | {name: version(name) for name in packages}


def together(machines: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Several machines in one description: every value of each name, each once."""
    names = dict.fromkeys(name for machine in machines for name in machine)
    return {name: " / ".join(sorted({m[name] for m in machines if name in m})) for name in names}
