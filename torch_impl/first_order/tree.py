"""Gradients as dicts: `autograd.grad` by name, and sums in which None is nothing."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor, autograd
from torch.autograd.graph import Node, get_gradient_edge

from torch_impl.models.losses import Params

Gradient = dict[str, Tensor | None]


def grad(outputs: Tensor, params: Params, cotangents: Tensor | None = None, **options) -> Gradient:
    """`autograd.grad` with respect to a dict; a parameter that `outputs` does not reach is None."""
    found = autograd.grad(outputs, list(params.values()), cotangents, allow_unused=True, **options)
    return dict(zip(params, found, strict=True))


def head_grad(head: Callable[[Params, Tensor], Tensor], params: Params, z: Tensor) -> tuple[Gradient, Tensor]:
    """One head alone: its gradient with respect to the parameters that it touches directly, and to the features."""
    cut = z.detach().requires_grad_()
    *direct, dz = autograd.grad(head(params, cut), [*params.values(), cut], allow_unused=True)
    return dict(zip(params, direct, strict=True)), torch.zeros_like(z) if dz is None else dz


def head_grads(
    heads: Mapping[str, Callable[[Params, Tensor], Tensor]], params: Params, z: Tensor
) -> tuple[dict[str, Params], Tensor]:
    """Several heads in one backward: each on its own copy of the features, so that their cotangents stay apart.

    Gives each head's gradient with respect to the parameters that it touches directly, those alone, and the heads'
    cotangents of the features, (heads, *z.shape). A parameter that several heads touch would get their sum: for those
    each head is asked on its own.
    """
    copies = z.detach().expand(len(heads), *z.shape).requires_grad_()
    values = {name: head(params, copy) for (name, head), copy in zip(heads.items(), copies.unbind(), strict=True)}
    touched = {name: reached(value, params) for name, value in values.items()}
    times = Counter(p for own in touched.values() for p in own)
    alone = {p: params[p] for p, count in times.items() if count == 1}
    dz, *found = autograd.grad(
        list(values.values()), [copies, *alone.values()], retain_graph=len(alone) < len(times), allow_unused=True
    )
    single = dict(zip(alone, found, strict=True))
    direct = {}
    for name, own in touched.items():
        several = {p: leaf for p, leaf in own.items() if p not in alone}
        direct[name] = {p: single[p] for p in own if p in alone}
        if several:
            direct[name] |= grad(values[name], several, retain_graph=True)
    return direct, torch.zeros_like(copies) if dz is None else dz


def reached(value: Tensor, params: Params) -> Params:
    """The parameters that the graph behind `value` leads to: what it can have a gradient for."""
    names = {id(p): name for name, p in params.items()}  # by identity: a tensor's own hash is a call of Python
    leaves = (getattr(node, "variable", None) for node in behind(value))
    return {names[id(leaf)]: leaf for leaf in leaves if id(leaf) in names}


def behind(value: Tensor) -> Iterator[Node]:
    """Every node of the graph behind `value`, once."""
    waiting, seen = [get_gradient_edge(value).node], set()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            yield node
            waiting += [source for source, _ in node.next_functions if source is not None]


def add(a: Gradient, b: Gradient) -> Gradient:
    """The sum, name by name; None adds nothing, and two of them stay None."""
    pairs = ((name, a[name], b[name]) for name in a)
    return {name: y if x is None else x if y is None else x + y for name, x, y in pairs}


def unstack(names: Iterable[str], stacked: Gradient) -> dict[str, Gradient]:
    """Row k of every stacked gradient belongs to the k-th name."""
    rows = {p: None if g is None else g.unbind() for p, g in stacked.items()}
    return {name: {p: None if g is None else g[k] for p, g in rows.items()} for k, name in enumerate(names)}
