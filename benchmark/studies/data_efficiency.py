"""How performance grows with the number of demonstrations (DP Fig. 15)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.presets import HOME_CONTROL, PRESETS
from benchmark.stats import contrast
from benchmark.studies.ablation import Setting, ablation_drawing, ablation_sheet, pick, summarise
from benchmark.studies.study import Findings, Study, StudyConfig, judge, merged, played
from benchmark.workers import Job

NUMBERS = (20, 40, 90, 200, 400, 800)
SMOKE_NUMBERS = (10, 20)
SETTING = Setting("demonstrations", "demonstrations", "", is_log=True)
CHAMPION = "diffusion-unet"


class DataEfficiency(Study):
    """Diffusion Policy is ahead at every number of demonstrations."""

    name = "data-efficiency"
    claim = "Diffusion Policy outperforms LSTM-GMM at every number of demonstrations."
    source = "DP Fig. 15"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """Every method trained on every number of demonstrations, for as many updates.

        Recorded data has an end: larger numbers are left out. A smaller set lies within a larger
        one, up to the 200 that the scripted source has by default.
        """
        numbers: tuple[int, ...] = SMOKE_NUMBERS if config.is_smoke else NUMBERS
        if config.data != "scripted":
            most = config.loader()().num_episodes
            numbers = tuple(number for number in numbers if number <= most)
        jobs = []
        for seed in self.training_seeds(config):
            for method in config.chosen(PRESETS[config.preset]):
                control = HOME_CONTROL.get(method, "position")
                for number in numbers:
                    cell = config.cell(method, control, seed, number)
                    jobs.append(Job(cell, (config.evaluation(cell),), config.loader(number)))
        return merged(jobs)

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score and success for every number, and the champion against each method."""
        jobs = self.jobs(config)
        numbers = {job.cell.id: job.cell.num_demonstrations for job in jobs}
        episodes = played(jobs, store)
        episodes = episodes.assign(demonstrations=episodes["cell"].map(numbers))
        summary = summarise(episodes, ["method", "control", "demonstrations"])
        caption = f"Number of demonstrations on {config.label}"
        verdicts = []
        for method in dict.fromkeys(episodes["method"]):
            if method == CHAMPION or CHAMPION not in set(episodes["method"]):
                continue
            for number in sorted(set(episodes["demonstrations"])):
                part = pick(episodes, demonstrations=number)
                terms = ((1.0, pick(part, method=CHAMPION)), (-1.0, pick(part, method=method)))
                verdicts.append(
                    judge(
                        f"{CHAMPION} scores higher than {method} with {number} demonstrations.",
                        f"score, {CHAMPION} - {method}",
                        contrast(terms, np.random.default_rng(0)),
                    )
                )
        note = "All sets are trained for equally many updates."
        return Findings(
            verdicts=verdicts,
            sheets=[ablation_sheet(summary, SETTING, caption, "data-efficiency", [note])],
            drawings=[
                ablation_drawing(
                    summary,
                    SETTING,
                    f"{caption}: score and success rate with 95 % intervals.",
                    "data-efficiency",
                )
            ],
        )
