"""Figures show the numbers they were given, where a reader can tell them apart."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from benchmark.evidence.tables import results_table
from benchmark.report.plots import DASHES, OKABE_ITO, curves_figure, results_figure, save_figure

EpisodesMaker = Callable[..., pd.DataFrame]


STYLES = {"position": (OKABE_ITO[0], DASHES[0]), "velocity": (OKABE_ITO[1], DASHES[1])}


def curves(history: pd.DataFrame) -> Figure:
    """A column a method, a style a control mode."""
    ordered = history.assign(kind=history["control"]).sort_values("method", kind="stable")
    return curves_figure(ordered, STYLES)


def points(axes: Axes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Values and bar ends (N, 2) of every control mode that a panel of results shows."""
    shown = {}
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        line, _, (bars,) = container.lines
        ends = np.array([segment[:, 0] for segment in bars.get_segments()])
        shown[container.get_label()] = (np.asarray(line.get_xdata()), ends)
    return shown


def assert_legend_covers_no_data(figure: Figure) -> None:
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)


def test_the_results_figure_draws_every_score_and_rate_with_its_interval(
    pusht_results: pd.DataFrame,
) -> None:
    score_axes, success_axes = results_figure(pusht_results).axes
    for control in ("position", "velocity"):
        rows = pusht_results[
            (pusht_results["role"] == "method") & (pusht_results["control"] == control)
        ]
        values, ends = points(score_axes)[f"{control} control"]
        np.testing.assert_allclose(values, rows["score"])
        np.testing.assert_allclose(ends, rows[["score_low", "score_high"]])
        values, ends = points(success_axes)[f"{control} control"]
        np.testing.assert_allclose(values, 100 * rows["success"])
        np.testing.assert_allclose(ends, 100 * rows[["success_low", "success_high"]])
    assert score_axes.get_xlabel() == "mean score"
    assert success_axes.get_xlabel() == "success rate (%)"


def test_the_best_method_is_on_top_of_the_results_figure(pusht_results: pd.DataFrame) -> None:
    axes = results_figure(pusht_results).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["diffusion-unet", "diffusion-transformer", "ibc", "bet", "lstm-gmm"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # downwards


def test_demonstrations_and_floor_are_lines_through_all_rows(pusht_results: pd.DataFrame) -> None:
    for axes, column, scale in zip(
        results_figure(pusht_results).axes, ("score", "success"), (1, 100), strict=True
    ):
        lines = {line.get_label(): line.get_xdata()[0] for line in axes.lines}
        by_method = pusht_results.set_index("method")[column]
        assert lines["demonstrations, replayed"] == scale * by_method["demonstrations, replayed"]
        assert lines["hold-still"] == pytest.approx(scale * by_method["hold-still"])


def test_control_modes_differ_in_marker_and_keep_their_look(make_episodes: EpisodesMaker) -> None:
    both = [make_episodes("ibc", [[0.5, 0.6]], control=mode) for mode in ("position", "velocity")]

    def looks(episodes: pd.DataFrame) -> dict[str, tuple[object, object]]:
        axes = results_figure(results_table(episodes)).axes[0]
        return {
            str(container.get_label()): (
                container.lines[0].get_marker(),
                container.lines[0].get_color(),
            )
            for container in axes.containers
        }

    together = looks(pd.concat(both))
    position, velocity = together["position control"], together["velocity control"]
    assert position[0] != velocity[0]
    assert position[1] != velocity[1]
    assert looks(both[1])["velocity control"] == velocity


def test_rows_of_another_preset_say_so(make_episodes: EpisodesMaker) -> None:
    episodes = [make_episodes("ibc", [[0.5, 0.6]], preset=preset) for preset in ("laptop", "quick")]
    axes = results_figure(results_table(pd.concat(episodes))).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["ibc, laptop", "ibc, quick"]


def test_one_episode_is_drawn_without_an_interval(make_episodes: EpisodesMaker) -> None:
    values, ends = points(results_figure(results_table(make_episodes("ibc", [[0.5]]))).axes[0])[
        "position control"
    ]
    assert values == 0.5
    np.testing.assert_array_equal(ends, [[0.5, 0.5]])


def test_legends_cover_no_data(pusht_results: pd.DataFrame, pusht_history: pd.DataFrame) -> None:
    assert_legend_covers_no_data(results_figure(pusht_results))
    assert_legend_covers_no_data(curves(pusht_history))


def test_curves_draw_every_run_and_skips_what_was_not_evaluated(
    pusht_history: pd.DataFrame,
) -> None:
    figure = curves(pusht_history)
    panels = np.array(figure.axes).reshape(3, 5)
    assert [axes.get_title() for axes in panels[0]] == sorted(set(pusht_history["method"]))
    assert {len(axes.lines) for axes in figure.axes} == {6}  # two control modes, three seeds
    loss, error, score = (axes.lines[0] for axes in panels[:, 0])
    run = pusht_history[(pusht_history["method"] == "bet")].iloc[:12]
    np.testing.assert_array_equal(loss.get_ydata(), run["loss"])
    np.testing.assert_array_equal(error.get_ydata(), run["action_error"])
    np.testing.assert_array_equal(score.get_xdata(), [1000, 2000, 3000, 4000, 5000, 6000])


def test_only_losses_have_a_scale_of_their_own(pusht_history: pd.DataFrame) -> None:
    panels = np.array(curves(pusht_history).axes).reshape(3, 5)
    assert [axes.get_yscale() for axes in panels[0]] == ["log"] * 4 + ["linear"]  # negative
    assert len({axes.get_ylim() for axes in panels[1]}) == 1
    assert {axes.get_ylim() for axes in panels[2]} == {(0.0, 1.02)}
    highest = pusht_history["action_error"].max()
    assert panels[1, 0].get_ylim()[1] >= highest


def test_a_saved_figure_is_the_same_bytes_each_time_with_its_data_beside_it(
    pusht_history: pd.DataFrame, tmp_path: Path
) -> None:
    ibc = pusht_history[pusht_history["method"] == "ibc"]
    first, again = (save_figure(curves(ibc), ibc, tmp_path / name, "training") for name in "ab")
    assert [path.name for path in first] == ["training.png", "training.svg", "training.csv"]
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert first[0].read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in first[1].read_bytes()
    assert len(pd.read_csv(first[2])) == len(ibc)


def test_drawing_needs_no_pyplot() -> None:
    code = "import sys, benchmark.report.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
