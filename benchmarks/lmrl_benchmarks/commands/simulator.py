"""``lmrl simulator ...``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import gymnasium
from rich.table import Table
from tyro.conf import OmitArgPrefixes, Positional, arg

from lmrl_agents.settings import KeyValues
from lmrl_benchmarks.commands.terminal import ON_TERMINAL, Listing, shown, wide_console
from lmrl_envs.work import progress_bar

if TYPE_CHECKING:
    from lmrl_benchmarks.scores.judged import Report


def train(
    out: Path,
    env: str | None = None,
    policy: str | None = None,
    data: str | None = None,
    sample: bool = False,
    episodes: int | None = None,
    model: str | None = None,
    overrides: Annotated[KeyValues, arg(name="set")] = {},
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
) -> int:
    """Train a local language model as the partner of a dialogue task, and measure how often it agrees with the scripted partner on turns and
    secrets that it was not trained on. Play against it with --simulator transformers:OUT.

    The turns are those of a dataset (--data), or of games played on the spot (--env). With --env alone everything else has values that give a
    usable small model in a few minutes on one CPU core.

    Args:
        out: A new folder for the model and agreement.json.
        env: Task id; the turns are those of games of its --policy.
        policy: Policy that plays these games.
        data: Dataset name or folder of a dialogue task, instead of --env.
        sample: Take the dataset's sample that ships with the package.
        episodes: Episodes to train on at most.
        model: Folder or hub id of a causal model to fine-tune; without it a small one is made, with a tokenizer of its own.
        overrides: Settings in place of the task's preset, as name=value (epochs=3, layers=4, balance=0.5, holdout_secrets=0).
        seed: Seed of the games, the split, the weights and the order.
        device: Where to train.
        threads: CPU threads; one is fastest for small models.
    """
    import torch

    from lmrl_agents.partners.data import partner_episodes, partner_preset, played_episodes
    from lmrl_agents.partners.training import PartnerTraining, train_partner
    from lmrl_datasets import load_dataset
    from lmrl_envs import load_task, task, task_ids

    if (env is None) == (data is None):
        raise ValueError("name either --env (games are played on the spot) or --data (a dataset)")
    if data is not None and policy is not None:
        raise ValueError(f"--policy {policy} goes with --env; the games of {data} are recorded already")
    dataset = load_dataset(data, sample=sample)[: episodes or 1000] if data is not None else None
    env_id = dataset.env_id if dataset is not None else load_task(str(env)).spec
    preset = partner_preset(env_id)
    partner_prompt = getattr(gymnasium.make(task(env_id).id).unwrapped, "partner_prompt", None)
    if partner_prompt is None or (preset is None and dataset is None):
        able = ", ".join(id for id in task_ids() if partner_preset(id))
        raise ValueError(f"{env_id} has no partner that a language model could play; tasks with one: {able}")
    config = PartnerTraining.of(overrides, preset.settings if preset and model is None else {}, model, seed, device)
    if dataset is not None:
        heard = partner_episodes(dataset)
    else:
        assert preset is not None
        heard = played_episodes(env_id, policy or preset.policy, episodes or preset.episodes, seed)
    torch.set_num_threads(threads)
    report = train_partner(heard, partner_prompt, out, config, show_progress=True)
    for key, value in dataclasses.asdict(report).items():
        print(f"{key}: {value}")
    print(f'simulator in {out}: gym.make("{env_id}", simulator="transformers:{out}")')
    return 0


def check(
    simulator: Positional[str],
    env: tuple[str, ...] = (),
    data: Path | None = None,
    simulator_arg: KeyValues = {},
    env_arg: KeyValues = {},
    rows: int | None = None,
    least: float | None = None,
    misses: int = 0,
    threads: int = 1,
    listing: OmitArgPrefixes[Listing] = ON_TERMINAL,
) -> int:
    """Measure how often a partner is right: it is asked hand-judged questions (or hears hand-judged lines of a seller) that ship with the
    tasks, and its replies are compared with what people expect. Shares come with Wilson's 95 % interval.

    Exit status 1 when a share of right replies is below --least.

    Args:
        simulator: Who is measured: scripted, transformers:PATH, openai:MODEL, replay:FILE.
        env: Task ids; without it all tasks with judged lines.
        data: Other judged lines, a file of the same form; with one task.
        simulator_arg: Options of the simulator, as key=value (base_url=..., max_new_tokens=..., record=FILE).
        env_arg: Arguments of the environment, as key=value.
        rows: Only so many of the lines, drawn evenly from all.
        least: Least share of right replies.
        misses: Print so many of the replies that were not right, for each task.
        threads: CPU threads of a local model.
        listing: How counts, shares and intervals per task and kind of line are told; as JSON with every reply that was not right.
    """
    from lmrl_benchmarks.scores.judged import measure
    from lmrl_envs import load_task, task, task_ids
    from lmrl_envs.partners.judged import read_rows

    if data is not None and len(env) != 1:
        raise ValueError("--data needs exactly one task: --env ID")
    if rows is not None and rows < 1:
        raise ValueError(f"--rows {rows} must be at least 1")
    if simulator.startswith("transformers:"):
        import torch

        torch.set_num_threads(threads)
    ids = [load_task(id).id for id in env] or [id for id in task_ids() if task(id).surface.judge() is not None]
    kwargs = {**env_arg, "simulator": simulator, "simulator_options": dict(simulator_arg)}
    reports = []
    for id in ids:
        lines = read_rows(id, data)
        lines = lines[:: max(1, len(lines) // rows)][:rows] if rows is not None else lines
        with progress_bar(f"{id} with {simulator}", "lines") as tell:
            reports.append(measure(id, lines, tell, **kwargs))
    whole = {"simulator": simulator, "tasks": [report.as_json() for report in reports]}
    if not listing.tells([row for report in reports for row in report.rows()], whole):
        _print_reports(simulator, reports, misses)
    return 1 if least is not None and any(report.share("right") < least for report in reports) else 0


def _print_reports(simulator: str, reports: Sequence[Report], misses: int) -> None:
    """A table of counts and shares, and some of the replies that were not right."""
    console = wide_console()
    table = Table(title=shown(f"{simulator} against people's answers"), title_justify="left")
    table.add_column("task", no_wrap=True)
    for column in ("lines", "right", "95 %", "wrong", "95 %", "not understood", "no reply", "not said"):
        table.add_column(column, justify="right", no_wrap=True)
    for report in reports:
        found = report.as_json()
        shares = []
        for verdict in ("right", "wrong"):
            low, high = found[verdict]["interval"]
            shares += [f"{100 * found[verdict]['share']:.1f} %", f"{100 * low:.1f} to {100 * high:.1f}"]
        rest = (found["unread"]["count"], found["failed"]["count"], found["skipped"])
        table.add_row(report.env.removeprefix("lmrl/"), str(report.lines), *shares, *map(str, rest))
    console.print(table)
    for report in reports:
        for miss in report.misses[:misses]:
            hidden = {
                key: value for key, value in miss.row.items() if key not in ("context", "question", "line", "kind")
            }
            console.print(shown(f"{report.env} {hidden}: {miss.line!r} -> {miss.reply!r} ({miss.verdict})"))
