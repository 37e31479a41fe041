"""Whether a policy shows both ways round the block, and keeps to one (DP Fig. 3).

multimodality_state       the state with a left and a right way, and the search for it
multimodality_rollouts    what is played from there
multimodality_paths       what is measured of it
multimodality_figures     how it is drawn
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import UsageError
from benchmark.evidence.effects import independent
from benchmark.evidence.stats import CONFIDENCE, Interval, Share
from benchmark.evidence.tables import rate_text, score_text
from benchmark.evidence.text_table import Table
from benchmark.plan.config import Cell
from benchmark.plan.presets import PRESETS
from benchmark.running.store import kept
from benchmark.running.workers import Job
from benchmark.studies.multimodality.figures import Panel, panels_data, panels_figure
from benchmark.studies.multimodality.paths import (
    FINE_WAY,
    SIDES,
    STEPS,
    WAY,
    Paths,
    combined,
    commitment,
    mode_entropy,
    path_measures,
    sides,
    winding,
)
from benchmark.studies.multimodality.rollouts import SAMPLES, measured_denoising, measured_paths
from benchmark.studies.multimodality.state import (
    demonstrated,
    stored_record,
    stored_state,
    visits,
)
from benchmark.studies.study import Drawing, Findings, Sheet, Study, StudyConfig, Verdict, judge
from envs.control import CONTROLS
from envs.pusht.geometry import CENTER_OF_GRAVITY, place

ROLLOUTS, SMOKE_ROLLOUTS = 50, 6
STAGES = 6  # of the denoising that are drawn, the steps left halved from one to the next
COLUMNS = 4  # of a figure
BOTH_WAYS = 0.5
"""Entropy above which both ways count as shown, bit: the rarer is taken by 11 % of the rollouts."""
COMMITTED = 0.9
"""Share of rollouts without turning back above which a policy counts as committed."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Group:
    """The rollouts of one policy, or the paths of one kind of demonstrator.

    Attributes:
        name: Method, or who demonstrated.
        control: Control mode; a dash for demonstrators.
        seed: Training seed; None for demonstrators.
        paths: Where they led.
        measures: A row each, see `path_measures`.
    """

    name: str
    control: str
    seed: int | None
    paths: Paths
    measures: pd.DataFrame

    def numbers(self) -> dict[str, Interval]:
        """Shares of the sides, entropy (bit), commitment (coarse and fine) and jitter (px²)."""
        count, jitters = len(self.measures), self.measures["jitter"].to_numpy(dtype=np.float64)
        unknown = Interval(np.nan, np.nan, np.nan, CONFIDENCE, "none: no rollout")
        shares = {
            side: Share(int((self.measures["side"] == side).sum()), count).interval()
            if count
            else unknown
            for side in SIDES
        }
        known = not np.isnan(jitters).all()
        return shares | {
            "entropy": mode_entropy(self.measures),
            "commitment": commitment(self.measures),
            "fine_commitment": commitment(self.measures, "fine_"),
            "jitter": independent(jitters).interval() if known else unknown,
        }

    def panel(self) -> Panel:
        """The paths of the agent under a title with the shares."""
        found = list(self.measures["side"])
        shares = [
            f"{100 * found.count(side) / max(len(found), 1):.0f} % {side}"
            for side in SIDES
            if side != "undecided" or side in found
        ]
        name = self.name if self.control == "-" else f"{self.name}, {self.control}"
        return Panel(
            f"{name}\n{', '.join(shares)}", self.paths.agent, found, self.paths.lengths + 1
        )


def make_group(name: str, control: str, seed: int | None, paths: Paths) -> Group:
    """Measure paths."""
    return Group(name, control, seed, paths, path_measures(paths))


class Multimodality(Study):
    """Many rollouts from one state with a left and a right way."""

    name = "multimodality"
    claim = (
        "From a state with a left and a right way, Diffusion Policy shows both and commits to one "
        "within a rollout; LSTM-GMM and IBC lean to one, and BET does not commit."
    )
    source = "DP Fig. 3"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The cells of a sweep under both control modes; `measure` plays them."""
        return [Job(cell, (), config.loader()) for cell in self._cells(config)]

    def measure(self, config: StudyConfig, store: Path) -> None:
        """Roll out every policy from the stored state, and denoise action sequences there."""
        for cell in self._cells(config):
            measured_paths(cell, store, stored_state(), _count(config))
        for cell in self._denoised(config):
            measured_denoising(cell, store, stored_state())

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Shares, entropy, commitment and jitter; the rollouts and the denoising drawn."""
        state, count = stored_state(), _count(config)
        groups = [
            make_group(
                cell.method, cell.control, cell.seed, measured_paths(cell, store, state, count)
            )
            for cell in self._cells(config)
        ]
        near = Paths.from_bytes(
            kept(
                store,
                f"studies/{self.name}-{config.label}-visits.npz",
                lambda: visits(config.loader()(), state).to_bytes(),
            )
        )
        demonstrators = [
            make_group("demonstrations nearby", "-", None, near),
            make_group("scripted demonstrator", "-", None, demonstrated(state, count)),
        ]
        verdicts, unjudged = judged(groups)
        denoised = [
            _denoising_drawing(cell, measured_denoising(cell, store, state), config)
            for cell in self._denoised(config)
        ]
        return Findings(
            verdicts=verdicts,
            sheets=[_sheet(demonstrators, groups, config)],
            drawings=[_rollouts_drawing(demonstrators, groups, config), *denoised],
            remarks=[_state_remark(), *unjudged],
        )

    def _cells(self, config: StudyConfig) -> list[Cell]:
        if config.task != "pusht":
            raise UsageError(f"task {config.task!r}: the state of this study is one of pusht")
        return [
            config.cell(method, control, seed)
            for seed in self.training_seeds(config)
            for control in (CONTROLS[:1] if config.is_smoke else CONTROLS)
            for method in config.chosen(PRESETS[config.preset])
        ]

    def _denoised(self, config: StudyConfig) -> list[Cell]:
        """The first diffusion policy under position control, whose actions are places; or none."""
        return [
            cell
            for cell in self._cells(config)
            if cell.method.startswith("diffusion") and cell.control == "position"
        ][:1]


def _count(config: StudyConfig) -> int:
    return config.episodes or (SMOKE_ROLLOUTS if config.is_smoke else ROLLOUTS)


def judged(groups: Sequence[Group]) -> tuple[list[Verdict], list[str]]:
    """The verdicts on the claims, and a sentence on each claim that cannot be judged.

    A number of a policy is its mean over training seeds: pooled rollouts of policies that each go
    one way, but not the same, would pass for both ways.
    """
    numbers: dict[tuple[str, str], list[dict[str, Interval]]] = {}
    for group in groups:
        numbers.setdefault((group.name, group.control), []).append(group.numbers())

    def terms(policy: tuple[str, str], measure: str, sign: float) -> list[tuple[float, Interval]]:
        seeds = numbers[policy]
        return [(sign / len(seeds), own[measure]) for own in seeds]

    verdicts: list[Verdict] = []
    unjudged: list[str] = []

    def add(
        policy: tuple[str, str],
        claim: str,
        effect: str,
        measure: str,
        above: float = 0.0,
        less_than: tuple[str, str] | None = None,
    ) -> None:
        sign = 1.0 if less_than is None else -1.0
        parts = terms(policy, measure, sign)
        parts += [] if less_than is None else terms(less_than, measure, 1.0)
        interval = combined(parts)
        name = ", ".join(policy)
        if np.isnan(interval.estimate):
            unjudged.append(f"Not judged, since no rollout took a way: {name}: {claim}")
        else:
            verdicts.append(judge(f"{name}: {claim}", effect, interval, above))

    both = f"bit, entropy of left and right; holds above {BOTH_WAYS:g}"
    diffusion = [policy for policy in numbers if policy[0].startswith("diffusion")]
    published = [policy for policy in diffusion if policy[1] == "position"]
    for policy in diffusion:
        add(policy, "shows both ways.", both, "entropy", BOTH_WAYS)
        effect = f"of 1, share that does not turn back; holds above {COMMITTED:g}"
        add(policy, "commits to one way within a rollout.", effect, "commitment", COMMITTED)
    for policy in numbers:
        if policy[0] == "bet":
            add(policy, "shows both ways.", both, "entropy", BOTH_WAYS)
        for reference in published[:1]:
            name = reference[0]
            if policy[0] in ("lstm-gmm", "ibc"):
                effect = f"bit, entropy of {name} - its own; holds above 0"
                claim = f"leans more to one way than {name}."
                add(policy, claim, effect, "entropy", less_than=reference)
            if policy[0] == "bet":
                effect = f"of 1, commitment of {name} - its own; holds above 0"
                add(policy, f"commits less than {name}.", effect, "commitment", less_than=reference)
    return verdicts, unjudged


def _sheet(demonstrators: Sequence[Group], groups: Sequence[Group], config: StudyConfig) -> Sheet:
    several = len({group.seed for group in groups}) > 1
    texts = (*(rate_text,) * 3, score_text, rate_text, rate_text, _jitter_text)
    rows, data = [], []
    for group in (*demonstrators, *groups):
        numbers = group.numbers()
        size = len(group.measures)
        seed = "-" if group.seed is None else str(group.seed)
        cells = [
            "-" if np.isnan(own.estimate) else text(own.estimate, own.low, own.high)
            for text, own in zip(texts, numbers.values(), strict=True)
        ]
        rows.append((group.name, group.control, *([seed] * several), *cells, str(size)))
        record: dict[str, object] = {
            "method": group.name,
            "control": group.control,
            "train_seed": group.seed,
            "rollouts": size,
        }
        for name, own in numbers.items():
            record |= own.columns(name)
        data.append(record)
    head = ("method", "control", *(["seed"] * several), *SIDES, "entropy (bit)", "commitment")
    head += (f"at {FINE_WAY:g}°", "jitter (px²)", "n")
    table = Table(
        caption=f"Ways round the block in {STEPS} steps from one state on {config.label}",
        head=head,
        rows=tuple(rows),
        align="l" * (2 + several) + "r" * 8,
        notes=(
            f"Left or right: at the end the agent has gone round the block by more than {WAY:g} "
            "degrees, seen from where it faces the block; else undecided. Entropy: of left and "
            "right among the decided; 1 bit if both are as common. Commitment: share, of the "
            f"rollouts that at some step were beyond {WAY:g} degrees, that never came back by more "
            f"than {WAY:g} degrees, also not for a next push; beside it the same for "
            f"{FINE_WAY:g} degrees. Jitter: mean squared second difference of the set-points. The "
            "thresholds are ours; the paper gives no numbers.",
            "Ranges are 95 % intervals over rollouts of the same trained policy (exact; entropy: "
            "that of the share; jitter: Student's t): they leave out how much another training "
            "run would differ.",
            f"{demonstrators[0].name}: what the training data do within {STEPS} steps after they "
            "come near the state, one path a demonstration; scripted demonstrator: from the state "
            "itself.",
        ),
        breaks=frozenset({len(demonstrators)}),
    )
    return Sheet("multimodality", table, pd.DataFrame(data))


def _jitter_text(estimate: float, low: float, high: float) -> str:
    return f"{estimate:.3g}" + ("" if np.isnan(low) else f" [{low:.3g}, {high:.3g}]")


def _rollouts_drawing(
    demonstrators: Sequence[Group], groups: Sequence[Group], config: StudyConfig
) -> Drawing:
    """Demonstrators, then the policies by control mode; of several training seeds the first."""
    first = [group for group in groups if group.seed == groups[0].seed]
    rows: list[list[Panel]] = []
    for control in dict.fromkeys(group.control for group in first):
        row = [group.panel() for group in first if group.control == control]
        if not rows:
            row = [*(group.panel() for group in demonstrators), *row]
        rows += [row[start : start + COLUMNS] for start in range(0, len(row), COLUMNS)]
    caption = (
        f"Agent paths of {len(first[0].measures)} rollouts of {STEPS} steps for every policy "
        f"(training seed {first[0].seed}) from one state, on {config.label}; dots mark their ends. "
        f"First: the {len(demonstrators[0].measures)} demonstrations that come near the state, "
        "and the scripted demonstrator from the state itself."
    )
    data = panels_data([panel for row in rows for panel in row])
    return Drawing("multimodality-rollouts", panels_figure(rows, stored_state()), data, caption)


def _denoising_drawing(cell: Cell, stages: Floats, config: StudyConfig) -> Drawing:
    """Some stages (steps + 1, N, P, 2) of the denoising, from noise to actions."""
    state = stored_state()
    start = np.broadcast_to(state[:2], (stages.shape[1], 1, 2))
    centre = place([CENTER_OF_GRAVITY], state[2:])
    clean = np.concatenate([start, stages[-1]], axis=1)
    found = sides(winding(clean, centre))
    steps = len(stages) - 1
    panels = []
    # The last steps show most: noise of half the table's width drowns what there is before.
    left = [*(steps // 2**halvings for halvings in range(STAGES - 1)), 0]
    for index in dict.fromkeys(steps - remaining for remaining in left):
        word = {0: "pure noise", steps: f"actions, after {steps} of {steps} steps"}
        title = word.get(index, f"after {index} of {steps} steps")
        panels.append(Panel(title, stages[index], found))
    half = (len(panels) + 1) // 2
    rows = [row for row in (panels[:half], panels[half:]) if row]
    caption = (
        f"{SAMPLES} action sequences of {cell.method} ({cell.control}, training seed {cell.seed}) "
        f"for one state as they are denoised, on {config.label}: each line is the "
        f"{stages.shape[2]} set-points from the current step on. The side of a line is that of "
        "its denoised sequence."
    )
    figure = panels_figure(rows, state, dots=True)
    return Drawing("multimodality-denoising", figure, panels_data(panels), caption)


def _state_remark() -> str:
    record = stored_record()
    near, scripted = record["demonstrations near"], record["scripted from there"]
    numbers = ", ".join(f"{value:.1f}" for value in record["state"][:4])
    return (
        f"The state (agent and block at {numbers} px, the block at 45 degrees) is symmetric about "
        f"the goal's axis. It was chosen among {record['candidates']} such states by demonstrators "
        f"only, before any policy was looked at: of {near['in all']} {record['demonstrations']} "
        f"demonstrations that come near it {near['left']} go left and {near['right']} right, and "
        f"of {scripted['in all']} scripted ones from there {scripted['left']} and "
        f"{scripted['right']}. `python -m benchmark.studies.multimodality.state` searches again."
    )
