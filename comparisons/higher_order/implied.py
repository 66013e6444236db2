"""What one second-order strategy says that another should give."""

import numpy as np

from comparisons.difference import Gradients
from comparisons.problems import Problem, direction

REFERENCES = {
    "hvp_forward_over_reverse": "hvp_reverse_over_reverse",
    "hvp_reverse_over_forward": "hvp_reverse_over_reverse",
    "hessian": "hvp_reverse_over_reverse",
    "hessian_diagonal": "hessian",
}


def implied_second(strategy: str, found: Gradients, given: Gradients, problem: Problem) -> tuple[Gradients, Gradients]:
    """The strategy's result and its reference's, brought to one form: products stay, a Hessian is multiplied or read.

    A Hessian times the direction is the product; its diagonal is read off it.
    """
    shapes = {name: value.shape for name, value in problem.params.items()}
    if strategy == "hessian":
        along = np.concatenate([v.reshape(-1) for v in direction(problem).values()])
        return {
            loss: {p: (m @ along).reshape(shapes[p]) for p, m in rows.items()} for loss, rows in found.items()
        }, given
    if strategy == "hessian_diagonal":
        return found, {loss: _diagonal(rows, shapes) for loss, rows in given.items()}
    return found, given


def _diagonal(rows, shapes) -> dict[str, np.ndarray]:
    whole = np.concatenate([rows[p] for p in shapes]).diagonal()
    parts = np.split(whole, np.cumsum([np.prod(shape, dtype=int) for shape in shapes.values()])[:-1])
    return {p: part.reshape(shapes[p]) for p, part in zip(shapes, parts, strict=True)}
