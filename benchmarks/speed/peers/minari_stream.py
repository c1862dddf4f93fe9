"""Minari's own iteration over episodes of text: episodes per CPU second of one thread.

Order: ``{"episodes": a JSON file, "folder": where to keep the dataset, "seconds": s}``; an episode is its texts in turn
(observations and actions), its rewards and whether it terminated. The dataset is written once, outside the clock.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import string
import time
from pathlib import Path
from typing import Any

from orders import serve

datasets: dict[str, Any] = {}


def written(order: dict[str, Any]) -> Any:
    os.environ["MINARI_DATASETS_PATH"] = str(Path(order["folder"]) / "minari")
    import minari
    import numpy as np
    from gymnasium.spaces import Text
    from minari.data_collector import EpisodeBuffer

    episodes = json.loads(Path(order["episodes"]).read_text())
    text = Text(8192, charset=string.printable)
    buffers = []
    for number, episode in enumerate(episodes):
        steps, ended = len(episode["rewards"]), episode["terminated"]
        last = np.arange(steps) == steps - 1
        buffers.append(
            EpisodeBuffer(
                id=number,
                observations=episode["texts"][::2],
                actions=episode["texts"][1::2],
                rewards=episode["rewards"],
                terminations=list(last & ended),
                truncations=list(last & (not ended)),
                infos={},
            )
        )
    return minari.create_dataset_from_buffers(
        "speed/wordle-v0", buffer=buffers, observation_space=text, action_space=text
    )


def answer(order: dict[str, Any]) -> dict[str, Any]:
    if order["episodes"] not in datasets:
        datasets[order["episodes"]] = written(order)
    data = datasets[order["episodes"]]
    count, started = 0, time.process_time()
    while (spent := time.process_time() - started) < order["seconds"]:
        for episode in data.iterate_episodes():
            count += len(episode.rewards) > 0
    return {"rate": count / spent, "version": importlib.metadata.version("minari")}


if __name__ == "__main__":
    serve(answer)
