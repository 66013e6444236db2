"""Recurrent cells: PyTorch stacks the gates and keeps two biases; Flax has one, in places that differ by cell."""

import numpy as np

from comparisons.layout.layer import Arrays, Layer, ruled
from comparisons.usage import BadInput

LSTM = ("i", "f", "g", "o")
GRU = ("r", "z", "n")


def lstm(inputs: int, width: int, bias: bool = True, suffix: str = "_l0") -> Layer:
    """`nn.LSTM` adds two biases; `nnx.OptimizedLSTMCell` has their sum. Both order the gates i, f, g, o."""

    def to_flax(own: Arrays) -> Arrays:
        x, h, *_ = _stacked(own, suffix)
        mapped = {"dense_i.kernel": x.T, "dense_h.kernel": h.T}
        summed = own[f"bias_ih{suffix}"] + own[f"bias_hh{suffix}"] if bias else np.zeros(4 * width)
        return mapped | {"dense_h.bias": summed}

    def adjoint(own: Arrays) -> Arrays:
        weights = {f"weight_ih{suffix}": own["dense_i.kernel"].T, f"weight_hh{suffix}": own["dense_h.kernel"].T}
        biases = {f"bias_{part}{suffix}": own["dense_h.bias"] for part in ("ih", "hh")}
        return weights | (biases if bias else {})

    return ruled(lstm, _shapes(4, inputs, width, bias, suffix), to_flax, adjoint)


def lstm_gates(inputs: int, width: int, bias: bool = True, suffix: str = "_l0", forget: str = "if") -> Layer:
    """`nn.LSTM`'s stacked gates are eight kernels in `LSTMCell`; the hidden ones hold the sum of the two biases.

    `forget` is the forget gate's input name: `if` in linen, `if_` in nnx.
    """
    names = ("ii", forget, "ig", "io")

    def to_flax(own: Arrays) -> Arrays:
        x, h, *_ = _stacked(own, suffix)
        summed = own[f"bias_ih{suffix}"] + own[f"bias_hh{suffix}"] if bias else np.zeros(4 * width)
        mapped = {f"{name}.kernel": w.T for name, w in zip(names, np.split(x, 4), strict=True)}
        mapped |= {f"h{gate}.kernel": w.T for gate, w in zip(LSTM, np.split(h, 4), strict=True)}
        return mapped | {f"h{gate}.bias": b for gate, b in zip(LSTM, np.split(summed, 4), strict=True)}

    def adjoint(own: Arrays) -> Arrays:
        both = np.concatenate([own[f"h{gate}.bias"] for gate in LSTM])
        weights = {
            f"weight_ih{suffix}": np.concatenate([own[f"{name}.kernel"].T for name in names]),
            f"weight_hh{suffix}": np.concatenate([own[f"h{gate}.kernel"].T for gate in LSTM]),
        }
        return weights | ({f"bias_{part}{suffix}": both for part in ("ih", "hh")} if bias else {})

    return ruled(lstm_gates, _shapes(4, inputs, width, bias, suffix), to_flax, adjoint)


def gru(inputs: int, width: int, bias: bool = True, suffix: str = "_l0") -> Layer:
    """`nn.GRU` is `nnx.GRUCell` where its `b_hn` is 0: nnx has no such bias. Both order the gates r, z, n."""

    def to_flax(own: Arrays) -> Arrays:
        x, h, *_ = _stacked(own, suffix)
        summed = np.zeros(3 * width)
        if bias:
            summed = own[f"bias_ih{suffix}"] + own[f"bias_hh{suffix}"]
            if np.any(own[f"bias_hh{suffix}"][2 * width :]):
                raise BadInput(
                    f"`nnx.GRUCell` has no `b_hn`, the last third of bias_hh{suffix}: set it to 0, or use linen's"
                )
        return {"dense_i.kernel": x.T, "dense_h.kernel": h.T, "dense_i.bias": summed}

    def adjoint(own: Arrays) -> Arrays:
        found = {f"weight_ih{suffix}": own["dense_i.kernel"].T, f"weight_hh{suffix}": own["dense_h.kernel"].T}
        if bias:
            hidden = np.array(own["dense_i.bias"])
            hidden[2 * width :] = 0
            found |= {f"bias_ih{suffix}": own["dense_i.bias"], f"bias_hh{suffix}": hidden}
        return found

    absent = {f"bias_hh{suffix}": slice(2 * width, None)} if bias else {}
    return ruled(gru, _shapes(3, inputs, width, bias, suffix), to_flax, adjoint, absent=absent)


def gru_gates(inputs: int, width: int, bias: bool = True, suffix: str = "_l0") -> Layer:
    """`nn.GRU`'s stacked gates are six kernels in linen's `GRUCell`; r and z hold the sum of the two biases."""

    def to_flax(own: Arrays) -> Arrays:
        x, h, b, c = _stacked(own, suffix) if bias else (*_stacked(own, suffix)[:2], *np.zeros((2, 3 * width)))
        mapped = {f"i{gate}.kernel": w.T for gate, w in zip(GRU, np.split(x, 3), strict=True)}
        mapped |= {f"h{gate}.kernel": w.T for gate, w in zip(GRU, np.split(h, 3), strict=True)}
        (br, bz, bn), (cr, cz, cn) = np.split(b, 3), np.split(c, 3)
        return mapped | {"ir.bias": br + cr, "iz.bias": bz + cz, "in.bias": bn, "hn.bias": cn}

    def adjoint(own: Arrays) -> Arrays:
        found = {
            f"weight_ih{suffix}": np.concatenate([own[f"i{gate}.kernel"].T for gate in GRU]),
            f"weight_hh{suffix}": np.concatenate([own[f"h{gate}.kernel"].T for gate in GRU]),
        }
        if bias:
            shared = [own["ir.bias"], own["iz.bias"]]
            found[f"bias_ih{suffix}"] = np.concatenate([*shared, own["in.bias"]])
            found[f"bias_hh{suffix}"] = np.concatenate([*shared, own["hn.bias"]])
        return found

    return ruled(gru_gates, _shapes(3, inputs, width, bias, suffix), to_flax, adjoint)


def _stacked(own: Arrays, suffix: str) -> list[np.ndarray]:
    names = (f"weight_ih{suffix}", f"weight_hh{suffix}", f"bias_ih{suffix}", f"bias_hh{suffix}")
    return [own[name] for name in names if name in own]


def _shapes(gates: int, inputs: int, width: int, bias: bool, suffix: str) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {f"weight_ih{suffix}": (gates * width, inputs)}
    shapes[f"weight_hh{suffix}"] = (gates * width, width)
    return shapes | ({f"bias_{part}{suffix}": (gates * width,) for part in ("ih", "hh")} if bias else {})
