"""Gradients as dicts: `autograd.grad` by name, and sums in which None is nothing."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, autograd
from torch.autograd.graph import Node, get_gradient_edge

from torch_impl.models.losses import Params

Gradient = dict[str, Tensor | None]
CUT = ""  # the features, among the parameters' names


def grad(
    outputs: Tensor, params: Params, cotangents: Tensor | None = None, materialize_grads: bool = False, **options
) -> Gradient:
    """`autograd.grad` with respect to a dict; a parameter that `outputs` does not reach is None, or else zeros.

    Outputs that are constants reach none.
    """
    if not params or (not outputs.requires_grad and any(p.requires_grad for p in params.values())):
        return {name: torch.zeros_like(p) if materialize_grads else None for name, p in params.items()}
    options |= {"allow_unused": True, "materialize_grads": materialize_grads}
    found = autograd.grad(outputs, list(params.values()), cotangents, **options)
    return dict(zip(params, found, strict=True))


def head_grad(head: Callable[[Params, Tensor], Tensor], params: Params, z: Tensor) -> tuple[Gradient, Tensor]:
    """One head alone: its gradient with respect to the parameters that it touches directly, and to the features."""
    cut = z.detach().requires_grad_()
    found = grad(head(params, cut), {**params, CUT: cut})
    dz = found.pop(CUT)
    return found, torch.zeros_like(z) if dz is None else dz


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
    live = [value for value in values.values() if value.requires_grad]
    inputs, retain = [copies, *alone.values()], len(alone) < len(times)
    dz, *found = autograd.grad(live, inputs, retain_graph=retain, allow_unused=True) if live else (None,)
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
    nodes = behind(value)
    leaves = {id(node.variable) for node in nodes if hasattr(node, "variable")}
    return {name: p for name, p in params.items() if id(p) in leaves or p.grad_fn in nodes}


def behind(value: Tensor) -> dict[Node, None]:
    """Every node of the graph behind `value`, in order and once; a constant has none."""
    waiting, found = [get_gradient_edge(value).node] if value.requires_grad else [], dict[Node, None]()
    while waiting:
        node = waiting.pop()
        if node not in found:
            found[node] = None
            waiting += [source for source, _ in node.next_functions if source is not None]
    return found


def constants(params: Params) -> Params:
    """The same values without a graph: what `torch.func` needs, which records by itself.

    Leaves that require grad would be recorded beside it, and the results would hold that graph.
    """
    return {name: p.detach() for name, p in params.items()}


def one_hot(values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The losses stacked, (K,), and all K one-hot cotangents: the rows of an identity matrix."""
    stacked = torch.stack(list(values.values()))
    return stacked, torch.eye(len(values), dtype=stacked.dtype, device=stacked.device)


def add(a: Gradient, b: Gradient) -> Gradient:
    """The sum, name by name; None adds nothing, and two of them stay None."""
    pairs = ((name, a[name], b[name]) for name in a)
    return {name: y if x is None else x if y is None else x + y for name, x, y in pairs}


def unstack(names: Iterable[str], stacked: Gradient) -> dict[str, Gradient]:
    """Row k of every stacked gradient belongs to the k-th name."""
    rows = {p: None if g is None else g.unbind() for p, g in stacked.items()}
    return {name: {p: None if g is None else g[k] for p, g in rows.items()} for k, name in enumerate(names)}
