"""The policy: an autoregressive softmax over the vocabulary, linear in three one-hot features of the context.

    logits = W[prompt, answering] + W[previous token, answering] + W[position bucket]

where `answering` says whether ANSWER has been written. The weights are one matrix (features, V) that callers hold;
`Policy` is only its shape, so the same object evaluates the trained weights and the frozen reference. A context is
three row numbers of that matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .environment import ANSWER, EOS, PROMPTS, WORDS, Completions

_BUCKET_TOKENS = 4


@dataclass(frozen=True)
class Policy:
    """The shape of the weights, and what can be computed with weights of this shape."""

    max_tokens: int
    prompts: int = len(PROMPTS)
    vocabulary: int = len(WORDS)

    @property
    def features(self) -> int:
        """Rows of the weight matrix."""
        return 2 * (self.prompts + self.vocabulary) + -(-self.max_tokens // _BUCKET_TOKENS)

    def contexts(
        self, prompts: np.ndarray, previous: np.ndarray, answering: np.ndarray, positions: np.ndarray | int
    ) -> np.ndarray:
        """Rows of the weights that make the next token's logits, int (..., 3). Before the first token stands EOS."""
        prompt = 2 * prompts + answering
        word = 2 * (self.prompts + previous) + answering
        bucket = 2 * (self.prompts + self.vocabulary) + positions // _BUCKET_TOKENS
        return np.stack(np.broadcast_arrays(prompt, word, bucket), axis=-1)

    def log_probs(self, weights: np.ndarray, contexts: np.ndarray) -> np.ndarray:
        """Log-probabilities of the next token in nats, (m, V), from contexts (m, 3)."""
        logits = weights[contexts].sum(axis=1)
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def backward(self, contexts: np.ndarray, logit_gradient: np.ndarray) -> np.ndarray:
        """The gradient of the weights, (features, V), from that of the logits, (m, V)."""
        cells = contexts[:, :, None] * self.vocabulary + np.arange(self.vocabulary)
        spread = np.broadcast_to(logit_gradient[:, None, :], cells.shape)
        summed = np.bincount(cells.ravel(), spread.ravel(), minlength=self.features * self.vocabulary)
        return summed.reshape(self.features, self.vocabulary)

    def sample(self, weights: np.ndarray, prompts: np.ndarray, rng: np.random.Generator) -> Completions:
        """One completion for each of `prompts`, int (n,), sampled at temperature 1."""
        tokens = np.full((len(prompts), self.max_tokens), EOS)
        previous = np.full(len(prompts), EOS)
        running = np.ones(len(prompts), bool)
        answering = np.zeros(len(prompts), bool)
        for position in range(self.max_tokens):
            probs = np.exp(self.log_probs(weights, self.contexts(prompts, previous, answering, position)))
            # A draw for every row, ended or not: a completion depends on its own uniforms only.
            draws = (probs.cumsum(axis=1) < rng.random((len(prompts), 1))).sum(axis=1)
            previous = np.where(running, np.minimum(draws, self.vocabulary - 1), EOS)
            tokens[:, position] = previous
            running &= previous != EOS
            answering |= previous == ANSWER
        return Completions.of(tokens)

    def written(self, prompts: np.ndarray, completions: Completions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every written token, m in all: its completion, int (m,), its context, int (m, 3), and itself, int (m,)."""
        tokens = completions.tokens
        previous = np.concatenate([np.full((len(tokens), 1), EOS), tokens[:, :-1]], axis=1)
        answering = np.cumsum(previous == ANSWER, axis=1) > 0
        positions = np.arange(tokens.shape[1])
        contexts = self.contexts(prompts[:, None], previous, answering, positions)
        written = positions < completions.lengths[:, None]
        return np.nonzero(written)[0], contexts[written], tokens[written]


class Adam:
    """Adam (Kingma and Ba, 1412.6980) for one array."""

    def __init__(self, size: tuple[int, ...], learning_rate: float, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        self.learning_rate = learning_rate
        self.betas = betas
        self.mean = np.zeros(size)
        self.square = np.zeros(size)
        self.updates = 0

    def step(self, gradient: np.ndarray) -> np.ndarray:
        """What to add to the weights, of the gradient's shape."""
        self.updates += 1
        first, second = self.betas
        self.mean += (1 - first) * (gradient - self.mean)
        self.square += (1 - second) * (gradient**2 - self.square)
        mean = self.mean / (1 - first**self.updates)
        square = self.square / (1 - second**self.updates)
        return -self.learning_rate * mean / (np.sqrt(square) + 1e-8)
