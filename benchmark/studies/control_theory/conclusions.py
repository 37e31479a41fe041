"""Tables and figures of the control-theory study."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmark.evidence.text_table import Table
from benchmark.report.plots import (
    DASHES,
    MARKERS,
    OKABE_ITO,
    Dashes,
    empty_figure,
    grid,
    legend,
    log_scale,
    points,
)
from benchmark.studies.study import Drawing, Sheet
from envs.linear_system import CONTROL_HZ

STEPS_SHOWN = (0, 1, 2, 5, 10, 20, 30, 50, 70, 90, 99)
INTERVALS = "Ranges are 95 % intervals over training seeds and episodes; one seed, over episodes."


def action_sheet(by_offset: pd.DataFrame, caption: str) -> Sheet:
    """Sampled actions against the regulator's, a row a policy and offset."""
    rows = [
        (
            *policy_texts(row),
            str(row["offset"]),
            f"{np.sqrt(row['reference']):.3f}",
            percent(row),
            f"{np.sqrt(row['variance']):.3f}",
            f"{np.sqrt(row['exact_variance']):.3f}",
        )
        for row in by_offset.to_dict("records")
    ]
    table = Table(
        caption=f"{caption}: sampled actions against -K (A - B K)^t s",
        head=("system", "method", "Tp", "t", "RMS (N)", "error (%)", "spread (N)", "true spread"),
        rows=tuple(rows),
        align="llrrrrrr",
        notes=(
            "RMS: of -K (A - B K)^t s over the states that the regulator visits. Error: RMS "
            "difference as a share of it; at t = 0 of every sample, later of the mean of the "
            "samples of a state. Spread: standard deviation of the samples of a state; at t = 0 "
            f"nothing is left to chance, later the noise on the way is. {INTERVALS}",
        ),
        breaks=_breaks(by_offset),
    )
    return Sheet("actions", table, by_offset)


def denoiser_sheet(by_step: pd.DataFrame, caption: str) -> Sheet:
    """Relative error of the learnt denoiser, a row a diffusion step and a column a policy."""
    policies = list(dict.fromkeys(map(policy_name, by_step.to_dict("records"))))
    named = by_step.assign(policy=[policy_name(row) for row in by_step.to_dict("records")])
    wide = named.pivot(index="step", columns="policy", values="ratio")[policies]
    shown = wide.loc[[step for step in STEPS_SHOWN if step in wide.index]]
    rows = [
        (str(step), *(f"{100 * ratio:.1f}" for ratio in ratios))
        for step, ratios in zip(shown.index, shown.to_numpy(dtype=np.float64), strict=True)
    ]
    table = Table(
        caption=f"{caption}: relative error of the learnt denoiser (%) at diffusion step k",
        head=("k", *policies),
        rows=tuple(rows),
        align="r" * (1 + len(policies)),
        notes=(
            "RMS difference of predicted and optimal noise as a share of the RMS of the optimal, "
            "over states that the regulator visits and its noised actions. Step 0 has the least "
            "noise. All steps are in the CSV file.",
        ),
    )
    return Sheet("denoiser", table, by_step)


def sampler_sheet(by_sampler: pd.DataFrame, caption: str) -> Sheet:
    """What the same policy samples by other samplers, a row a policy and sampler."""
    rows = [
        (
            *policy_texts(row),
            str(row["sampler"]).upper(),
            str(row["inference_steps"]),
            percent(row),
            f"{100 * row['median']:.2f}",
        )
        for row in by_sampler.to_dict("records")
    ]
    table = Table(
        caption=f"{caption}: error of the sampled action by sampler",
        head=("system", "method", "Tp", "sampler", "steps", "error (%)", "median (%)"),
        rows=tuple(rows),
        align="llrlrrr",
        notes=(
            "Error: RMS difference to -K s as a share of the RMS of -K s. Median: of the "
            "difference's size, as the same share. A median far below shows that few samples make "
            f"up the error. {INTERVALS}",
        ),
        breaks=_breaks(by_sampler),
    )
    return Sheet("samplers", table, by_sampler)


def cost_sheet(by_cost: pd.DataFrame, caption: str) -> Sheet:
    """Cost of the closed loop, a row a policy."""
    rows = [
        (
            *policy_texts(row),
            f"{row['cost']:.4g}",
            f"{row['regulator']:.4g}",
            _ratio_text(row),
        )
        for row in by_cost.to_dict("records")
    ]
    table = Table(
        caption=f"{caption}: cost of the closed loop",
        head=("system", "method", "Tp", "cost", "regulator's", "ratio"),
        rows=tuple(rows),
        align="llrrrr",
        notes=(
            "Mean of s'Q s + a'R a over the steps of the test episodes, Ta = 1; the regulator "
            f"plays the same starts and noise. {INTERVALS}",
        ),
        breaks=_breaks(by_cost),
    )
    return Sheet("costs", table, by_cost)


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


def map_drawings(maps: pd.DataFrame, caption: str) -> Iterator[Drawing]:
    """Learnt denoiser, closed form and difference as heat maps, a figure a policy.

    Only the first training seed is drawn.
    """
    first = maps[maps["train_seed"] == maps["train_seed"].iloc[0]]
    for (system, method), own in first.groupby(["system", "method"], sort=False):
        yield Drawing(
            f"denoiser-{system}-{method}",
            _map_figure(own),
            own,
            f"{caption}: noise predicted by {method} on the {system} system (Tp = 1), learnt, in "
            "closed form, and the difference, over the regulator's action -K s and the noised "
            "action a_k, both in standard deviations of the demonstrated actions. Training data "
            "lie between the dashed lines (three standard deviations of the noise on either side "
            "of sqrt(abar_k) times -K s); outside, the network extrapolates. The scale of the "
            "difference ends at the largest one between the lines.",
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
                100 * line[["ratio", "low", "high"]].to_numpy(),
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


def _map_figure(own: pd.DataFrame) -> Figure:
    steps = list(dict.fromkeys(own["step"]))
    figure = empty_figure(8.4, 0.9 + 2.1 * len(steps))
    panels = figure.subplots(len(steps), 3, sharex=True, sharey=True, squeeze=False)
    for k, row in zip(steps, panels, strict=True):
        part = own[own["step"] == k]
        learnt, exact = (
            part.pivot(index="noised", columns="clean", values=name) for name in ("learnt", "exact")
        )
        difference = learnt - exact
        signal = float(part["signal"].iloc[0])
        clean, noised = np.asarray(exact.columns), np.asarray(exact.index)
        is_data = np.abs(noised[:, None] - signal * clean) <= _reach(signal)
        largest = float(exact.abs().to_numpy().max())
        off = float(difference.abs().to_numpy()[is_data].max())
        for axes, values, limit in zip(
            row, (learnt, exact, difference), (largest, largest, off), strict=True
        ):
            image = axes.pcolormesh(
                clean,
                noised,
                values.to_numpy(),
                cmap="RdBu_r",
                vmin=-limit,
                vmax=limit,
                rasterized=True,
            )
            extend = "both" if values is difference else "neither"
            figure.colorbar(image, ax=axes, shrink=0.9, extend=extend)
            limits = axes.get_ylim()
            for side in (-_reach(signal), _reach(signal)):
                axes.plot(clean, signal * clean + side, color="black", linestyle="--", lw=0.8)
            axes.set_ylim(limits)
        row[0].set_ylabel(f"k = {k}\nnoised action $a_k$ (std)")
    for axes, title in zip(panels[0], ("learnt", "closed form", "difference"), strict=True):
        axes.set_title(f"predicted noise, {title}" if title != "difference" else title, fontsize=10)
    for axes in panels[-1]:
        axes.set_xlabel("regulator's action $-K s$ (std)")
    return figure


def _reach(signal: float) -> float:
    """How far from sqrt(abar_k) times the action noised ones lie: three standard deviations."""
    return 3 * float(np.sqrt(1 - signal**2))


def policy_name(row: Mapping[Hashable, Any]) -> str:
    """A policy in a few words, for a heading."""
    return f"{row['system']}, {row['method']}, Tp {row['pred_horizon']}"


def policy_texts(row: Mapping[Hashable, Any]) -> tuple[str, str, str]:
    """System, method and Tp."""
    return str(row["system"]), str(row["method"]), str(row["pred_horizon"])


def percent(row: Mapping[Hashable, Any]) -> str:
    """A ratio with its interval, in percent."""
    estimate, low, high = (100 * row[name] for name in ("ratio", "low", "high"))
    return f"{estimate:.2f} [{low:.2f}, {high:.2f}]"


def _ratio_text(row: Mapping[Hashable, Any]) -> str:
    # A closed loop that diverges costs any number of times as much.
    digits = ".5f" if row["high"] < 1000 else ".3g"
    return f"{row['ratio']:{digits}} [{row['low']:{digits}}, {row['high']:{digits}}]"


def _breaks(frame: pd.DataFrame) -> frozenset[int]:
    """Rows where another system begins."""
    systems = frame["system"].tolist()
    return frozenset(i for i in range(1, len(systems)) if systems[i] != systems[i - 1])


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
