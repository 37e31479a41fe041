"""Published scores beside ours, with what differs between the two.

Numbers: Chi et al., "Diffusion Policy: Visuomotor Policy Learning via Action Diffusion", RSS 2023
(arXiv 2303.04137), tables 1 and 2. Push-T is the mean score, the tasks of robomimic success rates
of policies trained on its proficient humans' demonstrations (ph).
"""

from collections.abc import Hashable, Mapping
from typing import NamedTuple

import pandas as pd

from benchmark.evidence.tables import policy_name, score_text, settings_shown
from benchmark.evidence.text_table import Table


class Published(NamedTuple):
    """A published score."""

    best: float
    """Mean over training seeds of the best checkpoint on the test states."""
    average: float
    """Mean over the ten evaluations with the lowest training loss."""


# Best and average of every method, as in the two tables; no image result of BET was published.
_METHODS = ("lstm-gmm", "ibc", "bet", "diffusion-unet", "diffusion-transformer")
_NUMBERS = {
    ("pusht", "state"): ((0.67, 0.61), (0.90, 0.84), (0.79, 0.70), (0.95, 0.91), (0.95, 0.79)),
    ("pusht", "image"): ((0.69, 0.54), (0.75, 0.64), None, (0.91, 0.84), (0.78, 0.66)),
    ("lift", "state"): ((1.00, 0.96), (0.79, 0.41), (1.00, 0.96), (1.00, 0.98), (1.00, 1.00)),
    ("lift", "image"): ((1.00, 0.96), (0.94, 0.73), None, (1.00, 1.00), (1.00, 1.00)),
    ("can", "state"): ((1.00, 0.91), (0.00, 0.00), (1.00, 0.89), (1.00, 0.96), (1.00, 1.00)),
    ("can", "image"): ((1.00, 0.88), (0.08, 0.01), None, (1.00, 0.97), (1.00, 0.98)),
    ("square", "state"): ((0.95, 0.73), (0.00, 0.00), (0.76, 0.52), (1.00, 0.93), (1.00, 0.89)),
    ("square", "image"): ((0.82, 0.59), (0.03, 0.00), None, (0.98, 0.92), (1.00, 0.90)),
}
PUBLISHED: Mapping[tuple[str, str, str], Published] = {
    (task, observations, method): Published(*pair)
    for (task, observations), pairs in _NUMBERS.items()
    for method, pair in zip(_METHODS, pairs, strict=True)
    if pair is not None
}
"""By task, kind of observation and registered name."""
DIFFUSION = ("diffusion-unet", "diffusion-transformer")
"""Run under position control; the baselines under velocity control."""
REMARKS = {("pusht", "state", "diffusion-unet"): "inpainting (ours: FiLM conditioning)"}

_CHECKPOINTS = (
    "Max: the best checkpoint on the test states; average: over the ten evaluations with the "
    "lowest training loss. Ours: the last checkpoint."
)
_PUSHT_NOTES = (
    "Published, not measured here: Chi et al., Diffusion Policy (arXiv 2303.04137), tables 1 and "
    "2; 3 training seeds by 50 initial states, policies trained on 90 of the 206 human "
    f"demonstrations. {_CHECKPOINTS}",
    "Score and success are different quantities: a public image policy with a mean highest overlap "
    "of 0.957 to 0.959 over 500 episodes succeeds in 64 % of them.",
)
_ROBOMIMIC_NOTES = (
    "Published, not measured here: Chi et al., Diffusion Policy (arXiv 2303.04137), tables 1 and "
    "2; success rates over 3 training seeds by 22 initial states, policies trained on the 200 "
    f"demonstrations of robomimic's proficient humans. {_CHECKPOINTS}",
)


def published_table(results: pd.DataFrame) -> Table | None:
    """Put the published scores of a task beside the rows of `results_table` they belong to.

    Returns:
        A row for every row whose method was published on its task; None if there is none.
    """
    shown = ["control", *settings_shown(results)]
    rows = []
    for row in results.to_dict("records"):
        observations = "image" if str(row["obs_type"]).startswith("pixels") else "state"
        published = PUBLISHED.get(_key(row, observations))
        if published is None:
            continue
        rows.append(
            (
                policy_name(row, shown),
                score_text(row["score"], row["score_low"], row["score_high"]),
                f"{published.best:.2f}",
                f"{published.average:.2f}",
                _differences(row, observations),
            )
        )
    if not rows:
        return None
    is_pusht = str(results["task"].iloc[0]).startswith("pusht")
    return Table(
        caption=f"Scores of this run on {results['task'].iloc[0]} beside published ones",
        head=("method", "ours", "published max", "published average", "differs in"),
        rows=tuple(rows),
        align="lrrrl",
        notes=_PUSHT_NOTES if is_pusht else _ROBOMIMIC_NOTES,
    )


def _key(row: Mapping[Hashable, object], observations: str) -> tuple[str, str, str]:
    """Of PUBLISHED: a task of images has the name of its task of states there."""
    return str(row["task"]).removesuffix("-image"), observations, str(row["method"])


def _differences(row: Mapping[Hashable, object], observations: str) -> str:
    control = "position" if row["method"] in DIFFUSION else "velocity"
    remark = REMARKS.get(_key(row, observations), "")
    differences = []
    if not str(row["data"]).startswith("human"):
        differences.append(f"{row['data']} demonstrations")
    if row["control"] != control:
        differences.append(f"{row['control']} control (published: {control})")
    if row["preset"] != "paper":
        differences.append(f"{row['preset']} preset")
    return "; ".join(differences + [remark] * bool(remark)) or "-"
