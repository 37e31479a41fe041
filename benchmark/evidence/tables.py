"""The tables of a comparison: results of every method, and each against the one that leads.

`results_table` computes one row of numbers for every method and setting; `present` turns these into
a table of text, ready to print.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from benchmark.evidence.effects import difference, mean
from benchmark.evidence.multiple import Best, best_set
from benchmark.evidence.power import detectable
from benchmark.evidence.published_ways import (
    PUBLISHED_WAYS,
    WAY_NOTES,
    published_way_text,
    with_published_ways,
)
from benchmark.evidence.stats import CONFIDENCE, Interval, episode_table
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


def results_table(episodes: pd.DataFrame, confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Give the results of the last checkpoints on the test seeds, a row for every setting.

    Args:
        episodes: Frame of episodes; validation episodes and other checkpoints are left out.
        confidence: Nominal coverage of the intervals.

    Returns:
        The demonstrations, then the methods by falling score (success where scores saturate) within
        a data source and preset, then the floor. Columns: SETTINGS; role (one of ROLES);
        train_seeds, episodes (in all); score and success, each with _low, _high and _interval (how
        it was found); confidence; length (steps); seconds_per_prediction (s; NaN where not
        measured); tried (seeds from 0 on, of scripted demonstrations); updates (mean over training
        seeds); executed (the action horizons that were played, as text); best (whether it cannot be
        told from the best of its task, data and preset); judged_by (is_success or score);
        detectable_score and detectable_success: the difference of two policies that would be found
        with chance 80 %, median over pairs (NaN where there is no pair); and what
        `with_published_ways` adds.

    Raises:
        ValueError: If no episode of a last checkpoint on test seeds is there.
    """
    headline = headline_episodes(episodes)
    by = list(SETTINGS)
    groups = dict(iter(headline.groupby(by, sort=False, dropna=False)))
    results = pd.DataFrame(
        [
            dict(zip(by, key, strict=True)) | _result(group, confidence)
            for key, group in groups.items()
        ]
    )
    results["role"] = results["method"].map(REFERENCES).fillna("method")
    results = with_published_ways(results, episodes)
    results = results.assign(best=False, judged_by="score")
    results = results.assign(detectable_score=np.nan, detectable_success=np.nan)
    for policies in _compared(results, groups):
        rows = list(policies)
        found = best_set({str(row): own for row, own in policies.items()})
        results.loc[rows, "judged_by"] = found.judged_by
        results.loc[[row for row in rows if str(row) in found.members], "best"] = True
        for name, column in (("score", "score"), ("success", "is_success")):
            results.loc[rows, f"detectable_{name}"] = _detectable(policies, found, column)
    by_success = results["judged_by"] == "is_success"
    return (
        results.assign(
            rank=results["role"].map(ROLES.index),
            first=results["success"].where(by_success, results["score"]),
            second=results["score"].where(by_success, results["success"]),
        )
        .sort_values(
            ["task", "rank", "data", "obs_type", "preset", "first", "second"],
            ascending=[True, True, True, True, True, False, False],
            kind="stable",
        )
        .drop(columns=["rank", "first", "second"])
        .reset_index(drop=True)
    )


def _result(group: pd.DataFrame, confidence: float) -> dict[str, str | float | int]:
    score = mean(group).interval(confidence)
    success = mean(group, "is_success").interval(confidence)
    return {
        "train_seeds": group["train_seed"].nunique(),
        "episodes": len(group),
        "tried": int(group["seed"].max()) + 1,
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


def _compared(
    results: pd.DataFrame, groups: Mapping[tuple[Hashable, ...], pd.DataFrame]
) -> Iterator[dict[int, pd.DataFrame]]:
    """Episodes, on the seeds that all have, of the rows that may be compared with each other."""
    methods = results[results["role"] == "method"]
    for _, rows in methods.groupby(["task", "data", "obs_type", "preset"], sort=False):
        policies = {
            int(row[0]): groups[tuple(row[1:])]
            for row in rows[list(SETTINGS)].itertuples(name=None)
        }
        shared = set.intersection(
            *(set(episode_table(own, "score").columns) for own in policies.values())
        )
        if shared:
            yield {row: own[own["seed"].isin(shared)] for row, own in policies.items()}


def _detectable(policies: Mapping[int, pd.DataFrame], found: Best, column: str) -> float:
    """The smallest difference from a member of the best that would be found, median over pairs."""
    tables = {str(name): episode_table(own, column).to_numpy() for name, own in policies.items()}
    first, *_ = found.members
    pairs = [(tables[first], table) for name, table in tables.items() if name != first]
    known = [detectable(a, b) for a, b in pairs if a.shape[1] > 1]
    return float(np.median(known)) if known else np.nan


def present(results: pd.DataFrame, caption: str = "") -> Table:
    """Lay out the frame of `results_table` as text, with notes on what its ranges are.

    Settings in which the rows differ become columns; those they share are named in the notes.
    Success stands before the score where scores saturate.
    """
    shown = [name for name in settings_shown(results) if name != "action_horizon"]
    head = ["method", "control", "Ta", *(_HEADS[name] for name in shown)]
    more = [name for name in PUBLISHED_WAYS if results[name].notna().any()]
    saturates = (results["judged_by"] == "is_success").any()
    head += ["success", "score"] if saturates else ["score", "success"]
    head += [PUBLISHED_WAYS[name] for name in more]
    head += ["n", "length", "s/pred", "updates"]
    rows = []
    for row in results.to_dict("records"):
        reference = row["role"] != "method"
        cells = [str(row["method"]) + " *" * row["best"]]
        cells += ["-", "-"] if reference else [str(row["control"]), str(row["executed"])]
        cells += ["-" if reference and key != "task" else str(row[key]) for key in shown]
        score = score_text(row["score"], row["score_low"], row["score_high"])
        success = rate_text(row["success"], row["success_low"], row["success_high"])
        cells += [success, score] if saturates else [score, success]
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


def paired_table(episodes: pd.DataFrame, results: pd.DataFrame) -> Table | None:
    """Compare every method with the first one of its task, data source and preset.

    Args:
        episodes: The frame that `results` came from.
        results: Frame of `results_table`.

    Returns:
        A row for every method but the first; None when nothing can be paired.
    """
    by = list(SETTINGS)
    groups = dict(iter(headline_episodes(episodes).groupby(by, sort=False, dropna=False)))
    shown = ["control", *settings_shown(results)]
    rows: list[tuple[str, ...]] = []
    firsts = []
    records = results.to_dict("records")
    for policies in _compared(results, groups):
        first, *others = policies
        firsts.append(policy_name(records[first], shown))
        confidence = 1 - 2 * (1 - CONFIDENCE) / max(1, len(others))
        for other in others:
            score, success = (
                difference(policies[other], policies[first], column)
                for column in ("score", "is_success")
            )
            rows.append(
                (
                    policy_name(records[other], shown),
                    firsts[-1],
                    difference_text(score.interval(confidence), 3),
                    difference_text(success.interval(confidence), 0, scale=100),
                    f"{success.p_value():.2g}",
                    f"{success.seeds} x {success.episodes}",
                    "undecided" if records[other]["best"] else "worse than the best",
                )
            )
    if not rows:
        return None
    several = len(set(firsts)) > 1  # otherwise the caption names it
    against = "the first of each" if several else firsts[0]
    head = ("method", "against", "score", "success", "p of success", "n", "verdict")
    keep = [i for i, name in enumerate(head) if several or name != "against"]
    return Table(
        caption=f"Differences to {against}, on equal episodes",
        head=tuple(head[i] for i in keep),
        rows=tuple(tuple(row[i] for i in keep) for row in rows),
        align="".join("llrrrrl"[i] for i in keep),
        notes=(
            "Success differs in percentage points. Ranges are widened for the number of rows, so "
            "that with chance 95 % the best policy stays undecided, whichever leads here. p of "
            "success: two-sided, uncorrected (exact McNemar with one training seed each). Verdict: "
            "whether some method is better than this one, by "
            f"{_judged(results)}; n: training seeds x episodes.",
        ),
    )


def _judged(results: pd.DataFrame) -> str:
    names = {"is_success": "success (scores saturate)", "score": "score"}
    methods = results[results["role"] == "method"]
    return " or ".join(names[name] for name in dict.fromkeys(methods["judged_by"]))


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
    ways = []
    for name in ("score", "success"):
        kinds = results[f"{name}_interval"].str.split(" over ").str[0]
        ways.append(f"{name}: {' or '.join(dict.fromkeys(kinds))}")
    notes += [
        "Last checkpoint on test seeds; n: training seeds x episodes; length: mean steps of an "
        "episode; s/pred: seconds of a batched prediction, shared among its episodes. Ranges are "
        f"{percent} intervals over training seeds and episodes ({', '.join(ways)})."
    ]
    if methods["best"].any():
        notes += [f"* Cannot be told from the best, by {_judged(results)}."]
    notes += _detectable_notes(methods)
    if (methods["train_seeds"] == 1).any():
        notes += [
            "One training seed: the interval leaves out how much another training run would differ."
        ]
    if (methods["action_horizon"] == 0).any():
        notes += [
            "Ta: of 1, 2, 4 and 8 the one that scored best on the policy's own validation episodes."
        ]
    notes += [WAY_NOTES[name] for name in WAY_NOTES if methods[name].notna().any()]
    replayed = results[results["role"] == "replay"]
    if not replayed.empty:
        tried = "; ".join(
            f"{row.episodes} solved of {row.tried} tried"
            for row in replayed[replayed["data"] == "scripted"].itertuples()
        )
        notes += [
            f"The demonstrations{f' ({tried})' if tried else ''} are replayed from their own "
            "initial states, so they bound nothing."
        ]
    return notes


def _detectable_notes(methods: pd.DataFrame) -> list[str]:
    """Say what differences the episodes could have shown."""
    known = methods.dropna(subset=["detectable_score"])
    if known.empty:
        return []
    score, success = (known[f"detectable_{name}"].max() for name in ("score", "success"))
    if min(score, success) >= 1.0:
        return ["So few trainings and episodes tell no two policies of this table apart."]
    score, success = min(score, 1.0), min(success, 1.0)
    return [
        "Two policies of this table that truly differ by "
        f"{100 * success:.0f} percentage points of success, or {score:.2f} of score, would be told "
        "apart with chance 80 %; smaller differences may go unseen."
    ]


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
