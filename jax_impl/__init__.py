"""Gradients of several losses in JAX and Flax, each function in JAX's own idiom."""
