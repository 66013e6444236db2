"""Training loops where several losses meet: what is differentiated, what is logged, and when the step comes.

Each takes parameters that require grad and batches, and returns `(params, log)`: the same parameters, changed in
place, and what was logged at each step. A `_wrong` loop is the common mistake, kept to be shown.
"""

from torch_impl.training.gan import gan_detached, gan_one_forward, gan_retained, gan_wrong, gan_wrong_retained
from torch_impl.training.per_loss import alternating, multi_task, surgery
from torch_impl.training.recurrent import truncated, truncated_accumulated, truncated_wrong, truncated_wrong_retained
from torch_impl.training.total import accumulation, inspected

__all__ = [
    "accumulation",
    "alternating",
    "gan_detached",
    "gan_one_forward",
    "gan_retained",
    "gan_wrong",
    "gan_wrong_retained",
    "inspected",
    "multi_task",
    "surgery",
    "truncated",
    "truncated_accumulated",
    "truncated_wrong",
    "truncated_wrong_retained",
]
