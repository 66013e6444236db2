"""The table: which behaviours are stated, of which side, and why not of the other."""

BOTH = None
BEHAVIOURS: dict[str, dict[str, str] | None] = {
    "retaining": BOTH,
    "left_behind": BOTH,
    "path_only": BOTH,
    "failed_second_backward": BOTH,
    "per_tanh": BOTH,
    "per_dense_tanh": {"torch": "eager PyTorch holds one array a tanh at every shape: `per_tanh`"},
    "last_reference": BOTH,
    "donation": BOTH,
    "as_losses_grow": BOTH,
    "segmented": BOTH,
    "in_one_jit": {"torch": "eager PyTorch merges nothing: what a checkpoint recomputes is run, as `segmented` shows"},
    "in_a_scan": {"torch": "PyTorch's loops are Python's: `segmented` is one"},
    "selective": BOTH,
    "selective_twice": BOTH,
    "layer_calls": BOTH,
    "compiled": BOTH,
    "budget": {"jax": "JAX has no budget: a policy names what is kept, as in `selective`, and nothing else is weighed"},
    "accumulates": BOTH,
    "accumulation": BOTH,
    "zero_grad_policy": BOTH,
}
ON_CPU = {"per_tanh", "per_dense_tanh", "as_losses_grow", "segmented", "in_one_jit", "in_a_scan", "selective"}
ON_CPU |= {"accumulation", "zero_grad_policy"}
"""Peaks and plans: stated of the CPU, where they are exact, whatever the device of the run."""
