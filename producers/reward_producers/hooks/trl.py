"""TRL's GRPOTrainer, watched by one line: `reward_monitor.watch(trainer)`. Checked with trl 1.16, transformers 5.24, torch 2.15.

What is read: arguments and results of the trainer's own `_calculate_rewards` and `_generate_and_score_completions`, and
`_metrics`. The trainer has synchronised with its device by then, for its own metrics; there are no collective calls here, and
nothing that the training computes with is touched.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

from reward_schemas.events import RewardFunction, Role
from transformers import TrainerCallback

from reward_producers.reporter import Reporter, start_run

log = logging.getLogger("reward_monitor")

_REWARDS_TAKE = ["inputs", "prompts", "completions", "completion_ids_list"]
_EACH_STEP = {"kl": "kl", "entropy": "entropy", "clip_ratio/region_mean": "clip_fraction"}  # TRL's names, and ours
_WHEN_LOGGED = ("loss", "grad_norm", "learning_rate")


def watch(trainer: Any, *, project: str | None = None, **options: Any) -> Reporter | None:
    """Reports a GRPOTrainer's completions, rewards and scalars; to be called before `trainer.train()`, on every rank.

    project: by default the run's name, or its output directory's. options: as of `start_run`; several ranks need one run id,
    by REWARD_MONITOR_RUN_ID or `run_id`. A reward function of weight 0 is an audit: measured, and not trained. Steps are TRL's own:
    what is generated for its first optimizer step is of step 1. What every reward function returned None for is missing. The
    run ends with the training. Evaluations are not reported.

    It never raises into the training: where no run can be started, there is one warning, and None is returned; of a trainer whose
    methods it doesn't know, the scalars alone are reported, with one warning.
    """
    try:
        run = _run(trainer, project, options)
    except Exception as error:  # noqa: BLE001 - of whatever trainer this is; it must train on
        log.warning("the training isn't watched: %s: %s", type(error).__name__, error)
        return None
    watching = _Watching(trainer, run)
    if unknown := _unknown(trainer):
        log.warning("%s: %s: only its scalars are reported; completions are with trl 1.16", type(trainer).__name__, unknown)
    else:
        watching.wrap()
    trainer.add_callback(watching)
    return run


def _run(trainer: Any, project: str | None, options: Mapping[str, Any]) -> Reporter:
    args, accelerator = trainer.args, trainer.accelerator
    given: dict[str, Any] = {
        "rank": accelerator.process_index,
        "world_size": accelerator.num_processes,
        "trainer": f"trl.{type(trainer).__name__}",
        "config": args.to_sanitized_dict(),
    }
    functions = [
        RewardFunction(name, weight, Role.TRAINED) if weight else RewardFunction(name, 0.0, Role.AUDIT)
        for name, weight in zip(_names(trainer), trainer.reward_weights.tolist(), strict=True)
    ]
    return start_run(project or args.run_name or Path(args.output_dir or "trl").name, functions, **given | dict(options))


def _names(trainer: Any) -> list[str]:
    """The reward functions' names; of several that are called the same, with their places."""
    names = list(trainer.reward_func_names)
    return [name if names.count(name) == 1 else f"{name} {place}" for place, name in enumerate(names)]


def _unknown(trainer: Any) -> str:
    """What keeps completions from being read; "": nothing."""
    for method in ("_calculate_rewards", "_generate_and_score_completions"):
        if not callable(getattr(trainer, method, None)):
            return f"it has no {method}"
    taken = list(inspect.signature(trainer._calculate_rewards).parameters)
    return "" if taken == _REWARDS_TAKE else f"_calculate_rewards takes {', '.join(taken)}"


class _Watching(TrainerCallback):  # type: ignore[misc]  # transformers isn't installed where types are checked
    """What is noted between the trainer's calls."""

    def __init__(self, trainer: Any, run: Reporter) -> None:
        self._trainer, self._run = trainer, run
        self._names = _names(trainer)
        self._ids: list[list[int]] = []  # of the completions that were scored last
        self._rewards: Any = None  # theirs, of all ranks
        self._step, self._groups = -1, 0  # that a rollout was reported of last, and how many groups it had by then
        self._read: dict[str, int] = {}  # of each of the trainer's lists of metrics, how many were reported
        self._failed = False

    def wrap(self) -> None:
        """Listens to the trainer's own two methods."""
        trainer = self._trainer
        trainer._calculate_rewards = self._after(trainer._calculate_rewards, self._scored)
        trainer._generate_and_score_completions = self._after(trainer._generate_and_score_completions, self._generated)

    def _after(self, method: Callable[..., Any], tell: Callable[[Mapping[str, Any], Any], None]) -> Callable[..., Any]:
        signature = inspect.signature(method)

        @wraps(method)
        def listened(*given: Any, **named: Any) -> Any:
            result = method(*given, **named)
            if self._trainer.model.training:
                self._safely(lambda: tell(signature.bind(*given, **named).arguments, result))
            return result

        return listened

    def _safely(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception as error:  # noqa: BLE001 - a trainer's internals are not what they were; it must train on
            if not self._failed:
                log.warning("what the trainer did can't be read, this is said once: %s: %s", type(error).__name__, error)
            self._failed = True

    def _scored(self, given: Mapping[str, Any], rewards: Any) -> None:
        self._ids, self._rewards = given["completion_ids_list"], rewards

    def _generated(self, _: Mapping[str, Any], output: Mapping[str, Any]) -> None:
        trainer, n = self._trainer, len(self._ids)
        first, size = trainer.accelerator.process_index * n, trainer.num_generations
        step = trainer.state.global_step + 1
        # Several batches may be generated for one optimizer step; TRL counts micro-steps in `_step`.
        accumulated = trainer.current_gradient_accumulation_steps
        every = trainer.args.steps_per_generation * trainer.num_iterations
        if step != self._step:
            self._step, self._groups = step, 0
        mine = self._rewards[first : first + n].tolist()
        mask = output.get("tool_mask")
        ends = {*_eos(trainer), trainer._tokenizer.pad_token_id}
        self._run.log_rollout(
            step,
            # NaN is what TRL makes of None
            rewards={name: [None if row[i] != row[i] else row[i] for row in mine] for i, name in enumerate(self._names)},
            groups=[self._groups + (first + i) // size for i in range(n)],
            lengths=[len(ids) for ids in self._ids] if mask is None else mask.sum(1),
            advantages=output["advantages"].detach(),
            truncated=[ids[-1] not in ends for ids in self._ids],
            more=trainer._step % accumulated + every < accumulated,
            group_size=size if n % size else None,  # some are spread over ranks
        )
        self._groups += -(-n * trainer.accelerator.num_processes // size)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Reports what the optimizer step was told of by TRL itself, as means over its micro-steps."""
        if self._run.rank == 0:
            self._safely(lambda: self._tell_step(state.global_step))

    def _tell_step(self, step: int) -> None:
        told = {}
        for name, ours in _EACH_STEP.items():
            values = self._trainer._metrics["train"].get(name, ())
            new = values[self._read.get(name, 0) :]
            self._read[name] = len(values)
            if new:
                told[ours] = sum(new) / len(new)
        self._run.log_trainer(step, **told)

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float] | None = None, **_: Any) -> None:
        """Reports what is known when TRL logs: means since it did last."""
        if self._trainer.model.training:  # after this call TRL empties what `_read` counts
            self._read.clear()
        if self._run.rank == 0 and (told := {name: (logs or {})[name] for name in _WHEN_LOGGED if name in (logs or {})}):
            self._safely(lambda: self._run.log_trainer(state.global_step, **told))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ends the run."""
        self._safely(lambda: log.info("%s", self._run.finish()))


def _eos(trainer: Any) -> list[int]:
    """The tokens that end a completion."""
    return list(trainer.eos_token_ids) if hasattr(trainer, "eos_token_ids") else [trainer.eos_token_id]
