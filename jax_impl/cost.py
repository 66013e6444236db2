"""What a computation costs: operations counted, and when its result is there."""

from collections.abc import Callable
from math import prod

import jax
from jax.extend.core import Jaxpr, JaxprEqn, Literal, jaxprs_in_params

CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call")


def flops(function: Callable, *args) -> int:
    """The multiplications and additions of every matrix product and convolution that `function(*args)` needs.

    Counted in the jaxpr as XLA runs it: what no output needs is dropped, equal subexpressions are taken once, a
    loop's body counts as often as it runs, elementwise work is left out. What `jax.checkpoint` recomputes counts again,
    though XLA's backend for the CPU may merge it with its first run.
    ValueError for a product in a loop whose trip count is not known.
    """
    return _flops(jax.make_jaxpr(function)(*args).jaxpr)


def ready(result):
    """`result`, once it is there: JAX returns before it has computed."""
    return jax.block_until_ready(result)


class _Values:
    """Values by number: equal operations on equal operands have one number, one cost."""

    def __init__(self) -> None:
        self.numbers: dict[tuple, int] = {}
        self.costs: list[int] = []
        self.operands: list[list[int]] = []

    def number(self, identity: tuple, cost: int = 0, operands: tuple = ()) -> int:
        if identity not in self.numbers:
            self.numbers[identity] = len(self.costs)
            self.costs.append(cost)
            self.operands.append(list(operands))
        return self.numbers[identity]

    def cost(self, needed: list[int]) -> int:
        """Of all that the needed values are made from."""
        found: set[int] = set()
        while needed:
            value = needed.pop()
            if value not in found:
                found.add(value)
                needed += self.operands[value]
        return sum(self.costs[value] for value in found)


def _flops(jaxpr: Jaxpr) -> int:
    values = _Values()
    effects: list[int] = []
    inputs = [values.number(("input", k)) for k in range(len(jaxpr.constvars) + len(jaxpr.invars))]
    return values.cost(_trace(jaxpr, inputs, values, effects) + effects)


def _trace(jaxpr: Jaxpr, inputs: list[int], values: _Values, effects: list[int]) -> list[int]:
    """The numbers of the outputs; a call is traced as if its body stood in its place."""
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], inputs, strict=True))

    def number(variable) -> int:
        if isinstance(variable, Literal):
            return values.number(("literal", str(variable.aval), str(variable.val)))
        return known[variable]

    for eqn in jaxpr.eqns:
        operands = [number(v) for v in eqn.invars]
        if eqn.primitive.name in CALLS:
            body = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
            consts = [values.number(("constant", id(c))) for c in body.consts]
            outputs = _trace(body.jaxpr, consts + operands, values, effects)
        else:
            distinct = len(values.costs) if eqn.effects or eqn.primitive.name == "remat2" else None
            identity = (eqn.primitive.name, str(eqn.params), *operands, distinct)
            made = values.number(identity, _cost(eqn), tuple(operands))
            outputs = [values.number(("output", made, k), 0, (made,)) for k in range(len(eqn.outvars))]
            if eqn.effects:
                effects.append(made)
        known.update(zip(eqn.outvars, outputs, strict=True))
    return [number(v) for v in jaxpr.outvars]


def _cost(eqn: JaxprEqn) -> int:
    """Two for each multiply-and-add of one equation, bodies included."""
    shapes = [v.aval.shape for v in eqn.invars]
    if eqn.primitive.name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        return 2 * prod(eqn.outvars[0].aval.shape) * prod(shapes[0][k] for k in contracted)
    if eqn.primitive.name == "conv_general_dilated":
        outputs, *_ = eqn.params["dimension_numbers"].rhs_spec
        return 2 * prod(eqn.outvars[0].aval.shape) * prod(shapes[1]) // shapes[1][outputs]
    bodies = [_flops(body) for body in jaxprs_in_params(eqn.params)]
    if eqn.primitive.name == "while" and any(bodies):
        raise ValueError("a `while_loop` with matrix products has no known trip count: use `scan` or `fori_loop`")
    if eqn.primitive.name == "cond":
        return max(bodies)
    return sum(bodies) * eqn.params.get("length", 1)
