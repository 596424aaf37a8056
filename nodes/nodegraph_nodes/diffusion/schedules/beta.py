"""Quantiles of the beta distribution, in float64: the inverse of the regularised incomplete beta function.

Its continued fraction (Abramowitz & Stegun 26.5.8, evaluated after Lentz) inverted by bisection; scipy would be a large
dependency for one function.
"""

from math import lgamma

import numpy as np

from .process import Array

_HALVINGS = 70  # of [0, 1]: below what a double can tell apart
_TERMS = 200
_TINY = 1e-300


def beta_quantile(share: Array, a: float, b: float) -> Array:
    """x in 0..1 with P(X <= x) = share for X ~ Beta(a, b). share: 0..1, any shape.

    Good to 1e-15, absolute, for a and b from 0.1 to 100.
    """
    low, high = np.zeros_like(share), np.ones_like(share)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = beta_share(middle, a, b) < share
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(share <= 0, 0.0, np.where(share >= 1, 1.0, (low + high) / 2))


def beta_share(x: Array, a: float, b: float) -> Array:
    """I_x(a, b), the regularised incomplete beta function: the share of Beta(a, b) up to x. x: 0..1, any shape."""
    mirrored = x > (a + 1) / (a + b + 2)  # there the fraction converges slowly, and that of 1 - x quickly
    y = np.where(mirrored, 1 - x, x)
    first, second = np.where(mirrored, b, a), np.where(mirrored, a, b)
    with np.errstate(divide="ignore"):
        logarithm = first * np.log(y) + second * np.log1p(-y) + (lgamma(a + b) - lgamma(a) - lgamma(b))
    share = np.exp(logarithm) / first * _fraction(y, first, second)
    found: Array = np.where(mirrored, 1 - share, share)
    return found


def _fraction(x: Array, a: Array, b: Array) -> Array:
    """1 / (1 + d1 / (1 + d2 / (1 + ...))) by Lentz's method."""
    c = np.ones_like(x)
    d = 1 / _off_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = value
        for term in (even, odd):
            d = 1 / _off_zero(1 + term * d)
            c = _off_zero(1 + term / c)
            value = value * d * c
        if np.all(np.abs(value - before) <= 1e-15 * np.abs(value)):
            break
    return value


def _off_zero(value: Array) -> Array:
    return np.where(np.abs(value) < _TINY, _TINY, value)
