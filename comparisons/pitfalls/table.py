"""The cards: what strikes where, how it shows, why, and what to do."""

from typing import NamedTuple

SECTIONS = ("peers", "twice", "unequal")


class Card(NamedTuple):
    """One pitfall: the check that reproduces it, where it strikes, how it shows (raises, silent or leaks).

    Where it raises, `text` is part of the message, and `at` part of the node's name or of the line that raises.
    `backend` is what torch.compile is given; inductor needs a C++ compiler and minutes, so it is for the full run.
    """

    check: str
    where: str
    shows: str
    title: str
    cause: str
    remedy: str
    text: str = ""
    at: str = ""
    backend: str = ""


CARDS = {
    "poisoned_gradient": Card(
        "gradients.poisoned_gradient",
        "both",
        "silent",
        "One loss's infinity is a NaN in every loss's gradient",
        "one-hot and batched cotangents send 0 through the other losses' heads, and 0 x infinity is NaN",
        "take the losses one by one, or cut at the features: no cotangent enters another loss's head",
    ),
    "second_backward": Card(
        "lifetimes.second_backward",
        "PyTorch",
        "raises",
        "A second backward through the same graph",
        "the first backward released the tensors that the nodes it visited had saved",
        "retain_graph=True on all but the last, or one backward of the sum",
        "Trying to backward through the graph a second time",
        "MmBackward0",
    ),
    "in_place_step": Card(
        "lifetimes.in_place_step",
        "PyTorch",
        "raises",
        "An optimiser step between two backwards",
        "step() changes, in place, the weights that the graph saved; retain_graph does not help",
        "all gradients first, then the step",
        "modified by an inplace operation",
        "MmBackward0",
    ),
    "stale_pullback": Card(
        "lifetimes.stale_pullback",
        "JAX",
        "silent",
        "A pullback used after the parameters moved",
        "a pullback holds the values of the point where it was made; an update makes new ones (a donated one raises)",
        "call jax.vjp again at the new point",
    ),
    "undetached_state": Card(
        "lifetimes.undetached_state",
        "PyTorch",
        "raises",
        "A recurrent state that is not detached",
        "the state leads into the graph of the step before, which its own backward has released",
        "h.detach() where the state is carried over",
        "Trying to backward through the graph a second time",
        "TanhBackward0",
    ),
    "unused_parameter": Card(
        "gradients.unused_parameter",
        "PyTorch",
        "raises",
        "A parameter that the loss does not reach",
        "autograd.grad finds no path to it",
        "allow_unused=True (None) or materialize_grads=True (zeros)",
        "appears to not have been used in the graph",
        "autograd.grad",
    ),
    "unused_step": Card(
        "gradients.unused_step",
        "both",
        "silent",
        "A step moves a parameter that the loss does not touch, in JAX alone",
        "optax runs momentum and decay on a gradient of zeros; torch.optim skips a .grad of None",
        "a state for each parameter in JAX, or materialize_grads=True in PyTorch: choose one for both",
    ),
    "no_zero_grad": Card(
        "gradients.no_zero_grad",
        "PyTorch",
        "silent",
        "Two steps without zero_grad",
        "backward adds to what .grad holds",
        "zero_grad() before each backward, or autograd.grad",
    ),
    "kept_losses": Card(
        "lifetimes.kept_losses",
        "PyTorch",
        "leaks",
        "Losses kept in a list",
        "a loss holds its graph, and a retained graph its saved tensors",
        "keep loss.item()",
    ),
    "create_graph_cycle": Card(
        "lifetimes.create_graph_cycle",
        "PyTorch",
        "leaks",
        "backward(create_graph=True)",
        "w.grad has a graph that leads to w, and w holds w.grad: a cycle outside Python's collector",
        "autograd.grad(create_graph=True), or w.grad = None when done",
    ),
    "second_order": Card(
        "gradients.second_order",
        "PyTorch",
        "raises",
        "A second derivative without create_graph",
        "the first backward was not recorded: its result is a constant",
        "create_graph=True on the inner gradient",
        "does not require grad",
        "autograd.grad",
    ),
    "retain_grad_batched": Card(
        "gradients.retain_grad_batched",
        "PyTorch",
        "silent",
        "retain_grad() under a batched backward",
        "the hook runs inside vmap and stores vmap's own tensor in .grad; the error comes when it is read",
        "ask autograd.grad for the intermediate too",
        "Batching rule not implemented",
    ),
    "hook_per_backward": Card(
        "gradients.hook_per_backward",
        "both",
        "silent",
        "A hook that clamps fires once per backward",
        "two backwards clamp two gradients, one backward of the sum clamps the sum",
        "one backward of the sum, or clamp what has added up",
    ),
    "scaled_losses": Card(
        "gradients.scaled_losses",
        "PyTorch",
        "raises",
        "AMP: unscale_ after each of several losses",
        "the scaler unscales an optimiser once per update(), and all that .grad then holds",
        "scale and backward every loss, then one unscale_",
        "unscale_() has already been called",
        "scaler.unscale_",
    ),
    "compiled_second_order": Card(
        "compiled.compiled_second_order",
        "PyTorch",
        "raises",
        "A second derivative through torch.compile",
        "the compiled backward is one node without a backward of its own",
        "torch.func.grad inside, compile outside",
        "does not currently support double backward",
        "CompiledFunctionBackward",
        "aot_eager",
    ),
    "compiled_second_order_silent": Card(
        "compiled.compiled_second_order_silent",
        "PyTorch",
        "silent",
        "The same, with no error and a wrong gradient",
        "where the compiled backward reads only saved results (exp, tanh), its output leads nowhere",
        "leave it uncompiled, or compile the whole gradient",
        backend="aot_eager",
    ),
    "donated_buffers": Card(
        "compiled.donated_buffers",
        "PyTorch",
        "raises",
        "A compiled graph retained after a run that was not",
        "the backward is compiled at its first run; if that does not retain, it may reuse saved buffers",
        "let the first run be one that retains, or sum the losses",
        "non-empty donated buffers",
        "CompiledFunctionBackward",
        "aot_eager",
    ),
    "deleted_buffer": Card(
        "compiled.deleted_buffer",
        "JAX",
        "raises",
        "An array read after it was donated",
        "donate_argnums gives the argument's buffer to a result",
        "bind the result to the donated name",
        "deleted",
        "w + 1",
    ),
    "kept_intermediate": Card(
        "traced.kept_intermediate",
        "JAX",
        "raises",
        "A leaked tracer",
        "what a side effect carries out of a traced function is a tracer, not a value",
        "return it: has_aux=True",
        "unexpected tracer",
        "kept[-1] + 1",
    ),
    "branch_on_value": Card(
        "traced.branch_on_value",
        "JAX",
        "raises",
        "`if` on a traced value",
        "under jit the value is not known while the function is traced",
        "lax.cond, or no jit around the `if`",
        "boolean conversion of traced array",
        "if w.sum() > 0",
    ),
    "concrete_value": Card(
        "traced.concrete_value",
        "both",
        "raises",
        "float() of a value under a gradient: JAX raises, PyTorch drops a term",
        "a Python number has no derivative: JAX refuses to make one, PyTorch cuts the graph",
        "leave it an array or a tensor",
        "concrete value",
        "float(w.sum())",
    ),
    "float64_input": Card(
        "traced.float64_input",
        "JAX",
        "silent",
        "float64 data becomes float32",
        "x64 is off by default, and arrays are narrowed without a word",
        "jax.enable_x64(True), for a block or a program",
    ),
    "integer_parameter": Card(
        "traced.integer_parameter",
        "JAX",
        "raises",
        "An integer among the parameters: float0",
        "an integer has no tangent space but the trivial one; its gradient's dtype is float0",
        "differentiate the floating leaves alone",
        "float0",
        "jnp.subtract",
    ),
    "recompiled": Card(
        "compiled.recompiled",
        "JAX",
        "silent",
        "One compilation per number of losses, and per fresh closure",
        "jit's cache knows a function by identity and its arguments by shape, dtype and weak type",
        "one function, with the losses as arguments of one shape",
    ),
    "miscompiled": Card(
        "compiled.miscompiled",
        "JAX",
        "silent",
        "A batched pull through a scan, compiled wrongly on the CPU in float64",
        "a fault of XLA's fusions for AVX-512 in jaxlib 0.10.2 (0.11.2 is right); no rule of JAX's is wrong",
        "JAX 0.11, XLA_FLAGS=--xla_cpu_max_isa=AVX2, or one pull for each loss",
    ),
}
FULL = {
    f"{name}_inductor": card._replace(backend="inductor", title=f"{card.title} (inductor)")
    for name, card in CARDS.items()
    if card.backend and card.text  # what inductor saves, and so where it is silent, is its own choice
}
ONE_SIDED = {
    "compiled_second_order_silent": "jit and grad compose: nothing is dropped",
    "recompiled": "eager PyTorch compiles nothing",
}
