"""`python -m benchmark keep`: finished runs become evidence, which is kept in git."""

from __future__ import annotations

from typing import get_args

from baselines.choices import check_choice
from benchmark.errors import UsageError, usage_errors
from benchmark.plan.request import PRESET_NAMES, Source
from benchmark.plan.tasks import get_task
from benchmark.running.evidence import finished_cells, keep_cell, keep_shared
from benchmark.running.store import default_store


def keep_command(task: str | None, preset: str | None, data: str | None) -> int:
    """Keep the cells that fit, and what belongs to no cell."""
    with usage_errors():
        if task is not None:
            get_task(task)
        if preset is not None:
            check_choice("preset", preset, PRESET_NAMES)
        if data is not None:
            check_choice("data", data, get_args(Source))
    store = default_store()
    wanted = {"task": task, "preset": preset, "data": data}
    chosen = {name: value for name, value in wanted.items() if value is not None}
    runs = [
        run
        for run in finished_cells(store)
        if all(getattr(run.cell, name) == value for name, value in chosen.items())
        and (preset == "smoke" or run.cell.preset != "smoke")  # its numbers mean nothing
    ]
    if not runs:
        asked = ", ".join(f"{name} {value}" for name, value in chosen.items()) or "any task"
        raise UsageError(
            f"{store} holds no finished run of {asked} with today's settings; "
            "smoke runs are kept only when asked for (--preset smoke)"
        )
    for run in runs:
        print(keep_cell(run))
    for path in keep_shared(store):
        print(path)
    print(f"{len(runs)} cells kept; `python -m benchmark results` draws the pages from them")
    return 0
