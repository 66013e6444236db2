"""The table: which behaviours are stated, and why not of one side."""

BOTH: dict[str, str] = {}
LIFETIMES = {
    "retaining": BOTH,
    "left_behind": BOTH,
    "path_only": BOTH,
    "failed_second_backward": BOTH,
    "per_tanh": BOTH,
    "per_dense_tanh": BOTH,
    "last_reference": BOTH,
    "donation": BOTH,
    "reference_cycle": {"jax": "no array of JAX's holds a graph: there is no knot to tie"},
    "recorded_twice": {"jax": "JAX records nothing beside a transformation: an array requires no grad"},
    "as_losses_grow": BOTH,
    "accumulates": BOTH,
    "accumulation": BOTH,
    "zero_grad_policy": BOTH,
}
PROGRAMS = {
    "segmented": BOTH,
    "in_one_program": BOTH,
    "in_a_scan": {"torch": "PyTorch's loops are Python's: `segmented` is one"},
    "selective": BOTH,
    "selective_twice": BOTH,
    "layer_calls": BOTH,
    "compiled": BOTH,
    "budget": {"jax": "JAX has no budget: a policy names what is kept, as in `selective`"},
}
BEHAVIOURS = LIFETIMES | PROGRAMS
ON_CPU = {
    "per_tanh",
    "per_dense_tanh",
    "recorded_twice",
    "as_losses_grow",
    "accumulation",
    "zero_grad_policy",
    *PROGRAMS,
}
"""Peaks and plans: stated of the CPU, where they are exact, whatever the device of the run."""
