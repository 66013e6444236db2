"""Parameters and batches of the eight models, exact in float32."""

import numpy as np


def _single(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32).astype(float)


def _draw(rng: np.random.Generator, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    centre = {name: 1.0 if name.startswith("norm.weight") else 0.0 for name in shapes}
    fan_in = {name: np.prod(shape[1:]) if len(shape) > 1 else 4 for name, shape in shapes.items()}
    return {n: _single(centre[n] + rng.standard_normal(s) / fan_in[n] ** 0.5) for n, s in shapes.items()}


def _layers(**sizes: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    return {f"{n}.{leaf}": s for n, (o, i) in sizes.items() for leaf, s in (("weight", (o, i)), ("bias", (o,)))}


def _norm(width: int) -> dict[str, tuple[int, ...]]:
    return {"norm.weight": (width,), "norm.bias": (width,)}


def problem(model: str, seed: int = 3) -> tuple[dict, dict]:
    """The model's parameters and its batch."""
    rng = np.random.default_rng(seed)
    batch: dict[str, np.ndarray]
    if model == "mlp":
        params = _draw(rng, _layers(l1=(8, 8), l2=(8, 8), head=(5, 8), aux=(1, 8)) | _norm(8))
        batch = _draw(rng, {"x": (6, 8), "target": (6,), "buffer": (5,)}) | {"label": rng.integers(0, 5, 6)}
        batch["kept"] = (rng.random((6, 8)) < 0.9) / 0.9
    elif model == "conv":
        params = _draw(rng, {"conv.weight": (4, 3, 3, 3), "up.weight": (4, 2, 3, 3)} | _norm(4))
        params |= _draw(rng, _layers(out=(3, 36)))
        batch = _draw(
            rng, {"image": (2, 3, 6, 6), "drawn": (2, 2, 5, 5), "mean": (4,), "batch_mean": (4,), "var": (4,)}
        )
        batch["var"] = _single(batch["var"] ** 2 + 0.5)
    elif model == "attention":
        params = _draw(rng, _layers(qkv=(24, 8), out=(8, 8)) | _norm(8))
        batch = _draw(rng, {"x": (2, 5, 8), "angle": (5, 2)}) | {"kept": (rng.random((2, 2, 5, 5)) < 0.8) * 1.25}
    elif model == "recurrent":
        shapes = {"lstm.ih": (16, 3), "lstm.hh": (16, 4), "lstm.bias": (16,)}
        params = _draw(
            rng, shapes | {"gru.ih": (12, 3), "gru.hh": (12, 4), "gru.bias": (12,), "gru.hidden_bias": (12,)}
        )
        batch = _draw(rng, {"x": (3, 3, 3)})
    elif model == "words":
        params = _draw(rng, {"embed.weight": (7, 8)} | _norm(8))
        batch = {
            "word": np.array([1, 0, 3, 3, 6, 0]),
            "next": rng.integers(1, 7, 6),
            "kept": (rng.random((6, 8)) < 0.5) * 2.0,
        }
        batch["counted"] = np.array([1.0, 1, 1, 1, 1, 0])
    elif model == "waves":
        parts = _draw(rng, {"x": (6, 4), "y": (6, 4), "re": (4, 3), "im": (4, 3)})
        params, batch = {"w": parts["re"] + 1j * parts["im"]}, {"x": parts["x"] + 1j * parts["y"]}
    elif model == "uneven":
        params, batch = _draw(rng, {"w": (4, 4), "s": (3,)}), _draw(rng, {"x": (6, 4)})
    else:
        params, batch = _draw(rng, {"w": (1000, 1000)}), _draw(rng, {"x": (4, 1000)})
    return params, batch
