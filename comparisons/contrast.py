"""The contrast in a dozen lines a side: README's two first blocks run, and a strategy's two sources, as rows."""

from comparisons import readme, source
from comparisons.rows import Row, Table, Unit, failed
from comparisons.scenarios import REFERENCE

SIDES = {"torch": "torch_impl", "jax": "jax_impl"}


def units() -> list[Unit]:
    """One unit: both blocks."""
    return [Unit("contrast", "contrast", "contrast  the two blocks", rows)]


def rows() -> list[Row]:
    """Each block with what it prints, and each source; JAX's print differs unless it is PyTorch's, to the letter."""
    found: list[Row] = []
    blocks = readme.CODE.finditer((readme.ROOT / "README.md").read_text())
    for (framework, side), block in zip(SIDES.items(), blocks, strict=False):
        head = {"framework": framework, "status": "ok"}
        row = head | {"id": f"contrast/{framework}", "kind": "block", "path": "README.md", "code": block["code"]}
        try:
            row |= {"printed": readme.output(block["code"])}
            if found and row["printed"] != found[0].get("printed", row["printed"]):
                row |= {"status": "differs", "reason": f"it prints {row['printed']!r}"}
        except Exception as error:
            row = failed(row, error)
        path, code = source.function(side, REFERENCE)
        place = {"id": f"contrast/{framework}/{REFERENCE}", "kind": "strategy", "strategy": REFERENCE}
        found += [row, head | place | {"path": path, "code": code}]
    return found


def tables(rows: list[Row]) -> list[Table]:
    """What the two blocks print."""
    printed = [[row["framework"], " ".join(row["printed"].split("\n"))] for row in rows if "printed" in row]
    return [Table("two losses, one gradient each: what the two blocks print", ["side", "gradients"], printed)]
