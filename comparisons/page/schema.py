"""What the fields of a row mean: on the page, and in results/README.md."""

INTRODUCTION = """# Results

Measurements, with the machine and the versions that they came from. Each file is one JSON document:

```
{"schema": 1, "environment": {...}, "gradients": [...], "memory": [...], ...}
```

Every key but the first two is a question, the same word as its command, and holds a list of rows, one a line. A row is
a flat object. JSON has no infinity and no NaN: such a number is null, and the row's `reason` says why. A number that
was not measured is absent; nothing is estimated in its place. `schema` changes when a field changes its meaning.

To look at files: `python -m comparisons report FILE...` makes one page of them. Files of one machine and one set of
versions are one run (where both have a row, the later file's counts); other files stand beside it. A row's `id` is the
link to its line on that page: `report/index.html#ID`, with spaces as hyphens; in a second file's run, `#B/ID`.

This text is made by `make readme` from `comparisons/page/schema.py`.
"""
FIELDS: dict[str, dict[str, str]] = {
    "every row": {
        "id": "stable, unique in a file; its line on the page has it as link target",
        "status": "ok, differs, failed, unsupported or not_measured",
        "reason": "why the status is not ok",
        "problem": "the problem of comparisons/problems.py",
        "strategy": "the strategy of comparisons/scenarios.py",
        "framework": "torch or jax; none where a row compares the two",
        "device": "cpu or cuda",
        "size": "tiny, default, large or dense",
        "kind": "what sort of row it is; of bytes: observed, planned or simulated",
        "predicted": "what theory, a closed form or a table said before the measurement",
        "order": "1 for gradients, 2 for what the second derivative gives",
        "dtype": "float64 (the verdict) or float32 (the distance to it)",
        "mode": "how it ran: jit, op-by-op, eager, compile; or a mode of a second derivative",
    },
    "contrast": {
        "code": "the text that ran",
        "path": "the file that it stands in",
        "printed": "what it printed",
    },
    "gradients": {
        "loss": "the loss that was differentiated, or total",
        "parameter": "the array that it was differentiated by",
        "error": "the largest difference between the sides (float32: to the float64 reference)",
        "scale": "the leaf scale: the array's largest entry, at least 1e-3 of the largest of that loss",
        "relative_error": "error / scale",
        "tolerance": "what relative_error may be",
        "within_torch": "relative error of PyTorch's strategy to what per_loss_retained implies",
        "within_jax": "the same in JAX",
        "equal": "whether all three are within the tolerance",
        "eps": "float32: relative_error in units of float32's eps",
        "unused": "which side says None, or zero, for a parameter that the loss does not use",
    },
    "memory": {
        "phase": "the moment: forward, backward 1, ..., last, dropped, peak or plan",
        "bytes": "bytes held at that moment, or at the peak",
        "arguments": "bytes of parameters, batch and whatever else was given",
        "output": "planned: bytes of the results",
        "temp": "planned: bytes of scratch",
        "alias": "planned: bytes of results that take over arguments",
        "sweep": "the sizes of a configuration of many_heads: batch, width, depth, losses, hidden units",
        "strip": "the strategy of a row of the lifetime strip",
        "step": "the frame, from 0 (angles: the training step)",
        "tensor": "which tensor, in the order in which they were saved",
        "owner": "shared, or the loss that alone needs it: A or B",
        "op": "the operations that saved it; JAX: the primitive that made it",
        "shape": "its shape",
        "alive": "whether it is held in that frame",
    },
    "graphs": {
        "node": "its number; inputs come first",
        "name": "the parameter, input or loss that it is",
        "rank": "the longest path that leads to it",
        "source": "the edge's end nearer to the inputs",
        "target": "the edge's end nearer to the losses",
    },
    "lesson and pitfalls": {
        "claim": "the claim's number in the lesson",
        "says": "the claim",
        "verdict": "true, partly or false: in how many of its cases it holds",
        "evidence": "the cases tried, a line each: whether it holds, what was tried, what was seen",
        "also": "what else holds in PyTorch",
        "jax": "what holds in JAX",
    },
    "angles": {
        "norm_LOSS": "the norm of the loss's gradient at that step",
        "cos_LOSS_LOSS": "the cosine between two losses' gradients",
        "apart": "how far JAX's norms (relative) and cosines are from PyTorch's",
    },
}


def markdown() -> str:
    """The text of results/README.md."""
    lines = [INTRODUCTION]
    for question, fields in FIELDS.items():
        lines += [f"## {question}", "", "| field | meaning |", "| --- | --- |"]
        lines += [*(f"| `{name}` | {meaning} |" for name, meaning in fields.items()), ""]
    return "\n".join(lines)
