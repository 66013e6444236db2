"""Checkpointing: keep less between forward and backward, and run some of the forward a second time."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, autograd
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from torch_impl.cost import flops
from torch_impl.memory.held import held
from torch_impl.memory.peak import allocated, peak

Forward = Callable[[Tensor, list[Tensor]], Tensor]


def plain(x: Tensor, weights: list[Tensor]) -> Tensor:
    """A product, a sine, an exponential and a tanh a layer: three arrays are saved, one of them the next product's."""
    for w in weights:
        x = torch.tanh(torch.exp(torch.sin(x @ w)))
    return x


def segmented(x: Tensor, weights: list[Tensor], size: int = 2) -> Tensor:
    """Only the inputs of the segments are saved; each segment runs again when the backward arrives at it.

    Without `preserve_rng_state=False` each would also save the state of the random generator, 5,056 B on the CPU.
    """
    for k in range(0, len(weights), size):
        x = checkpoint(plain, x, weights[k : k + size], use_reentrant=False, preserve_rng_state=False)
    return x


def selective(x: Tensor, weights: list[Tensor]) -> Tensor:
    """A policy saves the results of the matrix products; what is pointwise is cheap and runs again."""
    contexts = partial(create_selective_checkpoint_contexts, [torch.ops.aten.mm.default])
    return checkpoint(plain, x, weights, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)


def trade(forward: Forward, x: Tensor, weights: list[Tensor]) -> dict[str, int]:
    """Bytes held after the forward, the peak of forward and backward, and their products' FLOPs.

    `held` is what the allocator says, the scalar loss taken off; `by hooks` is what a ledger of saved tensors sees: a
    policy's cache passes no hook.
    """

    def loss() -> Tensor:
        return forward(x, weights).sum()

    def step() -> tuple[Tensor, ...]:
        return autograd.grad(loss(), weights)

    device = str(x.device)
    with held(weights, x) as ledger:
        value = loss()
    return {
        "held": allocated(loss, device) - value.nbytes,
        "by hooks": ledger.bytes,
        "peak": peak(step, device),
        "flops": flops(step),
    }


def in_one_program(x: Tensor, weights: list[Tensor], backend: str = "aot_eager") -> dict[str, int]:
    """A compiled forward keeps to its checkpoints: what they do not save is recomputed in the compiled backward.

    The compiler sees both forwards, and must not merge what a checkpoint has marked. FLOPs are the backward's.
    """
    figures = {}
    for name, forward in (("plain", plain), ("checkpointed", segmented)):
        torch.compiler.reset()
        with held(weights, x) as ledger:
            loss = torch.compile(forward, backend=backend)(x, weights).sum()
        figures[f"held, {name}"] = ledger.bytes
        figures[f"flops, {name}"] = flops(lambda: autograd.grad(loss, weights))
    torch.compiler.reset()
    return figures


def layer_calls(losses: int = 4, depth: int = 4) -> dict[str, int]:
    """Checkpointing pays the forward again for every backward: K retained backwards, K more forwards; one batched, one.

    The figures are how often a layer runs, forward included; each layer is a segment.
    """
    calls = 0

    def layer(x: Tensor, w: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return torch.tanh(x @ w)

    def forward(checkpointed: bool) -> tuple[Tensor, list[Tensor], Tensor]:
        nonlocal calls
        calls, x = 0, torch.ones(2, 3)
        weights = [torch.eye(3, requires_grad=True) for _ in range(depth)]
        for w in weights:
            x = checkpoint(layer, x, w, use_reentrant=False) if checkpointed else layer(x, w)
        return x, weights, torch.ones(losses, *x.shape)

    figures = {}
    for name, checkpointed in (("plain", False), ("retained", True)):
        z, weights, rows = forward(checkpointed)
        for row in rows:
            autograd.grad(z, weights, row, retain_graph=True)
        figures[name] = calls
    z, weights, rows = forward(True)
    autograd.grad(z, weights, rows, is_grads_batched=True)
    return figures | {"batched": calls}


def selective_twice(losses: int = 4) -> dict[str, int]:
    """A selective checkpoint can be walked once: the second retained backward raises, a batched one is one walk.

    The figures are how many of the losses have a gradient before the error, and in the batched backward.
    """

    def forward() -> tuple[Tensor, list[Tensor], Tensor]:
        weights = [torch.eye(3, requires_grad=True) for _ in range(2)]
        z = selective(torch.ones(2, 3), weights)
        return z, weights, torch.ones(losses, *z.shape)

    z, weights, rows = forward()
    done = 0
    try:
        for row in rows:
            autograd.grad(z, weights, row, retain_graph=True)
            done += 1
    except RuntimeError as error:
        if "backward an extra time" not in str(error):
            raise
    z, weights, rows = forward()
    stacked, _ = autograd.grad(z, weights, rows, is_grads_batched=True)
    return {"retained": done, "batched": len(stacked)}
