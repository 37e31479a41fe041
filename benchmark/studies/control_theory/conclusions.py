"""Tables and figures of the control-theory study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmark.report.plots import (
    DASHES,
    MARKERS,
    OKABE_ITO,
    Dashes,
    empty_figure,
    estimates,
    grid,
    legend,
    log_scale,
    points,
)
from benchmark.studies.sheets import measured, number, sheet, signed, word
from benchmark.studies.study import Drawing, Sheet
from envs.linear_system import CONTROL_HZ

STEPS_SHOWN = (0, 1, 2, 5, 10, 20, 30, 50, 70, 90, 99)
_POLICY = (word("system"), word("method"), number("pred_horizon", "Tp", "d"))
_ERROR = measured("ratio", "error (%)", lambda *shares: signed(".2f")(*(100 * s for s in shares)))
INTERVALS = "Ranges are 95 % intervals over training seeds and episodes; one seed, over episodes."


def action_sheet(by_offset: pd.DataFrame, caption: str) -> Sheet:
    """Sampled actions against the regulator's, a row a policy and offset."""
    roots = {name: np.sqrt(by_offset[name]) for name in ("reference", "variance", "exact_variance")}
    return sheet(
        "actions",
        f"{caption}: sampled actions against -K (A - B K)^t s",
        by_offset.assign(**roots),
        [
            *_POLICY,
            number("offset", "t", "d"),
            number("reference", "RMS (N)", ".3f"),
            _ERROR,
            number("variance", "spread (N)", ".3f"),
            number("exact_variance", "true spread", ".3f"),
        ],
        [
            "RMS: of -K (A - B K)^t s over the states that the regulator visits. Error: RMS "
            "difference as a share of it; at t = 0 of every sample, later of the mean of the "
            "samples of a state. Spread: standard deviation of the samples of a state; at t = 0 "
            f"nothing is left to chance, later the noise on the way is. {INTERVALS}",
        ],
        "system",
    )


def denoiser_sheet(by_step: pd.DataFrame, caption: str) -> Sheet:
    """Relative error of the learnt denoiser, a row a policy and a column a diffusion step."""
    steps = [step for step in STEPS_SHOWN if step in set(by_step["step"])]
    wide = by_step.pivot_table("ratio", ["system", "method", "pred_horizon"], "step", sort=False)
    return sheet(
        "denoiser",
        f"{caption}: relative error of the learnt denoiser (%) at diffusion step k",
        wide.reset_index(),
        [*_POLICY, *(number(step, f"k {step}", ".1f", 100) for step in steps)],
        [
            "RMS difference of predicted and optimal noise as a share of the RMS of the optimal, "
            "over states that the regulator visits and its noised actions. Step 0 has the least "
            "noise. All steps are in the CSV file.",
        ],
        "system",
    )


def sampler_sheet(by_sampler: pd.DataFrame, caption: str) -> Sheet:
    """What the same policy samples by other samplers, a row a policy and sampler."""
    return sheet(
        "samplers",
        f"{caption}: error of the sampled action by sampler",
        by_sampler,
        [
            *_POLICY,
            word("sampler"),
            number("inference_steps", "steps", "d"),
            _ERROR,
            number("median", "median (%)", ".2f", 100),
        ],
        [
            "Error: RMS difference to -K s as a share of the RMS of -K s. Median: of the "
            "difference's size, as the same share. A median far below shows that few samples make "
            f"up the error. {INTERVALS}",
        ],
        "system",
    )


def cost_sheet(by_cost: pd.DataFrame, caption: str) -> Sheet:
    """Cost of the closed loop, a row a policy."""
    return sheet(
        "costs",
        f"{caption}: cost of the closed loop",
        by_cost,
        [
            *_POLICY,
            number("cost", "cost", ".4g"),
            number("regulator", "regulator's", ".4g"),
            measured("ratio", "ratio", signed(".5g")),
        ],
        [
            "Mean of s'Q s + a'R a over the steps of the test episodes, Ta = 1; the regulator "
            f"plays the same starts and noise. {INTERVALS}",
        ],
        "system",
    )


def denoiser_drawing(by_step: pd.DataFrame, caption: str) -> Drawing:
    """Relative error against the diffusion step, a panel a system."""
    figure = empty_figure(8.0, 3.6)
    panels = _panels(figure, by_step, 1)
    for (system, own), axes in zip(_systems(by_step), panels[0], strict=True):
        for (method, Tp), line in own.groupby(["method", "pred_horizon"], sort=False):
            number, dash = _style(by_step, method, Tp)
            ratio = 100 * line["ratio"]
            axes.plot(line["step"], ratio, color=OKABE_ITO[number], linestyle=dash, lw=1.4)
            axes.lines[-1].set_label(f"{method}, Tp = {Tp}")
            if (line["floor"] > 1e-3).any():
                reachable = line[line["floor"] > 1e-3]
                axes.plot(
                    reachable["step"], 100 * reachable["floor"], color="black", lw=2.4, alpha=0.3
                )
                axes.lines[-1].set_label(f"least under a causal mask, Tp = {Tp}")
                axes.lines[-1].set_zorder(0)
        log_scale(axes)
        axes.set_title(f"{system} system", fontsize=10)
        axes.set_xlabel("diffusion step k (0: least noise)")
        grid(axes, "both")
    panels[0, 0].set_ylabel("relative error of the\npredicted noise (%)")
    legend(figure, *panels[0, 0].get_legend_handles_labels())
    return Drawing(
        "denoiser-error",
        figure,
        by_step,
        f"{caption}: RMS difference of the learnt denoiser and the closed form, as a share of the "
        "closed form's RMS, at every diffusion step. Grey: the least that a network can have whose "
        "actions attend to earlier ones only, as the transformer's do, Tp > 1.",
    )


def action_drawing(by_offset: pd.DataFrame, caption: str) -> Drawing:
    """Error and spread against the offset for policies that predict several actions."""
    several = by_offset[by_offset["pred_horizon"] > 1]
    figure = empty_figure(8.0, 5.2)
    panels = _panels(figure, several, 2)
    for (system, own), column in zip(_systems(several), panels.T, strict=True):
        for (method, Tp), line in own.groupby(["method", "pred_horizon"], sort=False):
            number, dash = _style(several, method, Tp)
            points(
                column[0],
                line["offset"].to_numpy(),
                estimates(line, "ratio", 100.0),
                number,
                f"{method}, Tp = {Tp}",
                dashes=dash,
            )
            style = {"color": OKABE_ITO[number], "marker": MARKERS[number], "ms": 5, "lw": 1.2}
            column[1].plot(line["offset"], np.sqrt(line["variance"]), linestyle=dash, **style)
        truth = own.groupby("offset")["exact_variance"].first()
        column[1].plot(truth.index, np.sqrt(truth), color="black", lw=2.4, alpha=0.35, zorder=0)
        column[1].lines[-1].set_label("true spread")
        column[0].set_title(f"{system} system", fontsize=10)
        column[1].xaxis.set_major_locator(MaxNLocator(integer=True))
        column[1].set_xlabel(f"offset t (steps of {1 / CONTROL_HZ:g} s)")
        for axes in column:
            grid(axes, "both")
    for row in panels:  # their scale is shared, so it is set once all are drawn
        row[0].set_ylim(0, 1.04 * row[0].get_ylim()[1])
    panels[0, 0].set_ylabel("relative error of the\nmean action (%)")
    panels[1, 0].set_ylabel("spread of the samples\nof a state (N)")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    truth_handles, truth_labels = panels[1, 0].get_legend_handles_labels()
    legend(figure, [*handles, *truth_handles], [*labels, *truth_labels])
    return Drawing(
        "future-actions",
        figure,
        several,
        f"{caption}: predicted sequences. Above: mean of the samples against "
        "-K (A - B K)^t s, RMS difference as a share of its RMS over the states that the "
        "regulator visits, with 95 % intervals. Below: standard deviation of the samples of a "
        "state, and what the process noise on the way makes of it.",
    )


def _systems(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for system, own in frame.groupby("system", sort=False):
        yield str(system), own


def _panels(figure: Figure, frame: pd.DataFrame, rows: int) -> np.ndarray:
    columns = frame["system"].nunique()
    panels: np.ndarray = figure.subplots(rows, columns, sharex=True, sharey="row", squeeze=False)
    return panels


def _style(frame: pd.DataFrame, method: object, Tp: object) -> tuple[int, Dashes]:
    """Number of a method, for colour and marker, and dashes of a horizon."""
    methods: Sequence[object] = list(dict.fromkeys(frame["method"]))
    horizons: Sequence[object] = list(dict.fromkeys(frame["pred_horizon"]))
    return methods.index(method), DASHES[horizons.index(Tp)]
