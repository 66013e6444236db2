"""The field's own ratios of a product to a gradient, beside what counting says of them."""

from comparisons.higher_order.counts import MODES
from comparisons.rows import Row, Unit

SOURCE = (
    "bench_hvp, 'How to compute Hessian-vector products?', ICLR 2024 blog track: totals from its stored data, "
    "batch 128, one A100, PyTorch eager, JAX jitted"
)
MODELS = ("ResNet34", "BERT", "ViT")
RATIOS = {  # cited: time of a product over that of a gradient, in the order of MODES
    ("torch", "ResNet34"): (3.11, 2.79, 4.02),
    ("torch", "BERT"): (3.51, 3.07, 3.35),
    ("torch", "ViT"): (3.45, 3.04, 3.25),
    ("jax", "ResNet34"): (2.39, 2.40, 2.55),
    ("jax", "BERT"): (2.30, 2.41, 2.47),
    ("jax", "ViT"): (2.42, 2.47, 2.51),
}
COUNTS = {"torch": (9 / 3, 8 / 3, 9 / 3), "jax": (8 / 3, 8 / 3, 8 / 3)}
EXPLAINED = {
    ("torch", MODES[0]): "9F: the gradient is computed again and nobody reads it; above 3 is work beside products",
    ("torch", MODES[1]): "8F: the direction needs no gradient; above 2.67 is work beside products",
    ("torch", MODES[2]): "9F less the first layer's; a convolution's double backward makes the data's gradient too",
    ("jax", MODES[0]): "8F: the unread gradient is dead code; of the first layer 3 of 8, of a gradient's 2 of 3",
    ("jax", MODES[1]): "8F: the same products once dead code is gone",
    ("jax", MODES[2]): "8F: the same; on XLA's CPU one convolution leaves the fast path (see the anomaly)",
}


def units() -> list[Unit]:
    return [Unit("higher_order", "published", "published ratios", rows)]


def rows() -> list[Row]:
    """A cited ratio a row: nothing here is measured."""
    return [
        {
            "id": f"higher_order/published/{model}/{side}/{mode}",
            "kind": "published",
            "problem": model,
            "framework": side,
            "strategy": mode,
            "order": 2,
            "time_ratio": cited,
            "predicted_ratio": COUNTS[side][k],
            "explained": EXPLAINED[side, mode],
            "source": SOURCE,
            "status": "ok",
        }
        for (side, model), ratios in RATIOS.items()
        for k, (mode, cited) in enumerate(zip(MODES, ratios, strict=True))
    ]
