"""What a layer is, by its type: the classes of torch.nn and of Flax that a rule knows."""

from typing import Any

TORCH = {
    "Linear": "linear",
    "Conv1d": "conv",
    "Conv2d": "conv",
    "Conv3d": "conv",
    "ConvTranspose1d": "conv transpose",
    "ConvTranspose2d": "conv transpose",
    "ConvTranspose3d": "conv transpose",
    "Embedding": "embedding",
    "LayerNorm": "layer norm",
    "GroupNorm": "group norm",
    "RMSNorm": "rms norm",
    "BatchNorm1d": "batch norm",
    "BatchNorm2d": "batch norm",
    "BatchNorm3d": "batch norm",
    "MultiheadAttention": "attention",
    "LSTM": "lstm",
    "LSTMCell": "lstm",
    "GRU": "gru",
    "GRUCell": "gru",
}
FLAX = {
    "Linear": "linear",
    "Dense": "linear",
    "LinearGeneral": "general",
    "DenseGeneral": "general",
    "Conv": "conv",
    "ConvTranspose": "conv transpose",
    "Embed": "embedding",
    "LayerNorm": "layer norm",
    "GroupNorm": "group norm",
    "RMSNorm": "rms norm",
    "BatchNorm": "batch norm",
    "MultiHeadAttention": "attention",
    "MultiHeadDotProductAttention": "attention",
    "OptimizedLSTMCell": "lstm",
    "LSTMCell": "lstm",
    "GRUCell": "gru",
}


def kind_of(module: Any, package: str, table: dict[str, str]) -> str | None:
    """The kind of the nearest base class that the framework itself defines."""
    for base in type(module).__mro__:
        if base.__module__.startswith(package) and base.__name__ in table:
            return table[base.__name__]
    return None
