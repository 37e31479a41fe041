"""What scripted Push-T demonstrations must hold to tell policies apart (`demos pusht --check`).

As good as people's: every seed solved, in about a person's time, states with several ways to go on.
And too varied to be looked up: a look-up without training must leave room above it for learning.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.evidence.stats import Share
from benchmark.evidence.text_table import Table
from benchmark.plan.seeding import episode_seeds
from benchmark.progress import say
from benchmark.studies.control_mode.block_modes import AHEAD, count_block_modes
from envs.demos.demonstrations import Demonstrations
from envs.demos.pusht_lookup import LookUp, max_coverage
from envs.demos.pusht_scripted import demonstrate
from envs.demos.sources import recorded_pusht
from envs.progress import progress_bar
from envs.pusht.geometry import SUCCESS_COVERAGE

SEEDS = 1_000  # that the demonstrator is to solve, from 0
EPISODES = 100  # of the look-up, on validation seeds
HORIZONS = (1, 2, 4, 8)
MOST_LOOKED_UP = 0.6  # success of the look-up
FEWEST_STEPS, MOST_STEPS = 100, 170  # median of an episode


@dataclass(frozen=True)
class Bar:
    """One thing asked of the demonstrations, what was found, and whether that is enough."""

    asked: str
    found: str
    holds: bool | None


def check(people: Path | None) -> int:
    """Measure the scripted demonstrations against every bar; 0 where all hold, else 1.

    Args:
        people: File of people's demonstrations to compare with; None leaves that out.
    """
    demos = recorded_pusht("scripted")
    theirs = None if people is None else recorded_pusht("human", people)
    bars = [solved(), looked_up(demos), lengths(demos), *several_ways(demos, theirs)]
    words = {True: "yes", False: "NO", None: "-"}
    rows = tuple((bar.asked, bar.found, words[bar.holds]) for bar in bars)
    caption = f"Scripted demonstrations of pusht, {demos.metadata.version}"
    say(Table(caption, ("asked", "found", "holds"), rows, "lll").text())
    return 0 if all(bar.holds is not False for bar in bars) else 1


def solved(count: int = SEEDS) -> Bar:
    """How many seeds the demonstrator solves."""
    found = 0
    with progress_bar(count, "seeds", "episode") as bar:
        for seed in range(count):
            found += demonstrate(seed).is_success
            bar.update()
    return Bar("every seed solved", f"{found} of {count}", found == count)


def looked_up(demos: Demonstrations, episodes: int = EPISODES) -> Bar:
    """How often the look-up succeeds at the action horizon that suits it best."""
    policy, seeds = LookUp(demos), episode_seeds("validation", episodes)
    shares = {}
    with progress_bar(len(HORIZONS) * episodes, "look-up", "episode") as bar:
        for horizon in HORIZONS:
            successes = 0
            for seed in seeds:
                successes += max_coverage(policy, seed, horizon) > SUCCESS_COVERAGE
                bar.update()
            shares[horizon] = Share(int(successes), episodes)
    best = max(shares, key=lambda horizon: (shares[horizon].successes, horizon))
    every = ", ".join(f"{h}: {share.successes}" for h, share in shares.items())
    return Bar(
        f"a look-up solves at most {MOST_LOOKED_UP:.0%}",
        f"{_percent(shares[best])} at action horizon {best} ({every})",
        shares[best].successes <= MOST_LOOKED_UP * episodes,
    )


def lengths(demos: Demonstrations) -> Bar:
    """How long an episode takes."""
    median = float(np.median(demos.lengths))
    asked = f"{FEWEST_STEPS} to {MOST_STEPS} steps, median"
    return Bar(asked, f"{median:.0f}", FEWEST_STEPS <= median <= MOST_STEPS)


def several_ways(demos: Demonstrations, theirs: Demonstrations | None) -> list[Bar]:
    """How often states have several ways to go on, of moves and of turns, beside people's."""
    ours = count_block_modes(demos)
    people = None if theirs is None else count_block_modes(theirs)
    bars = []
    for what in ("move", "turn"):
        own = Share(int((ours[what] > 1).sum()), len(ours))
        asked, found, holds = f"states with several {what}s in {AHEAD} steps", _percent(own), None
        if people is not None:
            other = Share(int((people[what] > 1).sum()), len(people))
            asked, found = f"{asked}, as people", f"{found}; people {_percent(other)}"
            holds = own.successes >= other.successes
        bars.append(Bar(asked, found, holds))
    return bars


def _percent(share: Share) -> str:
    interval = share.interval()
    return f"{interval.estimate:.0%} [{interval.low:.0%}, {interval.high:.0%}]"
