"""The learning rate of each step: linear warm-up, then linear decay to zero."""


def learning_rate(step: int, steps: int, peak: float, warmup_steps: int) -> float:
    """The rate of step `step` in [0, steps): peak * (step + 1) / warmup_steps at first, then down towards 0.

    Linear decay all the way to zero beats a cosine that stops at a tenth for runs of a fixed length
    (Bergsma et al. 2025, "Straight to Zero").
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return peak * (steps - step) / (steps - warmup_steps)
