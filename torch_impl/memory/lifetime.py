"""When a graph lets go: each function takes one claim to pieces and returns the figures, in bytes unless named."""

import gc
import warnings

import torch
from torch import Tensor, autograd

from torch_impl.memory.held import held
from torch_impl.memory.peak import allocated
from torch_impl.models.losses import Batch, Losses, Params


def retaining(losses: Losses, params: Params, batch: Batch) -> dict[str, int]:
    """`retain_graph` stores nothing, it stops the release: the bytes stay the forward's until a backward may free."""
    with held(params, batch) as ledger:
        total = sum(losses(params).values())
    figures = {"forward": ledger.bytes}
    autograd.grad(total, list(params.values()), retain_graph=True)
    figures["retained"] = ledger.bytes
    autograd.grad(total, list(params.values()))
    return figures | {"released": ledger.bytes}


def left_behind(losses: Losses, params: Params, batch: Batch) -> dict[str, int]:
    """The last, non-retaining backward frees what it visits: the earlier losses' private buffers outlive it.

    `private` is what the nodes that the last loss does not reach had saved. Only dropping the losses frees them.
    """
    with held(params, batch) as ledger:
        values = losses(params)
    last = list(values)[-1]
    private = {s.storage: s.bytes for s in ledger.saved(values) if s.kind == "activation" and last not in s.losses}
    figures = {"forward": ledger.bytes, "private": sum(private.values())}
    for name, value in values.items():
        autograd.grad(value, list(params.values()), allow_unused=True, retain_graph=name != last)
    figures["left"] = ledger.bytes
    del values, value
    return figures | {"dropped": ledger.bytes}


def path_only(n: int = 1024) -> dict[str, int]:
    """`autograd.grad(loss, [a])` frees the path to `a` alone: what leads to `b` stays, and can still be asked for."""
    a, b = torch.zeros(n, requires_grad=True), torch.zeros(n, requires_grad=True)
    with held([a, b]) as ledger:
        loss = a.exp().sum() + b.exp().sum()
    figures = {"forward": ledger.bytes}
    autograd.grad(loss, [a])
    figures["after a"] = ledger.bytes
    autograd.grad(loss, [b])
    return figures | {"after b": ledger.bytes}


def failed_second_backward() -> dict[str, int]:
    """A second backward that fails may already have changed `.grad`, and whether it has depends on the order of a sum.

    The figures are what it adds to b's three gradients: 3 where the branch of `b` ran before the freed one, else 0.
    """

    def added(b_last: bool) -> int:
        a, b = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
        loss = a.exp().sum() + b.sum() if b_last else b.sum() + a.exp().sum()
        loss.backward()
        before = b.grad.sum().item()
        try:
            loss.backward()
        except RuntimeError:
            return round(b.grad.sum().item() - before)
        raise AssertionError("the second backward did not fail")

    return {"a + b": added(True), "b + a": added(False)}


def last_reference(losses: Losses, params: Params, batch: Batch) -> dict[str, int]:
    """A graph lives as long as the last loss that reaches it: hold one of K, and its head and the trunk stay."""
    with held(params, batch) as ledger:
        values = losses(params)
    figures = {"forward": ledger.bytes}
    last = values.popitem()
    values.clear()
    figures["one loss"] = ledger.bytes
    del last
    return figures | {"dropped": ledger.bytes}


def donation(n: int = 1024) -> dict[str, int]:
    """A release lets go and deletes nothing: a saved tensor that you hold yourself outlives the backward."""
    x = torch.zeros(n, requires_grad=True)
    with held(x) as ledger:
        y = torch.tanh(x)
    figures = {"forward": ledger.bytes}
    autograd.grad(y.sum(), x)
    return figures | {"released": ledger.bytes, "still yours": y.untyped_storage().nbytes()}


def reference_cycle(steps: int = 3, n: int = 1024) -> dict[str, int]:
    """`backward(create_graph=True)` ties a knot: `.grad` holds the graph, the graph its leaf, the leaf `.grad`.

    Steps that drop the leaf leak their graphs, and the garbage collector cannot see the knot. Clearing `.grad` cuts
    it; `autograd.grad(..., create_graph=True)` never ties it.
    """

    def step(cure: bool) -> None:
        p = torch.zeros(n, requires_grad=True)
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # PyTorch warns of this very cycle
            p.exp().sum().backward(create_graph=True)
        if cure:
            p.grad = None

    figures = {}
    for name, count, cure in (("one step", 1, False), (f"{steps} steps", steps, False), ("cured", steps, True)):
        with held(()) as ledger:
            for _ in range(count):
                step(cure)
        gc.collect()
        figures[name] = ledger.bytes
    return figures


def recorded_twice(n: int = 1024) -> dict[str, int]:
    """`torch.func` records by itself: given leaves that require grad, autograd records it all again, for its result.

    A gradient of constants is all that a call leaves allocated. That of leaves holds the graph by which it was made.
    """

    def gradient(x: Tensor) -> Tensor:
        return torch.func.grad(lambda x: x.exp().exp().sum())(x)

    leaf = torch.zeros(n, requires_grad=True)
    found = {"leaves": allocated(lambda: gradient(leaf)), "constants": allocated(lambda: gradient(leaf.detach()))}
    return {"gradient": leaf.nbytes} | found
