"""Training loops where several losses meet: what is differentiated, what is logged, and when the step comes.

Each takes parameters and batches, and returns `(params, log)`: new parameters (the given ones stay as they were), and
what was logged at each step. A `_wrong` loop is the common mistake, kept to be shown.
"""

from jax_impl.training.gan import gan_detached, gan_one_forward, gan_retained, gan_wrong
from jax_impl.training.per_loss import alternating, multi_task, surgery
from jax_impl.training.recurrent import truncated, truncated_accumulated, truncated_wrong
from jax_impl.training.total import accumulation, inspected

__all__ = [
    "accumulation",
    "alternating",
    "gan_detached",
    "gan_one_forward",
    "gan_retained",
    "gan_wrong",
    "inspected",
    "multi_task",
    "surgery",
    "truncated",
    "truncated_accumulated",
    "truncated_wrong",
]
