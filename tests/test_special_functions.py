"""The incomplete beta function and the quantiles of verdicts, held against SciPy's."""

from __future__ import annotations

import pytest
from scipy import special, stats

from astraguard_store.verdict.special import (
    beta_cdf,
    beta_quantile,
    t_cdf,
    t_quantile,
)

EXACT = 1e-8
SHAPES = [(a, b) for a in (0.5, 1, 3, 20, 500, 1e5) for b in (0.5, 1, 4, 100, 3e4)]
DEGREES = (1, 2, 3, 4.5, 7, 11, 30, 200, 1e4)
TAILS = (1e-6, 0.001, 0.01, 0.2, 0.4, 0.4999, 0.5, 0.6, 0.74, 0.76, 0.9, 0.975, 0.999, 0.99999)


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("x", [0.0, 1e-9, 0.05, 0.3, 0.5, 0.97, 1.0])
def test_the_incomplete_beta_function_is_scipys(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), abs=EXACT)


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("p", [1e-6, 0.025, 0.5, 0.95, 0.999])
def test_a_quantile_of_beta_is_scipys(p: float, a: float, b: float) -> None:
    assert beta_quantile(p, a, b) == pytest.approx(special.betaincinv(a, b, p), rel=EXACT)


def test_the_quantiles_at_the_ends_of_beta_are_its_ends() -> None:
    assert (beta_quantile(0.0, 2, 3), beta_quantile(1.0, 2, 3)) == (0.0, 1.0)


@pytest.mark.parametrize("df", DEGREES)
@pytest.mark.parametrize("p", TAILS)
def test_a_quantile_of_t_is_scipys(p: float, df: float) -> None:
    assert t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=EXACT, abs=EXACT)


@pytest.mark.parametrize("df", DEGREES)
@pytest.mark.parametrize("t", [-40.0, -2.5, 0.0, 0.3, 3.0])
def test_the_distribution_of_t_is_scipys(t: float, df: float) -> None:
    assert t_cdf(t, df) == pytest.approx(stats.t.cdf(t, df), abs=EXACT)
