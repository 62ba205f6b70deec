"""A trainer that keeps its own tensors. As a program it trains one watched run, a rank of several: `torchrun tiny.py DIR`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from trl import GRPOTrainer

import reward_monitor
from scripts import trl_on_the_spot


class Recording(GRPOTrainer):  # type: ignore[misc]  # trl isn't installed where types are checked
    """Keeps rewards, advantages and lengths of every batch, for a comparison."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.kept: list[dict[str, Any]] = []

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Any:
        self.rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        return self.rewards

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        rewards = dict(zip(self.reward_func_names, self.rewards.T.tolist(), strict=True))  # of all ranks
        lengths = output["completion_mask"].sum(1).tolist()
        self.kept.append({"advantages": output["advantages"].tolist(), "lengths": lengths, "rewards": rewards})
        return output


def main() -> None:
    """Trains one watched run."""
    folder, rank = Path(sys.argv[1]), os.environ["RANK"]
    made = trl_on_the_spot.trainer(folder / f"of-{rank}", Recording, per_device_train_batch_size=2)
    reward_monitor.watch(made, mode="offline", data_dir=folder, run_id="two")
    made.train()
    torch.save(made.kept, folder / f"kept-{rank}.pt")


if __name__ == "__main__":
    main()
