"""The catalogue of detectors: what is asked of a run after each block. A new one is a row here and its function."""

from __future__ import annotations

from reward_engine.detectors.divergence import component_divergence, takeover, trained_audit_split
from reward_engine.detectors.finding import AUDIT, SIGNAL, Detector
from reward_engine.detectors.length import length_exploitation, truncation
from reward_engine.detectors.policy import mode_collapse, off_policy, over_optimisation, saturation, train_eval_gap
from reward_engine.detectors.shape import new_mode, sudden_jump
from reward_engine.detectors.signal import advantage_collapse, signal_integrity

DETECTORS: tuple[Detector, ...] = (
    Detector(
        "signal integrity",
        SIGNAL,
        signal_integrity,
        "rewards of the last block that are missing, not finite, out of the declared range, or constant where they varied",
        shown_by="low",
    ),
    Detector(
        "advantage collapse",
        SIGNAL,
        advantage_collapse,
        "groups whose rewards are all equal, so that nothing can be learned from them, beyond what chance makes",
        not_means="cheating: what is solved is flat as well, and is said to be so",
        times=3,
        source="DAPO 2503.14476",
        shown_by="flat",
    ),
    Detector(
        "off-policy",
        SIGNAL,
        off_policy,
        "importance weights that few completions carry",
        source="Kish 1965",
    ),
    Detector(
        "trained-audit split",
        AUDIT,
        trained_audit_split,
        "the total holds or rises while an audit falls, or what is rewarded more within groups is worse by the audit",
        gated=True,
        source="Gao et al. 2210.10760; Pan et al. 2201.03544; Price 1970",
        shown_by="low",
    ),
    Detector(
        "train-eval gap",
        AUDIT,
        train_eval_gap,
        "the training's reward rises away from that of an evaluation",
        gated=True,
        source="Helff et al. 2604.15149",
    ),
    Detector(
        "component divergence",
        "components",
        component_divergence,
        "one trained function rises while another falls",
        not_means="a fault by itself: what is weighted more may be bought with what is weighted less",
        gated=True,
        shown_by="low",
    ),
    Detector(
        "takeover",
        "components",
        takeover,
        "one function drives nearly all of the advantages, and didn't before",
        not_means="cheating where the others are solved",
        gated=True,
        source="GDPO 2601.05242",
    ),
    Detector(
        "length exploitation",
        "length",
        length_exploitation,
        "completions get longer, and what length is paid explains what the total gained",
        not_means="cheating where longer reasoning is better, which an audit would tell",
        gated=True,
        source="Singhal et al. 2310.03716; ODIN 2402.07319",
    ),
    Detector(
        "truncation",
        "length",
        truncation,
        "many completions are cut off, more than before",
        gated=True,
        source="DAPO 2503.14476",
    ),
    Detector(
        "mode collapse",
        "policy",
        mode_collapse,
        "completions of a group repeat each other, more than before",
        gated=True,
    ),
    Detector(
        "saturation",
        "policy",
        saturation,
        "a function is at its upper end nearly always while the policy has lost its entropy",
        not_means="cheating where the task is mastered",
        gated=True,
        source="Cui et al. 2505.22617",
    ),
    Detector(
        "over-optimisation",
        "policy",
        over_optimisation,
        "KL rises and the total gains nothing by it",
        source="Gao et al. 2210.10760",
    ),
    Detector(
        "sudden jump",
        "policy",
        sudden_jump,
        "rewards of a function jump from one step to the next ones",
        not_means="cheating: another dataset or judge does the same",
    ),
    Detector(
        "new mode",
        "policy",
        new_mode,
        "rewards of a function split into two modes",
        gated=True,
        source="Sarle's coefficient, SAS/STAT",
    ),
)
BY_NAME = {detector.name: detector for detector in DETECTORS}
