"""What a compiled forward keeps: one node with one backward, and a budget for what it saves."""

import torch
from torch import Tensor, autograd

from torch_impl.first_order.tree import behind
from torch_impl.memory.held import held

BUDGET = "activation_memory_budget"


def _losses(x: Tensor, weights: list[Tensor], heads: list[Tensor]) -> list[Tensor]:
    for w in weights:
        x = torch.tanh(x @ w)
    return [((x @ head) ** 2).mean() for head in heads]


def one_node(x: Tensor, weights: list[Tensor], heads: list[Tensor], backend: str = "aot_eager") -> dict[str, int]:
    """A compiled forward is one node with one backward: the last loss's frees the other heads' buffers too.

    Where eager PyTorch leaves behind what the last loss does not reach, every loss of a compiled forward reaches all
    of it. `aot_eager` needs no C++ compiler.
    """
    figures = {}
    torch.compiler.reset()
    for name, losses in (("eager", _losses), ("compiled", torch.compile(_losses, backend=backend))):
        with held([weights, heads], x) as ledger:
            values = losses(x, weights, heads)
        figures[f"{name}, forward"] = ledger.bytes
        figures[f"{name}, nodes"] = len({node for value in values for node in behind(value) if _computes(node)})
        for k, value in enumerate(values, start=1):
            autograd.grad(value, weights, retain_graph=k < len(values))
        figures[f"{name}, left"] = ledger.bytes
    torch.compiler.reset()
    return figures


def budget(x: Tensor, weights: list[Tensor], shares: tuple[float, ...] = (1, 0.5, 0)) -> dict[str, int]:
    """An activation budget is a share of what would be saved: the compiler recomputes what does not fit.

    1 saves what is cheapest in time, 0 saves inputs alone. NotImplementedError on a PyTorch without the setting.
    """
    from torch._functorch import config

    if not hasattr(config, BUDGET):
        raise NotImplementedError(f"torch {torch.__version__} has no torch._functorch.config.{BUDGET}")
    figures = {}
    for share in shares:
        torch.compiler.reset()
        with config.patch({BUDGET: share}), held(weights, x) as ledger:
            values = torch.compile(_losses, backend="aot_eager")(x, weights, [weights[0]])
        figures[f"budget {share:g}"] = ledger.bytes
        del values
    torch.compiler.reset()
    return figures


def _computes(node) -> bool:
    return "AccumulateGrad" not in node.name()
