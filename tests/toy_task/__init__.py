"""A task that lives outside the package: one folder, one row. docs/add-a-task.md walks through it."""

from lmrl_envs import Reference, Task, register_task

ROW = Task(
    id="toy/HotCold-v0",
    folder="toy_task",
    family="hot_cold",
    summary="Find a number from 1 to 100; every guess is answered higher or lower.",
    tags=("strategy",),
    return_range=(-7.0, 0.0),
    # Exact: bisection finds 2**k numbers at guess k + 1. Random: of 7 uniform guesses, (99/100)**i all miss after i.
    reference=Reference(
        random=-sum(0.99**i for i in range(1, 8)),
        optimum=-(sum(k * 2**k for k in range(6)) + 6 * 37) / 100,
    ),
)

register_task(ROW)
