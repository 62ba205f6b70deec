"""The natural logarithm from operations that every processor rounds alike: numpy's own has other last digits on AVX-512."""

from __future__ import annotations

import numpy as np

_LN2 = 0.6931471805599453
_TERMS = tuple(1.0 / n for n in range(21, 0, -2))  # of 2 artanh(z) = 2 (z + z^3/3 + z^5/5 + ...); |z| < 0.172


def ln(x: np.ndarray) -> np.ndarray:
    """float64[...] of finite numbers above 0, within 4e-16 of it or of 1.

    >>> float(ln(np.array([8.0]))[0]) == 3 * np.log(2)
    True
    """
    mantissa, exponent = np.frexp(x)
    low = mantissa < 0.7071067811865476
    mantissa, exponent = np.where(low, 2.0 * mantissa, mantissa), exponent - low
    z = (mantissa - 1.0) / (mantissa + 1.0)
    square, series = z * z, np.zeros_like(z)
    for term in _TERMS:
        series = series * square + term
    return exponent * _LN2 + 2.0 * z * series


_OF_WHOLE = np.concatenate([np.zeros(1), ln(np.arange(1.0, 2**16))])


def ln_whole(n: np.ndarray) -> np.ndarray:
    """float64[...] of whole numbers; 0 for 0 and below."""
    n = np.maximum(n, 0)
    return _OF_WHOLE[n] if n.size and n.max() < len(_OF_WHOLE) else ln(np.maximum(n, 1).astype(np.float64))
