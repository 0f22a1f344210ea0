"""Samples, failures and settings that the tests of statistics share."""

import itertools
import math

import numpy as np
from hypothesis import settings

INF = math.inf
NAN = math.nan
quick = settings(deadline=None, max_examples=60, derandomize=True, database=None)


def sample(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


SEEDS_OF_3 = list(itertools.product(range(3), repeat=3))
