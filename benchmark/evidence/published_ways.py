"""Numbers as they were published, in columns of their own beside ours.

Published policies were played at one action horizon, and their scores were the best and the mean of
ten checkpoints on the very episodes that are reported: optimistic, since what is best was picked on
them. Here both stand beside the last checkpoint at the action horizon that validation chose.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

PUBLISHED_WAYS = {
    "published_horizon_success": "at published Ta",
    "optimistic_max": "optimistic max",
    "optimistic_average": "optimistic average",
}
"""Columns that `with_published_ways` adds, with their heads."""
WAY_NOTES = {
    "published_horizon_success": (
        "At published Ta: success of the same policies on the same episodes with as many actions "
        "executed as published."
    ),
    "optimistic_max": (
        "Optimistic: score by the published protocol, 50 episodes from seed 100000; the best and "
        "the mean of the last ten checkpoints there, averaged over the training seeds."
    ),
}
_POLICY = ["task", "data", "obs_type", "preset", "method", "control"]


def with_published_ways(results: pd.DataFrame, episodes: pd.DataFrame) -> pd.DataFrame:
    """Add the numbers as published to the rows of `results_table`; NaN where nothing was played.

    Args:
        results: A row a policy.
        episodes: A row an episode; those whose `horizon` is `published` were played at the
            published action horizon, those whose split is so at one of ten checkpoints.

    Returns:
        The results with published_horizon (steps), published_horizon_success (a rate),
        optimistic_max and optimistic_average (scores).
    """
    added = dict.fromkeys(["published_horizon", *PUBLISHED_WAYS], np.nan)
    if "horizon" not in episodes:
        return results.assign(**added)
    found = {
        key: _ways(group)
        for key, group in episodes[episodes["horizon"] == "published"].groupby(_POLICY)
    }
    rows = [
        found.get(key, {}) if horizon == 0 else {}
        for horizon, *key_parts in results[["action_horizon", *_POLICY]].itertuples(index=False)
        for key in [tuple(key_parts)]
    ]
    columns = pd.DataFrame(rows, index=results.index).reindex(columns=list(added)).astype(float)
    return results.assign(**{name: columns[name] for name in added})


def _ways(group: pd.DataFrame) -> dict[str, float]:
    """Of one policy's episodes that were played as published."""
    ways: dict[str, float] = {}
    test = group[group["split"] == "test"]
    if not test.empty:
        ways["published_horizon"] = float(test["action_horizon"].iloc[0])
        ways["published_horizon_success"] = float(test["is_success"].mean())
    protocol = group[group["split"] == "published"]
    if not protocol.empty:
        scores = protocol.groupby(["train_seed", "checkpoint"])["score"].mean()
        by_seed = scores.groupby("train_seed")
        ways["optimistic_max"] = float(by_seed.max().mean())
        ways["optimistic_average"] = float(by_seed.mean().mean())
    return ways


def published_way_text(row: Mapping[Hashable, Any], name: str) -> str:
    """Write one of PUBLISHED_WAYS of a row; a dash where nothing was played."""
    value = row[name]
    if pd.isna(value):
        return "-"
    if name == "published_horizon_success":
        return f"{100 * value:.0f} % ({row['published_horizon']:.0f})"
    return f"{value:.3f}"
