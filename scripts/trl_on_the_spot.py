"""A small random model, its words and its prompts, made here: TRL trains it on a CPU in seconds, and nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig, GRPOTrainer

WORDS = [f"w{i}" for i in range(60)]
SPECIAL = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
GENERATIONS = 4


def brevity(completions: list[str], **_: Any) -> list[float]:
    """The shorter the better."""
    return [-len(text.split()) / 8 for text in completions]


def likes_even(completion_ids: list[list[int]], **_: Any) -> list[float | None]:
    """The share of even tokens; silent on completions that begin with a token below 20."""
    return [None if ids[0] < 20 else sum(token % 2 == 0 for token in ids) / len(ids) for ids in completion_ids]


def judge(completions: list[str], **_: Any) -> list[float]:
    """Of weight 0: an audit."""
    return [float("w7" in text) for text in completions]


def trainer(folder: Path, of: type = GRPOTrainer, **options: Any) -> Any:
    """A trainer that is ready to train; it writes its model and checkpoints below a folder of its own. options: of GRPOConfig."""
    vocabulary = {word: i for i, word in enumerate(SPECIAL.values())} | {word: i for i, word in enumerate(WORDS, 3)}
    tokens = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL["unk_token"]))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    shape = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    torch.manual_seed(0)
    place = folder / "model"  # TRL loads it once more, as the reference
    config = Qwen2Config(vocab_size=len(vocabulary), eos_token_id=1, pad_token_id=0, bos_token_id=None, **shape)
    Qwen2ForCausalLM(config).save_pretrained(place)
    given: dict[str, Any] = {
        "output_dir": str(folder / "checkpoints"), "run_name": "tiny", "max_steps": 3, "logging_steps": 1, "report_to": "none",
        "per_device_train_batch_size": 4, "num_generations": GENERATIONS, "gradient_accumulation_steps": 2, "save_strategy": "no",
        "max_completion_length": 8, "beta": 0.04, "learning_rate": 1e-2, "use_cpu": True, "bf16": False, "seed": 0,
        "reward_weights": [1.0, 0.5, 0.0],
    }  # fmt: skip
    return of(
        model=str(place),
        reward_funcs=[brevity, likes_even, judge],
        args=GRPOConfig(**given | options),
        train_dataset=Dataset.from_list([{"prompt": " ".join(WORDS[i : i + 3])} for i in range(24)]),
        processing_class=PreTrainedTokenizerFast(tokenizer_object=tokens, **SPECIAL),
    )
