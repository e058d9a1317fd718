"""Random generators: one uniform number per sampled token.

`default` is counter-based: a number depends on (seed, position) alone, so a sequence continues the same whoever
its neighbours are, however it was cut into bursts, and whether or not its beginning was computed here.
`reference` is the xorshift64 of the original implementation, for parity. For small seeds its first number is about
seed * 2^-34, so seed 42 nearly always picks the lowest id: it is not for everyday use.
"""

from typing import Protocol

_M64 = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, the increment of SplitMix64


class Generator(Protocol):
    """The random numbers of one sequence."""

    def uniform(self, position: int) -> float:
        """The number in [0, 1] for the token that will stand at `position`; called once per sampled token."""
        ...


def mix64(x: int) -> int:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014; Stafford's variant 13): a bijection on 64 bits."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _M64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _M64
    return x ^ (x >> 31)


def counter_start(seed: int) -> int:
    """Where in SplitMix64's stream a seed begins.

    Mixing the seed first puts neighbouring seeds (samples use seed, seed + 1, ...) at unrelated places.
    """
    return mix64((seed + _GOLDEN) & _M64)


def reference_state(seed: int, num_draws: int) -> int:
    """Where `reference` is after so many draws."""
    state = seed or 1
    for _ in range(num_draws):
        state ^= (state << 13) & _M64
        state ^= state >> 7
        state ^= (state << 17) & _M64
    return state


class CounterGenerator:
    """`default`: SplitMix64's stream from `counter_start`, indexed by position."""

    def __init__(self, seed: int):
        self._start = counter_start(seed)

    def uniform(self, position: int) -> float:
        """53 bits in [0, 1)."""
        return (mix64((self._start + (position + 1) * _GOLDEN) & _M64) >> 11) * 2.0**-53


class ReferenceGenerator:
    """`reference`: xorshift64 (13, 7, 17; Marsaglia 2003), state = seed, 0 meaning 1; depends on the draws so far."""

    def __init__(self, seed: int):
        self._state = reference_state(seed, 0)

    def uniform(self, position: int) -> float:
        """float64(state) / 2^64 after one advance; may round to 1.0."""
        self._state = reference_state(self._state, 1)
        return float(self._state) / 2.0**64


GENERATORS = {"default": CounterGenerator, "reference": ReferenceGenerator}
