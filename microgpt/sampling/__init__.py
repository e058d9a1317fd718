"""Drawing the next token: random generators, and the slow, obvious reference that backends are tested against."""

from microgpt.sampling.reference import next_token
from microgpt.sampling.rng import GENERATORS, CounterGenerator, Generator, ReferenceGenerator, counter_start

__all__ = ["GENERATORS", "CounterGenerator", "Generator", "ReferenceGenerator", "counter_start", "next_token"]
