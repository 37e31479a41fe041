"""How many ways to go on show in what happens to the Push-T block: moves and turns apart.

state       of the block the place and, as px, the angle; of the agent the place: all in one
            measure, unlike observed numbers that are scaled one by one
move        of the block's centre of gravity in the next AHEAD steps, along the first principal
            component of what similar states show, px
turn        of the block in the same steps, rad
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from benchmark.studies.control_mode.action_spaces import NEIGHBOURS, peaks, principal
from envs.demos.demonstrations import Demonstrations
from envs.demos.pusht_pushes import RADIUS_OF_GYRATION
from envs.pusht.geometry import CENTER_OF_GRAVITY, place

AHEAD = 16  # steps
STATES = 2_000  # that are looked at


def count_block_modes(demos: Demonstrations, seed: int = 0) -> pd.DataFrame:
    """Count the modes of what follows in the most similar states of other episodes.

    Args:
        demos: Of Push-T, as recorded.
        seed: Of the choice of states.

    Returns:
        A row a probed state: modes of `move` and of `turn`.
    """
    states = demos.states
    centre = place([CENTER_OF_GRAVITY], states[:, 2:])[:, 0]  # (N, 2)
    angle = states[:, 4]
    heading = RADIUS_OF_GYRATION * np.column_stack([np.cos(angle), np.sin(angle)])
    compared = np.column_stack([centre, heading, states[:, :2]])
    episode = np.repeat(np.arange(demos.num_episodes), demos.lengths)
    later = np.minimum(np.arange(len(states)) + AHEAD, demos.episode_ends[episode] - 1)
    moves = centre[later] - centre
    # Recorded angles are modulo 2 pi: one that passes 0 is no turn of a whole round.
    turns = np.mod(angle[later] - angle + np.pi, 2.0 * np.pi) - np.pi
    tree, most = cKDTree(compared), min(8 * NEIGHBOURS, len(states))
    rows = []
    for probe in np.random.default_rng(seed).permutation(len(states))[:STATES]:
        near = np.atleast_1d(tree.query(compared[probe], most)[1])
        near = near[episode[near] != episode[probe]][:NEIGHBOURS]
        rows.append({"move": peaks(principal(moves[near])), "turn": peaks(turns[near])})
    return pd.DataFrame(rows)
