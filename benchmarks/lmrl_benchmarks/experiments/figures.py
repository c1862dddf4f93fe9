"""What the page of an experiment draws. What cells told decides, by the names of curves and numbers; no experiment has figures of its own.

=====================================  =================================================================
``gold`` with ``optimised`` (``proxy``)  gold and proxy over the square root of the KL, the ``roof``, both of Gao's fits
``gold`` with ``KL`` or the like         the frontier: gold over the square root of the KL, a point or line for each
``reliability``                          [foretold, observed, labels]: a panel for each reward model
``accuracy`` and the like                beside its ceilings
a grid of ``pairs``, ``labels`` ...      gold over labels spent
any other curves                         a panel for each first setting
=====================================  =================================================================
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmrl_benchmarks.experiments.told import (
    DISTANCES,
    PROXIES,
    Groups,
    Result,
    called,
    is_along_kl,
    labels,
    mean_and_error,
    mean_curve,
    number_of,
    proxy_of,
    reliability_of,
    seeds_of,
    values_of,
)
from lmrl_benchmarks.reporting.figures import LINE, SOFT, as_svg, colour, in_style
from lmrl_benchmarks.scores.overoptimisation import fitted

GOLDS = ("gold", "reward")
"""Numbers that a frontier may be of, beside ``KL``."""
MEASURED = ("accuracy", "reward model agrees with gold")
CEILINGS = ("labels agree with gold", "Bayes", "annotators agree")
BUDGETS = ("pairs", "labels", "comparisons")
SPENT_ON = ("gold", "end", "peak", "return")
FORMS = {"best of n": "fit d (a - b d)", "rl": "fit d (a - b log d)"}
MOST = 60
"""Panels, lines or rows of one figure."""
ROOT_KL = "square root of the KL from the start, nats"


@dataclass(frozen=True)
class Drawn:
    """A figure of the page."""

    title: str
    caption: str
    svg: str


def figures(groups: Groups, keys: Sequence[str]) -> list[Drawn]:
    """All that there is something for.

    Args:
        groups: results.
        keys: names of the settings that groups are by.
    """
    names = labels(groups, keys)
    drawn = [
        make(groups, keys, names)
        for make in (_gold_and_proxy, _frontier, _over_labels, _accuracy, _reliability, _others)
    ]
    return [one for one in drawn if one is not None]


# -- figures


def _panels(
    count: int,
    width: float,
    height: float,
    draw: Callable[[Any, Any], None],
    name: str,
    columns: int = 4,
    foot: float = 0,
) -> str:
    """Small panels side by side, which ``draw`` is given with the figure; inches. ``foot``: what is left below them."""
    with in_style(name) as plt:
        columns = min(columns, count)
        rows = -(-count // columns)
        size = (width * columns, height * rows + foot)
        figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
        for axis in axes.flat[count:]:
            axis.set_visible(False)
        for axis in axes.flat:
            axis.tick_params(length=0, which="both", labelsize=8)
        draw(figure, axes.flat[:count])
        figure.tight_layout(rect=(0, foot / size[1], 1, 1))
        return as_svg(figure, name, 11.0 * columns)


def _title(axis: Any, text: str, width: int = 36) -> None:
    axis.set_title("\n".join(textwrap.wrap(text, width, max_lines=3)), loc="left", fontsize=8)


def _legend(figure: Any, handles: Mapping[str, Any]) -> None:
    figure.legend(
        handles.values(), handles.keys(), loc="lower center", ncols=min(6, len(handles)), frameon=False, fontsize=8
    )


def _below(figure: Any, text: str, inches: float) -> None:
    """What the x of all panels is, so far from the lower edge."""
    figure.text(0.5, inches / figure.get_figheight(), text, fontsize=8, ha="center")


def _limited(count: int) -> str:
    return f" The first {MOST} of {count} are drawn." if count > MOST else ""


def _gold_and_proxy(groups: Groups, keys: Sequence[str], names: Mapping[Any, str]) -> Drawn | None:
    told = {
        settings: own
        for settings, own in groups.items()
        if proxy_of(own) and len(mean_curve(seeds_of(own, "gold"))) > 2
    }
    if not told:
        return None
    shown = list(told)[:MOST]

    def draw(figure: Any, axes: Any) -> None:
        handles: dict[str, Any] = {}
        for settings, axis in zip(shown, axes, strict=True):
            _one_hump(axis, told[settings], handles)
            _title(axis, names[settings])
        _below(figure, ROOT_KL, 0.32)
        _legend(figure, handles)

    caption = (
        "Over the square root of the KL from the start, in nats. Thin lines are seeds, bold ones means as far as all seeds go. The filled point is the peak of gold, the"
        " bar at the end its fall from there. The fits are those of Gao et al. for best of n and for reinforcement learning; an open point is a fit's own peak. The roof is the"
        " best of n by gold itself."
    )
    svg = _panels(len(shown), 3.1, 2.3, draw, "Gold and proxy", foot=0.5)
    return Drawn("Gold and proxy", caption + _limited(len(told)), svg)


def _one_hump(axis: Any, own: Sequence[Result], handles: dict[str, Any]) -> None:
    """A panel: gold on the left, the proxy on the right."""
    axis.tick_params("y", labelcolor=colour(0))
    proxy, found, roofs = proxy_of(own), seeds_of(own, "gold"), seeds_of(own, "roof")
    gold = mean_curve(found)
    other = axis.twinx()
    other.spines[["right"]].set_visible(True)
    other.tick_params(length=0, labelsize=7, labelcolor=colour(1))
    (handles[PROXIES[proxy]],) = other.plot(*mean_curve(seeds_of(own, proxy)).T, ":", color=colour(1), lw=1.4)
    for seed in found if len(found) > 1 else ():
        axis.plot(*seed[:, :2].T, color=colour(0), lw=0.7, alpha=0.35)
    (handles["gold"],) = axis.plot(*gold.T, color=colour(0), lw=1.8)
    if roofs:
        (handles["roof"],) = axis.plot(*mean_curve(roofs).T, "--", color=SOFT, lw=1)
    low, high = axis.get_ylim()  # of what was measured: a fit may go anywhere
    top, (d_end, end) = int(np.argmax(gold[:, 1])), gold[-1]
    d_top, peak = gold[top]
    axis.plot(d_top, peak, "o", color=colour(0), ms=5)
    axis.annotate(f"peak {peak:.2f}", (d_top, peak), (0, 5), textcoords="offset points", ha="center", fontsize=7)
    if peak - end > 0.005:
        axis.plot([d_end, d_end], [end, peak], color=colour(3), lw=2, solid_capstyle="butt")
        fall, middle = f"{end - peak:.2f}".replace("-", "\N{MINUS SIGN}"), (d_end, (end + peak) / 2)
        axis.annotate(fall, middle, (-3, 0), textcoords="offset points", ha="right", va="center", fontsize=7)
    above = gold[gold[:, 0] > 0]
    for number, (form, name) in enumerate(FORMS.items(), 5):
        if len(above) < 3:
            continue
        fit, along = (
            fitted(above[:, 0].tolist(), (above[:, 1] - gold[0, 1]).tolist(), form),
            np.linspace(0, above[:, 0].max(), 80),
        )
        (handles[name],) = axis.plot(along, [gold[0, 1] + fit.at(d) for d in along], color=colour(number), lw=0.9)
        d, gain = fit.peak
        if 0 < d <= along[-1]:
            axis.plot(d, gold[0, 1] + gain, "o", mfc="none", color=colour(number), ms=5)
    axis.set_ylim(low, high + 0.08 * (high - low))


def _frontier(groups: Groups, keys: Sequence[str], names: Mapping[Any, str]) -> Drawn | None:
    lines: dict[tuple[str, ...], np.ndarray] = {}
    of = "gold"
    for settings, own in groups.items():
        if is_along_kl(own):
            lines[settings] = mean_curve(seeds_of(own, "gold"))
            continue
        name = next((name for name in GOLDS if values_of(own, name)), None)
        distance = next((name for name in DISTANCES if values_of(own, name)), None)
        if name and distance:
            of = name
            root = np.sqrt(np.maximum(values_of(own, distance), 0)).mean()
            lines[settings] = np.array([[root, np.mean(values_of(own, name))]])
    if len(lines) < 2:
        return None
    shown, first = list(lines)[:MOST], list(dict.fromkeys(settings[:1] for settings in lines))
    rest = list(dict.fromkeys(settings[1:] for settings in lines))

    def draw(figure: Any, axes: Any) -> None:
        handles: dict[str, Any] = {}
        (axis,) = axes
        for roof in {
            tuple(map(tuple, mean_curve(found).round(6))) for own in groups.values() if (found := seeds_of(own, "roof"))
        }:
            (handles["roof: the best of n by gold"],) = axis.plot(*zip(*roof, strict=True), "--", color=SOFT, lw=1)
        for settings in shown:
            row, column = first.index(settings[:1]), rest.index(settings[1:])
            hue, dash = (row, 0) if len(rest) == 1 else (column, row)
            line = lines[settings]
            (handles[names[settings]],) = axis.plot(
                *line.T, ("-", "--", "-.", ":")[dash % 4], color=colour(hue), lw=1.2
            )
            mark = "osD^v<>pP*"[(hue // 10 + dash) % 10]
            (handles[names[settings]],) = axis.plot(
                *line[-1], mark, color=colour(hue), ms=5, ls=handles[names[settings]].get_linestyle()
            )
        axis.set_xlabel(ROOT_KL, fontsize=8)
        axis.set_ylabel(of, fontsize=8)
        axis.grid(lw=0.6)
        wrapped = ["\n".join(textwrap.wrap(name, 40, max_lines=2)) for name in handles]
        axis.legend(
            handles.values(),
            wrapped,
            loc="upper left",
            bbox_to_anchor=(1.02, 1),
            frameon=False,
            fontsize=7,
            ncols=1 + (len(shown) > 22),
        )

    caption = f"What each way reaches of {of}, and how far from the start; a line goes along its optimisation, its mark is the end."
    height = max(3.2, 0.19 * min(len(shown), 30))
    return Drawn("The frontier", caption + _limited(len(lines)), _panels(1, 8.4, height, draw, "The frontier"))


def _over_labels(groups: Groups, keys: Sequence[str], names: Mapping[Any, str]) -> Drawn | None:
    place = next((k for k, key in enumerate(keys) if key in BUDGETS and _is_budget([own[k] for own in groups])), None)
    told = [name for name in SPENT_ON if any(values_of(own, name) for own in groups.values())]
    if place is None or not told:
        return None
    lines: dict[tuple[str, ...], list[tuple[float, Sequence[Result]]]] = {}
    for settings, own in groups.items():
        lines.setdefault((*settings[:place], *settings[place + 1 :]), []).append((number_of(settings[place]), own))
    names_of = labels(lines, [*keys[:place], *keys[place + 1 :]])  # type: ignore[arg-type]

    def draw(figure: Any, axes: Any) -> None:
        for name, axis in zip(told, axes, strict=True):
            for number, (settings, points) in enumerate(list(lines.items())[:MOST]):
                rows = [
                    (count, *mean_and_error(values))
                    for count, own in sorted(points, key=lambda point: point[0])
                    if (values := values_of(own, name))
                ]
                if rows:
                    x, mean, error = np.array(rows).T
                    dash = ("-", "--", ":")[number // 10 % 3]
                    axis.errorbar(
                        x,
                        mean,
                        1.96 * error,
                        fmt=f"o{dash}",
                        color=colour(number),
                        lw=1.2,
                        ms=4,
                        elinewidth=0.8,
                        label=names_of[settings],
                    )
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_xlabel(keys[place], fontsize=8)
            axis.set_title(f"gold at the {name}" if name in ("end", "peak") else name, loc="left", fontsize=8)
            axis.grid(lw=0.6)
        if len(lines) > 1:
            axes[-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=7)

    caption = f"Bars are 95 % intervals over seeds.{_limited(len(lines))}"
    height = max(2.6, 0.16 * min(len(lines), MOST))
    return Drawn("Over labels spent", caption, _panels(len(told), 3.6, height, draw, "Over labels spent"))


def _is_budget(values: Sequence[str]) -> bool:
    numbers = {number_of(value) for value in values}
    return len(numbers) > 1 and all(number > 0 for number in numbers)


def _accuracy(groups: Groups, keys: Sequence[str], names: Mapping[Any, str]) -> Drawn | None:
    told = {settings: own for settings, own in groups.items() if any(values_of(own, name) for name in MEASURED)}
    if not told:
        return None
    shown = list(told)[:MOST]

    def draw(figure: Any, axes: Any) -> None:
        (axis,) = axes
        handles: dict[str, Any] = {}
        for row, settings in enumerate(shown):
            for number, name in enumerate((*MEASURED, *CEILINGS)):
                if values := values_of(told[settings], name):
                    mean, error = mean_and_error(values)
                    measured = name in MEASURED
                    axis.plot(
                        [mean - 1.96 * error, mean + 1.96 * error], [row, row], color=colour(number), lw=3, alpha=0.35
                    ) if measured else None
                    (handles[name],) = axis.plot(
                        mean,
                        row,
                        "os||||"[number] if measured else "|",
                        color=colour(number),
                        ms=5 if measured else 12,
                        mew=1 if measured else 2,
                        ls="",
                    )
        axis.axvline(0.5, color=SOFT, lw=0.8, ls=":")
        axis.axvline(1.0, color=LINE, lw=0.8)
        axis.set_yticks(
            range(len(shown)), [textwrap.shorten(names[settings], 46, placeholder=" ...") for settings in shown]
        )
        axis.invert_yaxis()
        _legend(figure, {name: handles[name] for name in (*MEASURED, *CEILINGS) if name in handles})

    caption = (
        "Points are the reward model: its accuracy on held-out labels, and how often it orders two fresh answers as gold does, with intervals over seeds. Strokes are what bounds it: how often"
        " labels are gold's, what the best guess at a label of this reader comes to (Bayes), how often two annotators say the same. .5 is chance."
    )
    svg = _panels(1, 8.4, 0.26 * len(shown) + 0.6, draw, "Accuracy and its ceilings", foot=0.3)
    return Drawn("Accuracy and its ceilings", caption + _limited(len(told)), svg)


def _reliability(groups: Groups, keys: Sequence[str], names: Mapping[Any, str]) -> Drawn | None:
    told = {settings: found for settings, own in groups.items() if len(found := reliability_of(own))}
    if not told:
        return None
    shown = list(told)[:MOST]

    def draw(figure: Any, axes: Any) -> None:
        for settings, axis in zip(shown, axes, strict=True):
            foretold, observed, count = told[settings].T
            axis.plot([0, 1], [0, 1], ":", color=SOFT, lw=1)
            axis.plot(foretold, observed, color=colour(0), lw=1.2)
            axis.scatter(foretold, observed, 8 + 60 * count / max(count.sum(), 1), color=colour(0), zorder=3)
            axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1), aspect="equal")
            _title(axis, f"{names[settings]} ({count.sum():g} labels)", 25)
        _below(figure, "foretold probability that the first is better", 0.05)
        figure.supylabel("share observed", fontsize=8)

    caption = "On held-out labels of all seeds, in tenths of what was foretold; a larger point is more labels. On the diagonal a model means what it says."
    return Drawn(
        "Reliability", caption + _limited(len(told)), _panels(len(shown), 2.1, 2.1, draw, "Reliability", foot=0.25)
    )


def _others(groups: Groups, keys: Sequence[str], names: Mapping[Any, str]) -> Drawn | None:
    panels: dict[tuple[str, ...], list[tuple[str, list[str], Sequence[Result]]]] = {}
    for settings, own in groups.items():
        elsewhere = {"reliability"} | ({"gold", "roof", proxy_of(own)} if is_along_kl(own) else set())
        left = [
            name
            for name in dict.fromkeys(name for one in own for name in one["curves"])
            if name not in elsewhere and seeds_of(own, name)
        ]
        if left:
            panels.setdefault(settings[:1], []).append((", ".join(settings[1:]), left, own))
    if not panels:
        return None
    shown = list(panels.items())[:MOST]

    def draw(figure: Any, axes: Any) -> None:
        for (name, lines), axis in zip(shown, axes, strict=True):
            for number, (label, left, own) in enumerate(lines[:MOST]):
                for dash, curve in enumerate(left):
                    points = mean_curve(seeds_of(own, curve))
                    axis.plot(
                        *points.T,
                        ("-", "--", ":", "-.")[dash % 4],
                        color=colour(number),
                        lw=1,
                        label=f"{curve} {label}",
                    )
            axis.legend(frameon=False, fontsize=6)
            _title(axis, called(keys[0], *name) if name else "")

    caption = f"Means over seeds.{_limited(len(panels))}"
    return Drawn("Curves", caption, _panels(len(shown), 4.2, 3.0, draw, "Curves", 3))
