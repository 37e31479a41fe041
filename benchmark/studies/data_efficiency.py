"""How performance grows with the number of demonstrations (DP Fig. 15)."""

from __future__ import annotations

from pathlib import Path

from benchmark.running.workers import Job
from benchmark.studies.ablation import Setting, ablation_findings, by_method, difference, pick
from benchmark.studies.study import Findings, Study, StudyConfig, judge, merged, played

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
            most = config.described().num_episodes
            numbers = tuple(number for number in numbers if number <= most)
        return merged(
            job
            for number in numbers
            for job in self.home_jobs(config, on=(config.described(number), config.loader(number)))
        )

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score and success for every number, and the champion against each method."""
        jobs = self.jobs(config)
        episodes = played(jobs, store, demonstrations=lambda cell: cell.num_demonstrations)
        verdicts = []
        for number, part in episodes.groupby("demonstrations"):
            champion = pick(part, method=CHAMPION)
            verdicts += [
                judge(
                    f"{CHAMPION} scores higher than {method} with {number} demonstrations.",
                    f"score, {CHAMPION} - {method}",
                    difference(champion, own),
                )
                for method, own in by_method(part)
                if method != CHAMPION and len(champion)
            ]
        return ablation_findings(
            config,
            episodes,
            SETTING,
            "Number of demonstrations",
            self.name,
            verdicts,
            ["All sets are trained for equally many updates."],
        )
