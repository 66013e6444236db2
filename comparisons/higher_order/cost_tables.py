"""What a product costs, as tables: ratios, what was published, targets, memory, the anomaly and the judge."""

from comparisons.higher_order.published import MODELS
from comparisons.rows import Row, Table

WAYS = {"eager": "torch eager", "compile": "torch compiled", "jit": "jax jit"}
NETWORKS = {"many_heads": "MLP", "conv": "conv", "attention": "attention"}


def tables(rows: list[Row]) -> list[Table]:
    """Of what was measured."""
    makers = (ratios, published, targets, causes, memory, anomaly, taylor)
    return [table for table in (make(rows) for make in makers) if table.lines]


def ratios(rows: list[Row]) -> Table:
    lines = []
    for row in _kind(rows, "cost"):
        name = [NETWORKS[row["problem"]], WAYS[row["mode"]]]
        if "seconds" not in row:
            lines.append([*name, row["status"].replace("_", " "), row["reason"], "", "", "", "", ""])
        elif row["strategy"] == "summed":
            gflops = f"{row['flops'] / row['seconds'] / 1e9:.1f} GFLOP/s"
            lines.append([*name, "the gradient", "1", "1", gflops, "1", _seconds(row), _counted(row)])
        else:
            mode = _mode(row) + (", fastest" if row.get("fastest") else "")
            flops, achieved, peak = (f"{row[field]:.2f}" for field in ("flop_ratio", "achieved", "peak_ratio"))
            lines.append([*name, mode, flops, _time(row), achieved, peak, _seconds(row), _counted(row)])
    header = ["network", "side", "mode", "FLOPs", "time (quartiles)", "FLOP/s", "peak", "compile s", "FLOPs predicted"]
    return Table("a product with the Hessian in terms of a gradient, float32", header, lines)


def published(rows: list[Row]) -> Table:
    cited = {(r["framework"], r["strategy"], r["problem"]): r for r in _kind(rows, "published")}
    ours = {(r["mode"], r["strategy"], r["problem"]): r for r in _kind(rows, "cost") if "time_ratio" in r}
    lines = []
    for side, way in (("torch", "eager"), ("jax", "jit")):
        for strategy in dict.fromkeys(mode for s, mode, _ in cited if s == side):
            line = [cited[side, strategy, model] for model in MODELS]
            here = [ours.get((way, strategy, name)) for name in NETWORKS]
            texts = [f"{_time(r)}/{r['flop_ratio']:.2f}" if r else "" for r in here]
            texts += [f"{r['time_ratio']:.2f}/{r['predicted_ratio']:.2f}" for r in line]
            lines.append([f"{WAYS[way]}, {_mode(line[0])}", *texts, line[0]["explained"]])
    networks = [*NETWORKS.values(), *(f"{model} (cited)" for model in MODELS)]
    header = ["time (quartiles)/FLOPs", *networks, "what explains it"]
    return Table("beside bench_hvp (ICLR 2024): time over FLOPs, each in terms of a gradient's", header, lines)


def targets(rows: list[Row]) -> Table:
    lines = [
        [_name(row), f"{row['achieved']:.2f}", f"{row['target']:.2f}", "met" if row["met"] else "missed"]
        for row in _kind(rows, "cost")
        if "target" in row
    ]
    return Table("a product's FLOP/s, of the gradient's own in the same process", ["", "measured", "target", ""], lines)


def causes(rows: list[Row]) -> Table:
    lines = [[_name(row), row["cause"]] for row in _kind(rows, "cost") if "cause" in row]
    return Table("where a target is missed: where the time goes, by each framework's profiler", ["", "cause"], lines)


def memory(rows: list[Row]) -> Table:
    found = {(r["problem"], r["strategy"], r["framework"]): r for r in _kind(rows, "memory")}
    lines = []
    for problem, strategy in dict.fromkeys(key[:2] for key in found):
        line = [NETWORKS[problem], "the gradient" if strategy == "summed" else strategy.removeprefix("hvp_")]
        for side in ("torch", "jax"):
            row = found.get((problem, strategy, side))
            line += ["", ""] if row is None else [_bytes(row), f"{row['peak']:,}"]
        lines.append([text.replace("_", " ") for text in line])
    header = ["network", "mode", "torch held", "torch peak", "jax held (planned)", "jax peak (planned)"]
    return Table(
        "bytes between the passes, and the peak: create_graph beside one jit (-: no such moment)", header, lines
    )


def anomaly(rows: list[Row]) -> Table:
    lines = [
        [f"{row['kernel']} x {row['kernel']}", f"{row['factor']:.1f}", f"{row['flop_factor']:.0f}", row["cause"]]
        for row in _kind(rows, "anomaly")
        if "factor" in row
    ]
    title = "jax: a convolution's gradient transposed, against the same product as a gradient writes it"
    return Table(title, ["kernel", "time, times", "FLOPs as written, times", "cause"], lines)


def taylor(rows: list[Row]) -> Table:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in _kind(rows, "taylor"):
        found.setdefault((row["problem"], row.get("strategy", "")), []).append(row)
    lines = []
    for (problem, strategy), judged in found.items():
        line = [problem, strategy.removeprefix("hvp_").replace("_", " ")]
        for side in ("torch", "jax"):
            line.append(_exponents([row for row in judged if row["framework"] == side]))
        lines.append(line)
    title = "order of the Taylor remainder, lowest of all losses, along one direction and across two (3: right)"
    return Table(title, ["problem", "mode", "torch", "jax"], lines)


def _exponents(rows: list[Row]) -> str:
    if not rows or any(row["status"] == "failed" for row in rows):
        return "FAILED" if rows else ""
    if all(row["status"] == "unsupported" for row in rows):
        return "-"
    found = [row[way] for row in rows for way in ("along", "across") if row[way] is not None]
    text = f"{min(found):.2f}" if found else "rounding only"
    return f"DIFFERS {text}" if any(row["status"] != "ok" for row in rows) else text


def _kind(rows: list[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def _name(row: Row) -> str:
    return f"{NETWORKS[row['problem']]}, {WAYS[row['mode']]}, {_mode(row)}"


def _mode(row: Row) -> str:
    return row["strategy"].removeprefix("hvp_").replace("_", " ")


def _time(row: Row) -> str:
    return f"{row['time_ratio']:.2f} ({row['spread'][0]:.2f} to {row['spread'][1]:.2f})"


def _seconds(row: Row) -> str:
    return "" if row["compile_seconds"] is None else f"{row['compile_seconds']:.1f}"


def _counted(row: Row) -> str:
    return "to the FLOP" if row["status"] == "ok" else f"DIFFERS {row['flops'] - row['predicted']:+,}"


def _bytes(row: Row) -> str:
    return "-" if row["bytes"] is None else f"{row['bytes']:,}"
