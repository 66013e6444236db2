"""Every assertion that the planted bugs meet, each at its defaults."""

from collections.abc import Callable

import numpy as np


def gradparity(jax: dict, torch: dict) -> None:
    from comparisons.testing import assert_gradients_match

    assert_gradients_match(jax, torch)


def torch_assert_close(jax: dict, torch: dict) -> None:
    from torch import tensor
    from torch.testing import assert_close

    def tensors(grads: dict) -> dict:
        return {loss: {name: tensor(g) for name, g in grad.items()} for loss, grad in grads.items()}

    assert_close(tensors(jax), tensors(torch))


def chex_trees_all_close(jax: dict, torch: dict) -> None:
    import chex

    chex.assert_trees_all_close(jax, torch)


def numpy_allclose(jax: dict, torch: dict) -> None:
    for loss, grad in torch.items():
        for name, g in grad.items():
            np.testing.assert_allclose(jax[loss][name], g)


VERDICT = "gradparity, float64"
TOOLS: dict[str, tuple[Callable, str]] = {
    "gradparity, float32": (gradparity, "float32"),
    VERDICT: (gradparity, "float64"),
    "torch assert_close, float32": (torch_assert_close, "float32"),
    "torch assert_close, float64": (torch_assert_close, "float64"),
    "chex trees_all_close, float32": (chex_trees_all_close, "float32"),
    "chex trees_all_close, float64": (chex_trees_all_close, "float64"),
    "numpy assert_allclose, float32": (numpy_allclose, "float32"),
    "numpy assert_allclose, float64": (numpy_allclose, "float64"),
}


def fails(jax: dict[str, dict], torch: dict[str, dict]) -> dict[str, bool]:
    """Which tools tell the two sides apart; both are {dtype: gradients}, with zeros for None."""
    found = {}
    for name, (tool, dtype) in TOOLS.items():
        try:
            tool(jax[dtype], torch[dtype])
            found[name] = False
        except AssertionError:
            found[name] = True
    return found
