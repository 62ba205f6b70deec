"""GRPO's loss and its gradient (Shao et al., 2402.03300), for one rank's batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .environment import Completions
from .policy import Policy


def group_advantages(total: np.ndarray, group_size: int) -> np.ndarray:
    """(T - mean) / (std + 1e-4) within each group of adjacent completions, (n,); the std with ddof 1."""
    groups = np.asarray(total, float).reshape(-1, group_size)
    centred = groups - groups.mean(axis=1, keepdims=True)
    return (centred / (groups.std(axis=1, ddof=1, keepdims=True) + 1e-4)).ravel()


def k3(logp: np.ndarray, reference_logp: np.ndarray) -> np.ndarray:
    """Per-token estimate of KL(policy || reference) in nats, never negative: e^d - d - 1, d = log ref - log policy.

    Schulman, "Approximating KL Divergence" (2020), http://joschu.net/blog/kl-approx.html.
    """
    d = reference_logp - logp
    return np.expm1(d) - d


@dataclass(frozen=True)
class WrittenTokens:
    """A batch as the loss sees it: the m tokens that the sampled completions consist of."""

    contexts: np.ndarray
    """int (m, 3)"""
    tokens: np.ndarray
    """int (m,)"""
    shares: np.ndarray
    """(m,), sums to 1: every completion weighs the same, and within it every token"""
    advantages: np.ndarray
    """(m,), the completion's"""
    sampling_logp: np.ndarray
    """(m,), nats, under the weights that sampled"""
    reference_logp: np.ndarray
    """(m,), nats"""

    @classmethod
    def of(
        cls,
        policy: Policy,
        prompts: np.ndarray,
        completions: Completions,
        advantages: np.ndarray,
        *,
        sampling: np.ndarray,
        reference: np.ndarray,
    ) -> WrittenTokens:
        """From n completions with their prompts and advantages; `sampling` and `reference` are weights."""
        rows, contexts, tokens = policy.written(prompts, completions)
        chosen = np.arange(len(tokens)), tokens
        return cls(
            contexts=contexts,
            tokens=tokens,
            shares=1.0 / (len(prompts) * completions.lengths[rows]),
            advantages=advantages[rows],
            sampling_logp=policy.log_probs(sampling, contexts)[chosen],
            reference_logp=policy.log_probs(reference, contexts)[chosen],
        )


class Loss(NamedTuple):
    """The loss at some weights, and what it is made of."""

    gradient: np.ndarray
    """(features, V)"""
    loss: float
    kl: float
    """mean of k3 over the tokens: nats per token"""
    entropy: float
    """of the policy, exact, mean over the tokens: nats per token"""
    clip_fraction: float
    """share of the tokens whose policy gradient the clipping removed"""


def grpo_loss(policy: Policy, weights: np.ndarray, batch: WrittenTokens, *, clip: float, beta: float) -> Loss:
    """Sum over the tokens of share * (beta * k3 - min(r A, clamp(r, 1 - clip, 1 + clip) A)), r = p / p when sampled."""
    logp = policy.log_probs(weights, batch.contexts)
    probs = np.exp(logp)
    chosen = np.arange(len(batch.tokens)), batch.tokens
    ratio = np.exp(logp[chosen] - batch.sampling_logp)
    gain = ratio * batch.advantages
    bounded = np.clip(ratio, 1 - clip, 1 + clip) * batch.advantages
    divergence = k3(logp[chosen], batch.reference_logp)
    loss = batch.shares @ (beta * divergence - np.minimum(gain, bounded))

    # d loss / d log p(token), then through the softmax: d log p(token) / d logits = one-hot - probs.
    clipped = bounded < gain
    k3_slope = -np.expm1(batch.reference_logp - logp[chosen])
    slope = batch.shares * (beta * k3_slope - np.where(clipped, 0.0, gain))
    by_logits = -slope[:, None] * probs
    by_logits[chosen] += slope
    return Loss(
        gradient=policy.backward(batch.contexts, by_logits),
        loss=float(loss),
        kl=float(divergence.mean()),
        entropy=float(-(probs * logp).sum(axis=1).mean()),
        clip_fraction=float(clipped.mean()),
    )
