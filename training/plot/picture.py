"""What does a distribution look like?

One picture a feature: shares per bin on the left, the cumulative share on the right, one colour a
group. Colours stay apart for colour-blind readers (Okabe and Ito 2008).
"""

from __future__ import annotations

import io

import numpy as np

from training.plot.distribution import Distribution, Group

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")


def draw(distribution: Distribution, kind: str) -> bytes:
    """Return the picture; `kind` is `png` or `svg`."""
    import matplotlib as mpl

    mpl.use("Agg")
    # No user's style, no date and no random ids: equal data gives equal bytes.
    with mpl.rc_context({"svg.hashsalt": "touchstone", "font.size": 10}):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11, 4.2), layout="constrained")
        shares, steps = figure.subplots(1, 2, gridspec_kw={"width_ratios": [3, 2]})
        groups = [group for group in distribution.groups if group.rows > group.unknown]
        for index, group in enumerate(groups):
            _bars(shares, distribution, group, index, len(groups))
            _steps(steps, distribution, group, index)
        _dress(shares, steps, distribution, groups)
        figure.suptitle(distribution.feature, fontweight="bold")
        held = io.BytesIO()
        figure.savefig(held, format=kind, dpi=130, metadata={"Date": None} if kind == "svg" else {})
        return held.getvalue()


def _bars(axes, distribution: Distribution, group: Group, index: int, count: int) -> None:  # type: ignore[no-untyped-def]  # matplotlib's Axes
    share = group.counts / max(1, group.rows - group.unknown)
    label = f"{group.name} (n={group.rows:,}, unknown {group.unknown / max(1, group.rows):.0%})"
    colour = COLOURS[index % len(COLOURS)]
    if distribution.values is not None:
        width = 0.8 / count
        places = np.arange(len(share)) - 0.4 + width * (index + 0.5)
        axes.bar(places, share, width=width, color=colour, label=label)
    else:
        axes.stairs(share, distribution.edges, color=colour, label=label, linewidth=1.6)
        axes.stairs(share, distribution.edges, color=colour, fill=True, alpha=0.15)


def _steps(axes, distribution: Distribution, group: Group, index: int) -> None:  # type: ignore[no-untyped-def]  # matplotlib's Axes
    total = np.cumsum(group.counts) / max(1, group.rows - group.unknown)
    colour = COLOURS[index % len(COLOURS)]
    if distribution.edges is None:
        axes.step(np.arange(len(total)), total, where="post", color=colour, linewidth=1.6)
    else:
        axes.plot(distribution.edges[1:], total, color=colour, linewidth=1.6)


def _dress(shares, steps, distribution: Distribution, groups: list[Group]) -> None:  # type: ignore[no-untyped-def]  # matplotlib's Axes
    shares.set_ylabel("share of known values")
    steps.set_ylabel("cumulative share")
    steps.set_ylim(0, 1.02)
    steps.grid(alpha=0.25)
    for axes in (shares, steps):
        axes.spines[["top", "right"]].set_visible(False)
        if distribution.values is not None:
            step = max(1, len(distribution.values) // 8)
            ticks = range(0, len(distribution.values), step)
            axes.set_xticks(list(ticks), [f"{distribution.values[i]:g}" for i in ticks])
        elif distribution.is_growing:
            axes.set_xscale("symlog", linthresh=1)
    if distribution.edges is not None:
        steps.set_xlim(distribution.edges[0], distribution.edges[-1])
    if groups:
        shares.legend(frameon=False, fontsize=8)
    else:
        shares.text(0.5, 0.5, "no event has a value", ha="center", transform=shares.transAxes)
