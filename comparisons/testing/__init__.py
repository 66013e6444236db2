"""Assertions for other people's tests: two frameworks' gradients are equal, or a message says where they are not."""

from comparisons.testing.arrays import as_numpy, flat
from comparisons.testing.gradients import SINGLE_TOLERANCE, GradientMismatch, assert_gradients_match
from comparisons.testing.losses import Agreement, assert_losses_match

__all__ = [
    "SINGLE_TOLERANCE",
    "Agreement",
    "GradientMismatch",
    "as_numpy",
    "assert_gradients_match",
    "assert_losses_match",
    "flat",
]
