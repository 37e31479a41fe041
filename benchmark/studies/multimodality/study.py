"""Whether a policy shows both ways round the block, and keeps to one (DP Fig. 3).

state       the states with a left and a right way, and the search for them
rollouts    what is played from there
paths       what is measured of it
figures     how it is drawn
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import UsageError
from benchmark.evidence.effects import difference, mean
from benchmark.evidence.stats import Share
from benchmark.evidence.tables import rate_text
from benchmark.evidence.verdicts import Claim, Joint, judge
from benchmark.plan.config import Cell
from benchmark.plan.paper_preset import PUBLISHED_METHODS
from benchmark.running.store import Run, kept
from benchmark.running.workers import Job
from benchmark.studies.ablation import by_method
from benchmark.studies.forest import effect_columns
from benchmark.studies.multimodality.figures import Panel, panels_data, panels_figure
from benchmark.studies.multimodality.paths import (
    SIDES,
    STEPS,
    WAY,
    WAYS,
    Paths,
    parted,
    path_measures,
)
from benchmark.studies.multimodality.rollouts import as_published, file_of, rolled_out
from benchmark.studies.multimodality.state import (
    demonstrated,
    stored_record,
    stored_states,
    visits,
)
from benchmark.studies.sheets import Column, measured, number, sheet, signed, word
from benchmark.studies.study import Drawing, Findings, Sheet, Study, StudyConfig

ROLLOUTS, SMOKE_ROLLOUTS = 500, 6  # from each state
SMOKE_STATES = 2
DEMONSTRATED = 50  # scripted demonstrations from each state
DRAWN = 40  # rollouts in a picture
COLUMNS = 4  # of a figure
BOTH_WAYS = 0.2
"""Share of pairs of rollouts that part above which both ways count as shown: the rarer is taken by
11 % of the rollouts."""
WAVERING = 0.1
"""Share of rollouts that turn back below which a policy counts as committed."""

Floats = NDArray[np.float64]


class Multimodality(Study):
    """Many rollouts from states with a left and a right way."""

    name = "multimodality"
    claim = (
        "From a state with a left and a right way, Diffusion Policy shows both and commits to one "
        "within a rollout; LSTM-GMM and IBC lean to one, and BET does not commit."
    )
    source = "DP Fig. 3"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The published methods, or those named, each as it was published."""
        if config.task != "pusht":
            raise UsageError(f"task {config.task!r}: the states of this study are ones of pusht")
        jobs = self.home_jobs(config, config.named_or(PUBLISHED_METHODS))
        return [Job(job.cell, (), job.demos) for job in jobs]

    def measurements(self, config: StudyConfig, run: Run) -> Mapping[str, Callable[[], bytes]]:
        """Rollouts from every state."""
        count = _count(config)
        return {
            file_of(run.cell, state, count): partial(rolled_out, run, state, count)
            for state in _states(config)
        }

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Shares, parting and turning back; the rollouts drawn."""
        states, cells = _states(config), [job.cell for job in self.jobs(config)]
        contents = {cell.id: self.measured(config, Run(cell, store)) for cell in cells}
        paths = {
            (cell, i): Paths.from_bytes(contents[cell.id][file_of(cell, s, _count(config))])
            for cell in cells
            for i, s in enumerate(states)
        }
        rollouts = measured_rollouts(paths)
        shown = [_demonstrators(config, store, i, state) for i, state in enumerate(states)]
        verdicts = judge(claims_on(rollouts, config.diffusion_methods))
        drawings = [
            _rollouts_drawing(i, shown[i], {c: p for (c, j), p in paths.items() if i == j}, config)
            for i in range(len(states))
        ]
        return Findings(
            verdicts=verdicts,
            sheets=[
                _demonstrators_sheet(shown, config),
                _policies_sheet(rollouts, cells, config),
                _thresholds_sheet(paths, config),
            ],
            drawings=drawings,
            remarks=_remarks(config),
        )


def _states(config: StudyConfig) -> list[Floats]:
    return stored_states()[: SMOKE_STATES if config.is_smoke else None]


def _count(config: StudyConfig) -> int:
    return config.episodes or (SMOKE_ROLLOUTS if config.is_smoke else ROLLOUTS)


def measured_rollouts(paths: Mapping[tuple[Cell, int], Paths], way: float = WAY) -> pd.DataFrame:
    """A row a rollout: its cell, state and measures; `parted` of every second one and the next.

    The others' `parted` is missing. `seed` numbers the rollouts of a cell over all states.
    """
    frames = []
    for (cell, state), own in paths.items():
        measures = path_measures(own, way)
        pairs = np.full(len(measures), np.nan)
        pairs[: len(measures) // 2 * 2 : 2] = parted(measures)
        frames.append(
            measures.assign(
                parted=pairs,
                cell=cell.id,
                method=cell.method,
                control=cell.control,
                train_seed=cell.seed,
                state=state,
                seed=state * 1_000_000 + np.arange(len(measures)),
            )
        )
    return pd.concat(frames, ignore_index=True)


def claims_on(rollouts: pd.DataFrame, diffusion: Sequence[str]) -> list[Claim | Joint]:
    """The published picture, method by method, all states together."""
    policies = dict(by_method(rollouts))
    pairs = {name: own[own["parted"].notna()] for name, own in policies.items()}
    reference = next((name for name in policies if name in diffusion), None)

    def both(name: str) -> Claim:
        effect = mean(pairs[name], "parted")
        return Claim("It shows both ways.", "share of pairs that part", effect, "above", BOTH_WAYS)

    claims: list[Claim | Joint] = []
    for name, own in policies.items():
        if name in diffusion:
            turned = mean(own, "turned_back")
            commits = Claim("It commits.", "share that turns back", turned, "below", WAVERING)
            claims.append(
                Joint(
                    f"{name} shows both ways and commits to one within a rollout.",
                    [both(name), commits],
                )
            )
        elif reference is None:
            continue
        elif name == "bet":
            more = difference(own, policies[reference], "turned_back")
            wavers = Claim("It wavers.", f"share that turns back, {name} - {reference}", more)
            claims.append(
                Joint(
                    f"{name} shows both ways and commits less than {reference}.",
                    [both(name), wavers],
                )
            )
        elif name in ("lstm-gmm", "ibc"):
            less = difference(pairs[reference], pairs[name], "parted")
            what = f"share of pairs that part, {reference} - {name}"
            claims.append(Claim(f"{name} leans more to one way than {reference}.", what, less))
    return claims


def _demonstrators(config: StudyConfig, store: Path, index: int, state: Floats) -> dict[str, Paths]:
    """What the data of the study and the scripted demonstrator do from a state."""
    name = f"studies/multimodality-{config.label}-nearby-{index}.npz"
    near = kept(store, name, lambda: visits(config.loader()(), state).to_bytes())
    scripted = demonstrated(state, SMOKE_ROLLOUTS if config.is_smoke else DEMONSTRATED)
    return {
        f"{config.data} data nearby": Paths.from_bytes(near),
        "scripted demonstrator": scripted,
    }


def _demonstrators_sheet(shown: Sequence[Mapping[str, Paths]], config: StudyConfig) -> Sheet:
    record, rows = stored_record()["found"], []
    for i, demonstrators in enumerate(shown):
        counts = {"people nearby": record[i]["demonstrations near"]}
        for name, paths in demonstrators.items():
            found = list(path_measures(paths)["side"])
            counts[name] = {side: found.count(side) for side in SIDES} | {"in all": len(found)}
        rows += [
            {"state": i + 1, "who": who, "paths": count["in all"]}
            | effect_columns(
                {side: Share(count[side], count["in all"]) for side in SIDES[:2] if count["in all"]}
            )
            for who, count in counts.items()
        ]
    data = pd.DataFrame(rows)
    return sheet(
        "demonstrators",
        f"Ways of demonstrators in {STEPS} steps on {config.label}",
        data,
        [
            word("state"),
            word("who"),
            *(measured(side, side, rate_text) for side in SIDES[:2]),
            number("paths", "paths", "d"),
        ],
        [
            "People: the public human demonstrations by which the states were chosen, one path a "
            "demonstration that comes near; so for the data of this study. Exact 95 % intervals."
        ],
        "state",
    )


def _policies_sheet(rollouts: pd.DataFrame, cells: Sequence[Cell], config: StudyConfig) -> Sheet:
    rows = []
    for method, own in by_method(rollouts):
        effects = {side: mean(own, side) for side in SIDES}
        effects["parted"] = mean(own[own["parted"].notna()], "parted")
        effects["turned_back"] = mean(own, "turned_back")
        known = own.dropna(subset=["jitter"])
        effects["jitter"] = mean(known, "jitter")
        by_state = own.groupby("state")["left"].mean()
        rows.append(
            {
                "method": method,
                "control": own["control"].iloc[0],
                "Ta": next(as_published(cell) for cell in cells if cell.method == method),
                "train_seeds": own["train_seed"].nunique(),
                "rollouts": len(own),
                "by_state": ", ".join(f"{100 * share:.0f}" for share in by_state),
            }
            | effect_columns(effects)
        )
    shares = [measured(side, side, rate_text) for side in SIDES]
    return sheet(
        "multimodality",
        f"Ways round the block in {STEPS} steps on {config.label}",
        pd.DataFrame(rows),
        [
            word("method"),
            word("control"),
            number("Ta", "Ta", "d"),
            *shares,
            Column("left by state (%)", lambda row: str(row["by_state"]), "l"),
            measured("parted", "pairs that part", rate_text),
            measured("turned_back", "turn back", rate_text),
            measured("jitter", "jitter (px²)", signed(".3g")),
            number("train_seeds", "seeds", "d"),
            number("rollouts", "rollouts", "d"),
        ],
        [
            f"Left or right: at the end the agent has gone round the block by more than {WAY:g} "
            "degrees, seen from where it faces the block; else undecided. Pairs that part: of two "
            "rollouts of one network from one state, one goes left and the other right. Turn back: "
            f"was beyond {WAY:g} degrees and came back by as much. Jitter: mean squared second "
            "difference of the set-points. Control mode and Ta as published. Ranges are 95 % "
            "intervals.",
        ],
    )


def _thresholds_sheet(paths: Mapping[tuple[Cell, int], Paths], config: StudyConfig) -> Sheet:
    rows = []
    for way in WAYS:
        for method, own in by_method(measured_rollouts(paths, way)):
            pairs = mean(own[own["parted"].notna()], "parted")
            effects = {"parted": pairs, "turned_back": mean(own, "turned_back")}
            rows.append({"method": method, "way": way} | effect_columns(effects))
    data = pd.DataFrame(rows).sort_values("method", kind="stable")
    return sheet(
        "thresholds",
        f"What hangs on the threshold, {config.label}",
        data,
        [
            word("method"),
            number("way", "threshold (degrees)", "g"),
            measured("parted", "pairs that part", rate_text),
            measured("turned_back", "turn back", rate_text),
        ],
        [
            f"The verdicts take {WAY:g} degrees, {BOTH_WAYS:.0%} of pairs that part and "
            f"{WAVERING:.0%} that turn back; the paper gives no numbers."
        ],
        "method",
    )


def _rollouts_drawing(
    index: int, demonstrators: Mapping[str, Paths], paths: Mapping[Cell, Paths], config: StudyConfig
) -> Drawing:
    """Demonstrators, then the policies; of several training seeds the first."""
    seed = next(iter(paths)).seed
    drawn = [(name, own) for name, own in demonstrators.items()]
    drawn += [(f"{c.method}, {c.control}", own) for c, own in paths.items() if c.seed == seed]
    panels = [_panel(name, own) for name, own in drawn]
    rows = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    caption = (
        f"Agent paths of {STEPS} steps from state {index + 1}, at most {DRAWN} a panel, on "
        f"{config.label} (training seed {seed}); dots mark their ends, titles count all. First: "
        "demonstrations that come near the state, and the scripted demonstrator from it."
    )
    figure = panels_figure(rows, stored_states()[index])
    return Drawing(f"rollouts-{index + 1}", figure, panels_data(panels), caption)


def _panel(name: str, paths: Paths) -> Panel:
    found = list(path_measures(paths)["side"])
    shares = [
        f"{100 * found.count(side) / max(len(found), 1):.0f} % {side}"
        for side in SIDES
        if side != "undecided" or side in found
    ]
    title = f"{name}\n{', '.join(shares)}"
    return Panel(title, paths.agent[:DRAWN], found[:DRAWN], paths.lengths[:DRAWN] + 1)


def _remarks(config: StudyConfig) -> list[str]:
    record = stored_record()
    given = (
        f"The {len(record['found'])} states are symmetric about the goal's axis and lie apart. "
        f"They were chosen among {record['candidates']} such states by demonstrators only, before "
        f"any policy was looked at, as those at which {record['demonstrations']} demonstrations "
        "part most surely. `python -m benchmark.studies.multimodality.state` searches again."
    )
    scripted = (
        "These policies learnt from the scripted demonstrator, whose ways are not people's: the "
        "claim is about people's demonstrations, DATA=human."
    )
    return [given, *([scripted] if config.data == "scripted" else [])]
