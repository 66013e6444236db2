"""How do the losses pull? Norms of their gradients and the cosines between them, while the digits are trained.

The same run in both frameworks, from the same start, on the same batches: the Gram matrix of the four gradients is
taken at every step, and every fifth is a row. JAX's rows are judged by PyTorch's.
"""

from itertools import combinations

import numpy as np

from comparisons.rows import Row, Table, Unit, failed

LOSSES = ("digit", "odd", "pixels", "decay")
PAIRS = list(combinations(range(len(LOSSES)), 2))
STEPS, EVERY = 121, 5
ALLOWED = 1e-10  # one gradient may be 1e-12 off, and this loop magnifies what it is given less than a hundredfold


def units() -> list[Unit]:
    """One unit: both runs."""
    return [Unit("angles", "angles", "angles  digits  121 steps", rows)]


def rows() -> list[Row]:
    """A row for each framework and recorded step; a framework that fails has one row that says so."""
    found: list[Row] = []
    grams: dict[str, np.ndarray] = {}
    for framework, take in (("torch", _torch), ("jax", _jax)):
        head = {"id": f"angles/digits/{framework}", "problem": "digits", "framework": framework, "status": "ok"}
        try:
            grams[framework] = take()
        except Exception as error:
            found.append(failed(head, error))
            continue
        for step in range(0, STEPS, EVERY):
            row = _row(head, step, grams[framework][step])
            found.append(_judged(row, _row(head, step, grams["torch"][step])) if len(grams) == 2 else row)
    return found


def tables(rows: list[Row]) -> list[Table]:
    """The cosines at the first and the last recorded step."""
    whole = [row for row in rows if "step" in row]
    ends = [row for row in whole if row["step"] in (0, max(r["step"] for r in whole))]
    header = ["cosine between", *(f"{row['framework']}, step {row['step']}" for row in ends)]
    names = [key for key in ends[0] if key.startswith("cos_")] if ends else []
    lines = [[name[4:].replace("_", ", "), *(f"{row[name]:+.3f}" for row in ends)] for name in names]
    return [Table("digits, trained: how the losses' gradients stand to each other", header, lines)] if ends else []


def _row(head: Row, step: int, gram: np.ndarray) -> Row:
    norms = np.sqrt(gram.diagonal())
    row = head | {"id": f"{head['id']}/{step}", "step": step}
    row |= {f"norm_{name}": float(norm) for name, norm in zip(LOSSES, norms, strict=True)}
    return row | {
        f"cos_{LOSSES[i]}_{LOSSES[j]}": float(gram[i, j] / norms[i] / norms[j]) if norms[i] * norms[j] else 0.0
        for i, j in PAIRS
    }


def _judged(row: Row, expected: Row) -> Row:
    """The row with its distance: of norms relative, of cosines as they are."""
    apart = max(abs(row[key] - expected[key]) / (expected[key] or 1.0) for key in row if key.startswith("norm_"))
    apart = max(apart, *(abs(row[key] - expected[key]) for key in row if key.startswith("cos_")))
    row = row | {"apart": apart}
    if not apart <= ALLOWED:
        row |= {"status": "differs", "reason": f"{apart:.1e} from PyTorch's, allowed {ALLOWED:.0e}"}
    return row


def _torch() -> np.ndarray:
    """PyTorch's Gram matrices, (steps, 4, 4)."""
    import torch

    from comparisons.trajectories import in_torch

    seen: list[np.ndarray] = []

    def noted(gram):
        seen.append(gram.numpy())
        return torch.ones_like(gram[0])

    in_torch("surgery", STEPS, aggregate=noted)
    return np.stack(seen)


def _jax() -> np.ndarray:
    """JAX's: the compiled step writes each into a mutable array, at the number of steps so far."""
    import jax
    import jax.numpy as jnp

    from comparisons.frameworks import jax_scope
    from comparisons.trajectories import in_jax

    with jax_scope("float64", "cpu"):
        seen, step = jax.new_ref(jnp.zeros((STEPS, len(LOSSES), len(LOSSES)))), jax.new_ref(jnp.array(0))

        def noted(gram):
            seen[step[...]] = gram
            step[...] += 1
            return jnp.ones_like(gram[0])

        in_jax("surgery", STEPS, aggregate=noted)
        return np.asarray(seen[...])
