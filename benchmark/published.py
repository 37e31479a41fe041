"""Published Push-T scores beside ours, with what differs between the two.

Numbers: Chi et al., "Diffusion Policy: Visuomotor Policy Learning via Action Diffusion", RSS 2023
(arXiv 2303.04137), 3 training seeds by 50 initial states.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import pandas as pd

from benchmark.tables import policy_name, score_text, settings_shown
from benchmark.text_table import Table


@dataclass(frozen=True)
class PublishedScore:
    """A published score of Push-T.

    Attributes:
        best: Mean over training seeds of the best checkpoint on the test states.
        average: Mean over the ten evaluations with the lowest training loss.
        control: Control mode it was run under; the baselines used velocity.
        remark: What else sets it apart from a run here.
    """

    best: float
    average: float
    control: str
    remark: str = ""


# By kind of observation and registered name; no image result of BET was published.
PUSHT = {
    ("state", "lstm-gmm"): PublishedScore(0.67, 0.61, "velocity"),  # DP Table 1
    ("state", "ibc"): PublishedScore(0.90, 0.84, "velocity"),
    ("state", "bet"): PublishedScore(0.79, 0.70, "velocity"),
    ("state", "diffusion-unet"): PublishedScore(
        0.95, 0.91, "position", "inpainting (ours: FiLM conditioning)"
    ),
    ("state", "diffusion-transformer"): PublishedScore(0.95, 0.79, "position"),
    ("image", "lstm-gmm"): PublishedScore(0.69, 0.54, "velocity"),  # DP Table 2
    ("image", "ibc"): PublishedScore(0.75, 0.64, "velocity"),
    ("image", "diffusion-unet"): PublishedScore(0.91, 0.84, "position"),
    ("image", "diffusion-transformer"): PublishedScore(0.78, 0.66, "position"),
}


def published_table(results: pd.DataFrame) -> Table | None:
    """Put the published Push-T scores beside the rows of `results_table` they belong to.

    Returns:
        A row for every row of Push-T results whose method was published; None if there is none.
    """
    shown = ["control", *settings_shown(results)]
    rows = []
    for row in results[results["task"] == "pusht"].to_dict("records"):
        observations = "image" if row["obs_type"] == "pixels" else "state"
        published = PUSHT.get((observations, row["method"]))
        if published is None:
            continue
        rows.append(
            (
                policy_name(row, shown),
                score_text(row["score"], row["score_low"], row["score_high"]),
                f"{published.best:.2f}",
                f"{published.average:.2f}",
                _differences(row, published),
            )
        )
    if not rows:
        return None
    return Table(
        caption="Push-T scores of this run beside published ones",
        head=("method", "ours", "published max", "published average", "differs in"),
        rows=tuple(rows),
        align="lrrrl",
        notes=(
            "Published, not measured here: Chi et al., Diffusion Policy (arXiv 2303.04137), "
            "tables 1 and 2; 3 training seeds by 50 initial states, policies trained on 90 of the "
            "206 human demonstrations. Max: the best checkpoint on the test states; average: over "
            "the ten evaluations with the lowest training loss. Ours: the last checkpoint.",
            "Score and success are different quantities: a public image policy with a mean highest "
            "overlap of 0.957 to 0.959 over 500 episodes succeeds in 64 % of them.",
        ),
    )


def _differences(row: Mapping[Hashable, object], published: PublishedScore) -> str:
    differences = []
    if row["data"] != "human":
        differences.append(f"{row['data']} demonstrations")
    if row["control"] != published.control:
        differences.append(f"{row['control']} control (published: {published.control})")
    if row["preset"] != "paper":
        differences.append(f"{row['preset']} preset")
    return "; ".join(differences + [published.remark] * bool(published.remark)) or "-"
