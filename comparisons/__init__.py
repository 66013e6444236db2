"""Where PyTorch and JAX meet: the same problems, the same strategies, and what differs."""
