"""Gradients of several losses in PyTorch, each function in PyTorch's own idiom."""
