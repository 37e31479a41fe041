"""The tables of a comparison: results of every method, and each against the best.

`results_table` computes one row of numbers for every method and setting; `present` turns these into
a table of text, ready to print.
"""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd

from benchmark.evidence.published_ways import (
    PUBLISHED_WAYS,
    WAY_NOTES,
    published_way_text,
    with_published_ways,
)
from benchmark.evidence.stats import (
    CONFIDENCE,
    Comparison,
    Interval,
    compare,
    mean_score,
    success_rate,
)
from benchmark.evidence.text_table import Table

# What tells one evaluated policy from another; the training seed is what is averaged over.
SETTINGS = (
    "task",
    "data",
    "obs_type",
    "preset",
    "action_horizon",
    "latency",
    "inference_steps",
    "method",
    "control",
)
ROLES = ("replay", "method", "floor")
# The demonstrations themselves, from their own initial states, and a policy that never moves.
REFERENCES = {"demonstrations, replayed": "replay", "hold-still": "floor"}

# Settings that belong to a method rather than to a table: they are shown only where one method was
# run under several.
OWN_SETTINGS = ("action_horizon", "latency", "inference_steps")
_HEADS = {
    "task": "task",
    "data": "data",
    "obs_type": "observations",
    "preset": "preset",
    "action_horizon": "Ta",
    "latency": "latency",
    "inference_steps": "steps",
}


def headline_episodes(episodes: pd.DataFrame) -> pd.DataFrame:
    """Select the episodes of last checkpoints on test seeds, which all results are made of.

    Raises:
        ValueError: If there is none.
    """
    is_headline = (episodes["split"] == "test") & (episodes["checkpoint"] == "last")
    if "horizon" in episodes:
        is_headline &= episodes["horizon"] != "published"
    headline = episodes[is_headline]
    if headline.empty:
        raise ValueError(
            f"none of {len(episodes)} episodes is of a last checkpoint on test seeds: "
            "run the evaluation first"
        )
    return headline


def results_table(
    episodes: pd.DataFrame, seed: int = 0, confidence: float = CONFIDENCE
) -> pd.DataFrame:
    """Give the results of the last checkpoints on the test seeds, a row for every setting.

    Every row resamples with a generator of its own from `seed`, so that a method's interval does
    not depend on which other methods are in the table.

    Args:
        episodes: Frame of episodes; validation episodes and other checkpoints are left out.
        seed: Seed of the bootstrap.
        confidence: Nominal coverage of the intervals.

    Returns:
        The demonstrations, then the methods by falling score within a data source and preset, then
        the floor. Columns: SETTINGS; role (one of ROLES); train_seeds, episodes (in all); score and
        success, each with _low, _high and _interval (how it was found); confidence; length
        (steps); seconds_per_prediction (s; NaN where not measured); updates (mean over training
        seeds); executed (the action horizons that were played, as text); and what
        `with_published_ways` adds.

    Raises:
        ValueError: If no episode of a last checkpoint on test seeds is there.
    """
    headline = headline_episodes(episodes)
    by = list(SETTINGS)
    rows = [
        dict(zip(by, key, strict=True)) | _result(group, np.random.default_rng(seed), confidence)
        for key, group in headline.groupby(by, sort=False, dropna=False)
    ]
    results = pd.DataFrame(rows)
    results["role"] = results["method"].map(REFERENCES).fillna("method")
    results = with_published_ways(results, episodes)
    rank = results["role"].map(ROLES.index)
    return (
        results.assign(rank=rank)
        .sort_values(
            ["task", "rank", "data", "obs_type", "preset", "score"],
            ascending=[True, True, True, True, True, False],
            kind="stable",
        )
        .drop(columns="rank")
        .reset_index(drop=True)
    )


def _result(
    group: pd.DataFrame, rng: np.random.Generator, confidence: float
) -> dict[str, str | float | int]:
    score = mean_score(group, rng, confidence)
    success = success_rate(group, confidence)
    return {
        "train_seeds": group["train_seed"].nunique(),
        "episodes": len(group),
        **_columns("score", score),
        **_columns("success", success),
        "confidence": confidence,
        "executed": _executed(group),
        "length": float(group["length"].mean()),
        "seconds_per_prediction": float(group["seconds_per_prediction"].mean()),
        "updates": float(group.groupby("train_seed")["updates"].max().mean()),
    }


def _executed(group: pd.DataFrame) -> str:
    horizons = group["executed"] if "executed" in group else group["action_horizon"]
    return ", ".join(str(horizon) for horizon in sorted(set(horizons.astype(int))))


def _columns(name: str, interval: Interval) -> dict[str, str | float]:
    return {**interval.columns(name), f"{name}_interval": interval.method}


def present(results: pd.DataFrame, caption: str = "") -> Table:
    """Lay out the frame of `results_table` as text, with notes on what its ranges are.

    Settings in which the rows differ become columns; those they share are named in the notes.
    """
    shown = [name for name in settings_shown(results) if name != "action_horizon"]
    head = ["method", "control", "Ta", *(_HEADS[name] for name in shown)]
    more = [name for name in PUBLISHED_WAYS if results[name].notna().any()]
    head += ["score", "success", *(PUBLISHED_WAYS[name] for name in more)]
    head += ["n", "length", "s/pred", "updates"]
    rows = []
    for row in results.to_dict("records"):
        reference = row["role"] != "method"
        cells = [str(row["method"])]
        cells += ["-", "-"] if reference else [str(row["control"]), str(row["executed"])]
        cells += ["-" if reference and key != "task" else str(row[key]) for key in shown]
        cells += [score_text(row["score"], row["score_low"], row["score_high"])]
        cells += [rate_text(row["success"], row["success_low"], row["success_high"])]
        cells += [published_way_text(row, name) for name in more]
        cells += [_size_text(row["train_seeds"], row["episodes"]), f"{row['length']:.0f}"]
        seconds, updates = row["seconds_per_prediction"], row["updates"]
        cells += ["-" if pd.isna(seconds) or reference else f"{seconds:.2g}"]
        cells += ["-" if reference else f"{updates:.0f}"]
        rows.append(tuple(cells))
    roles = list(results["role"])
    left = 3 + len(shown)
    return Table(
        caption=caption or f"Results on {', '.join(sorted(set(results['task'])))}",
        head=tuple(head),
        rows=tuple(rows),
        align="l" * left + "r" * (len(head) - left),
        notes=tuple(_notes(results, shown)),
        breaks=frozenset(i for i in range(1, len(roles)) if roles[i] != roles[i - 1]),
    )


def paired_table(episodes: pd.DataFrame, results: pd.DataFrame, seed: int = 0) -> Table | None:
    """Compare every method with the best one of its task, data source and preset.

    Args:
        episodes: The frame that `results` came from.
        results: Frame of `results_table`, best method first.
        seed: Seed of the bootstrap.

    Returns:
        A row for every method but the best; None when nothing can be paired.
    """
    comparisons = _against_best(headline_episodes(episodes), results, seed)
    if not comparisons:
        return None
    bests = {best for _, best, _ in comparisons}
    several = len(bests) > 1  # otherwise the caption names it
    rows = []
    for name, best, result in comparisons:
        better = result.better
        verdict = "undecided"
        if result.score.excludes(0.0):
            verdict = "worse" if result.score.estimate < 0 else "better"
        rows.append(
            (
                *([name, best] if several else [name]),
                difference_text(result.score, 3),
                difference_text(result.success, 0, scale=100),
                score_text(better.estimate, better.low, better.high),
                str(result.pairs),
                verdict,
            )
        )
    against = "the best" if several else bests.pop()
    return Table(
        caption=f"Differences to {against}, on equal training and episode seeds",
        head=(
            *(["method", "against"] if several else ["method"]),
            *("score", "success", "chance to win", "pairs", "verdict"),
        ),
        rows=tuple(rows),
        align=("ll" if several else "l") + "rrrrl",
        notes=(
            "Ranges are 95 % intervals (paired bootstrap); success differs in percentage points. "
            "Chance to win: how often the method scores higher than the best on an equal pair, "
            "ties counting half. Undecided: the interval of the score holds 0.",
            "The best was picked on these episodes, which flatters it a little, and the intervals "
            "are not widened for the number of comparisons.",
        ),
    )


def _against_best(
    headline: pd.DataFrame, results: pd.DataFrame, seed: int
) -> list[tuple[str, str, Comparison]]:
    """Give name, name of the best, and the comparison, of every method that shares seeds."""
    by = list(SETTINGS)
    groups = dict(iter(headline.groupby(by)))
    methods = results[results["role"] == "method"]
    shown = ["control", *settings_shown(results)]
    comparisons = []
    for _, group in methods.groupby(["task", "data", "obs_type", "preset"], sort=False):
        best_name, *names = (policy_name(row, shown) for row in group.to_dict("records"))
        best, *others = (groups[key] for key in group[by].itertuples(index=False, name=None))
        for name, other in zip(names, others, strict=True):
            if not other.merge(best, on=["train_seed", "seed"]).empty:
                result = compare(other, best, np.random.default_rng(seed))
                comparisons.append((name, best_name, result))
    return comparisons


def policy_name(row: Mapping[Hashable, object], shown: Sequence[str]) -> str:
    """Name a row of results in words, by its method and the settings that are shown."""
    own = {name: f"{_HEADS[name]} " for name in OWN_SETTINGS}  # a bare number says nothing
    texts = {**row, "action_horizon": row.get("action_horizon") or "chosen"}
    parts = (f"{own.get(name, '')}{texts[name]}" for name in ("method", *shown))
    return ", ".join(parts)


def settings_shown(results: pd.DataFrame) -> list[str]:
    """Name the settings that a reader needs to tell the rows apart, besides method and control."""
    methods = results[results["role"] == "method"]
    shared = [name for name in _HEADS if name not in OWN_SETTINGS]
    shown = [name for name in shared if methods[name].nunique(dropna=False) > 1]
    groups = methods.groupby([*shared, "method", "control"], dropna=False)
    return shown + [name for name in OWN_SETTINGS if (groups[name].nunique() > 1).any()]


def _notes(results: pd.DataFrame, shown: list[str]) -> list[str]:
    """Say what the numbers are, what all rows share, and what must not be compared."""
    methods = results[results["role"] == "method"]
    shared = [name for name in ("data", "obs_type", "preset") if name not in shown]
    notes = []
    if not methods.empty:
        parts = (f"{_HEADS[name]} {methods[name].iloc[0]}" for name in shared)
        notes += ["All methods: " + ", ".join(parts) + "."] * bool(shared)
        mixed = [_HEADS[name] for name in ("data", "obs_type", "preset") if name in shown]
        if mixed:
            notes += [f"Rows differ in {' and '.join(mixed)}: compare only rows that agree in it."]
    percent = f"{100 * results['confidence'].iloc[0]:g} %"
    over = [way.removeprefix("bootstrap over ") for way in results["score_interval"]]
    ways = "bootstrap over " + " or ".join(dict.fromkeys(over))
    notes += [
        "Last checkpoint on test seeds; n: training seeds x episodes; length: mean steps of an "
        "episode; s/pred: seconds of a batched prediction, shared among its episodes. Ranges are "
        f"{percent} intervals: of the score by {ways}, of the success rate by Wilson over all "
        "episodes, taken as independent."
    ]
    if (methods["train_seeds"] == 1).any():
        notes += [
            "One training seed: the interval leaves out how much another training run would differ."
        ]
    if (methods["action_horizon"] == 0).any():
        notes += [
            "Ta: of 1, 2, 4 and 8 the one that scored best on the policy's own validation episodes."
        ]
    notes += [WAY_NOTES[name] for name in WAY_NOTES if methods[name].notna().any()]
    if (results["role"] == "replay").any():
        notes += [
            "The demonstrations are replayed from their own initial states, so they bound nothing."
        ]
    return notes


def score_text(estimate: float, low: float, high: float) -> str:
    """Write a score with its interval, such as "0.973 [0.95, 0.99]"."""
    if np.isnan(low):
        return f"{estimate:.3f}"
    # Two digits say enough, unless they leave the estimate outside its own interval.
    digits = 2 if round(low, 2) <= estimate <= round(high, 2) else 3
    return f"{estimate:.3f} [{low:.{digits}f}, {high:.{digits}f}]"


def rate_text(estimate: float, low: float, high: float) -> str:
    """Write a rate with its interval in percent, such as "64 % [50, 76]"."""
    limits = "" if np.isnan(low) else f" [{100 * low:.0f}, {100 * high:.0f}]"
    return f"{100 * estimate:.0f} %{limits}"


def difference_text(interval: Interval, digits: int, scale: float = 1.0) -> str:
    """Write a difference with its interval and signs, such as "-0.09 [-0.12, -0.06]"."""
    estimate, low, high = (
        f"{scale * value:+z.{digits}f}"
        for value in (interval.estimate, interval.low, interval.high)
    )
    return estimate if np.isnan(interval.low) else f"{estimate} [{low}, {high}]"


def _size_text(train_seeds: int, episodes: int) -> str:
    if episodes % train_seeds:
        return f"{episodes} in {train_seeds}"
    return f"{train_seeds} x {episodes // train_seeds}"
