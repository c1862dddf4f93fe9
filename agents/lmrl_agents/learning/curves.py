"""The learning curves of a run as a picture."""

from __future__ import annotations

from pathlib import Path

from lmrl_envs.files import JsonLines

SHOWN = ("loss", "return", "optimised", "evaluation_return", "evaluation_return_greedy", "value", "entropy", "kl_start")


def read_metrics(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of every number in a metrics file; damaged lines are left out."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for entry in JsonLines(path).read(dict[str, float | None]):
        for name, value in entry.items():
            if name != "step" and value is not None and entry.get("step") is not None:
                steps, values = found.setdefault(name, ([], []))
                steps.append(int(entry["step"] or 0))
                values.append(float(value))
    return found


def draw_curves(metrics: Path, picture: Path) -> bool:
    """Draw what was measured over the steps; False when matplotlib is not installed or there is nothing to draw."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        return False
    curves = {name: curve for name, curve in read_metrics(metrics).items() if name in SHOWN}
    if not curves:
        return False
    panels = [
        ["evaluation_return", "evaluation_return_greedy", "return"],
        *([name] for name in SHOWN if "return" not in name),
    ]
    panels = [kept for names in panels if (kept := [name for name in names if name in curves])]
    figure = Figure(figsize=(4.0 * len(panels), 3.0), layout="constrained")
    for position, names in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), position + 1)
        for name in names:
            axes.plot(*curves[name], label=name.replace("_", " "), marker="." if len(curves[name][0]) < 30 else None)
        axes.set_xlabel("step")
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    with rc_context({"svg.hashsalt": "lmrl"}):  # equal runs give equal files
        figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None)
    return True
