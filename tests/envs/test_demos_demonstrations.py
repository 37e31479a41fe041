"""What `Demonstrations` accepts, and how episodes are taken from it."""

from dataclasses import replace

import numpy as np
import pytest

from envs.demos.demonstrations import Demonstrations, Metadata

METADATA = Metadata("pusht", "import", "made up", None)
ENDS = (3, 5, 9)


def made_up(ends=ENDS) -> Demonstrations:
    rows = np.arange(ends[-1], dtype=np.float64)
    return Demonstrations(
        states=np.column_stack([rows] * 5),
        actions=np.column_stack([rows, -rows]),
        episode_ends=np.array(ends, dtype=np.int64),
        observations={"state": np.column_stack([rows, 10.0 * rows])},
        metadata=METADATA,
    )


def test_episodes_are_counted_and_placed_by_their_ends():
    demonstrations = made_up()
    assert (demonstrations.num_episodes, demonstrations.num_steps) == (3, 9)
    assert demonstrations.starts.tolist() == [0, 3, 5]
    assert demonstrations.lengths.tolist() == [3, 2, 4]


def test_an_episode_has_the_rows_between_its_start_and_its_end():
    episode = made_up().episode(1)
    assert episode.states[:, 0].tolist() == [3.0, 4.0]
    assert episode.actions[:, 1].tolist() == [-3.0, -4.0]
    assert episode.observations["state"][:, 1].tolist() == [30.0, 40.0]
    assert episode.episode_ends.tolist() == [2]


def test_a_subset_keeps_the_order_it_is_asked_for():
    subset = made_up().subset([2, 0])
    assert subset.states[:, 0].tolist() == [5.0, 6.0, 7.0, 8.0, 0.0, 1.0, 2.0]
    assert subset.episode_ends.tolist() == [4, 7]


def test_a_smaller_choice_lies_within_a_larger_one_of_the_same_seed():
    demonstrations = made_up(tuple(range(1, 31)))
    small, large = (set(demonstrations.choose(n, seed=7).states[:, 0]) for n in (10, 20))
    assert len(small) == 10
    assert len(large) == 20
    assert small < large
    assert small != set(demonstrations.choose(10, seed=8).states[:, 0])


@pytest.mark.parametrize("index", [3, -1])
def test_an_episode_that_is_not_there_is_named(index):
    with pytest.raises(IndexError, match=f"no episode {index}; choose from 0 to 2"):
        made_up().episode(index)


def test_an_empty_subset_is_refused():
    with pytest.raises(ValueError, match="at least one episode"):
        made_up().subset([])


@pytest.mark.parametrize("count", [0, 4])
def test_a_choice_of_more_or_fewer_episodes_than_there_are_names_the_limits(count):
    with pytest.raises(ValueError, match=f"{count} episodes asked for.*ask for 1 to 3"):
        made_up().choose(count, seed=0)


ROWS = np.zeros((9, 5))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"states": ROWS.astype(np.float32)}, r"states is float32 of shape \(9, 5\)"),
        ({"actions": np.zeros(9)}, r"actions is float64 of shape \(9,\)"),
        ({"states": ROWS[:8]}, "states has 8 rows and actions 9"),
        ({"observations": {"pixels": np.zeros((7, 1))}}, "'pixels' has 7 rows and actions 9"),
        ({"episode_ends": np.array([3, 9], np.int32)}, r"episode_ends is int32 of shape \(2,\)"),
        ({"episode_ends": np.array([], np.int64)}, "at least one episode"),
        ({"episode_ends": np.array([3, 3, 9])}, r"episode_ends\[1\] = 3 is not above"),
        ({"episode_ends": np.array([0, 9])}, r"episode_ends\[0\] = 0 is not above"),
        ({"episode_ends": np.array([3, 8])}, "last of episode_ends is 8, but there are 9 actions"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_the_offending_value(changed, message):
    with pytest.raises(ValueError, match=message):
        replace(made_up(), **changed)


@pytest.mark.parametrize("field", ["states", "actions"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_row(field, value):
    array = getattr(made_up(), field).copy()
    array[6, 1] = value
    with pytest.raises(ValueError, match=f"{field} has a value in row 6 that is not finite"):
        replace(made_up(), **{field: array})


def test_an_observation_that_is_not_finite_is_refused_by_its_name():
    observations = {"keypoint": np.full((9, 9, 2), np.nan)}
    with pytest.raises(ValueError, match="observation 'keypoint' has a value in row 0"):
        replace(made_up(), observations=observations)


@pytest.mark.parametrize(
    ("task", "source", "message"),
    [
        ("pusht", "robot", "source 'robot' is unknown.*scripted, human, import"),
        ("", "human", "empty"),
    ],
)
def test_metadata_of_an_unknown_source_or_no_task_are_refused(task, source, message):
    with pytest.raises(ValueError, match=message):
        Metadata(task, source, "1", None)
