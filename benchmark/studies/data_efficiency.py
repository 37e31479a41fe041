"""How performance grows with the number of demonstrations (DP Fig. 15)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmark.evidence.effects import difference
from benchmark.evidence.verdicts import Claim, judge
from benchmark.running.workers import Job
from benchmark.studies.ablation import Setting, ablation_findings, by_method, pick
from benchmark.studies.study import Findings, Study, StudyConfig, merged, played

NUMBERS = (40, 60, 90, 130, 200, 400, 800)
SMOKE_NUMBERS = (10, 20)
SETTING = Setting("demonstrations", "demonstrations", "", is_log=True)
CHAMPION, RIVAL = "diffusion-unet", "lstm-gmm"


class DataEfficiency(Study):
    """Diffusion Policy is ahead at every number of demonstrations."""

    name = "data-efficiency"
    claim = "Diffusion Policy outperforms LSTM-GMM at every number of demonstrations."
    source = "DP Fig. 15"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The two of the claim, or the methods named, trained on every number, equally long.

        Recorded data has an end: larger numbers are left out. A smaller set lies within a larger
        one, up to the 200 that the scripted source has by default.
        """
        numbers: tuple[int, ...] = SMOKE_NUMBERS if config.is_smoke else NUMBERS
        if config.data != "scripted":
            most = config.described().num_episodes
            numbers = tuple(number for number in numbers if number <= most)
        return merged(
            job
            for number in numbers
            for job in self.home_jobs(
                config,
                config.named_or((CHAMPION, RIVAL)),
                (config.described(number), config.loader(number)),
            )
        )

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score and success for every number, and the champion against its rival."""
        jobs = self.jobs(config)
        episodes = played(jobs, store, demonstrations=lambda cell: cell.num_demonstrations)
        return ablation_findings(
            config,
            episodes,
            SETTING,
            "Number of demonstrations",
            self.name,
            judge(ahead(episodes)),
            ["All sets are trained for equally many updates."],
        )


def ahead(episodes: pd.DataFrame) -> list[Claim]:
    """That the champion scores higher than its rival at every number; none without either."""
    return [
        Claim(
            f"{CHAMPION} scores higher than {RIVAL} with {number} demonstrations.",
            f"score, {CHAMPION} - {RIVAL}",
            difference(pick(part, method=CHAMPION), own),
        )
        for number, part in episodes.groupby("demonstrations")
        for _, own in by_method(part, [RIVAL])
        if CHAMPION in set(part["method"])
    ]
