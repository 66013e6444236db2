"""One torch module, one nnx module and one linen module, each with every layer type that `port` covers.

Each layer reads the batch and adds a term to one loss, so that one compiled program covers the table.
"""

from functools import partial

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from torch import nn

RNG = np.random.default_rng(5)


def _draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


BATCH = {
    "rows": _draw(3, 6),
    "line": _draw(3, 9, 4),  # (batch, space, channels): Flax's order
    "image": _draw(3, 6, 5, 4),
    "volume": _draw(2, 3, 4, 3, 4),
    "tokens": _draw(2, 5, 8),
    "other": _draw(2, 4, 6),
    "steps": _draw(2, 3, 3),
    "words": RNG.integers(0, 7, (3, 4)),
}


def first(x):
    """Flax's axes to PyTorch's, as a copy: GroupNorm's backward in torch 2.13 crashes on the strided view."""
    return x.movedim(-1, 1).contiguous()


class Torch(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 4, bias=False)
        self.conv1 = nn.Conv1d(4, 6, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(4, 6, (3, 2), padding=(2, 1), dilation=(2, 1), groups=2)
        self.same = nn.Conv2d(4, 4, (3, 5), padding="same")
        self.conv3 = nn.Conv3d(4, 2, 2, bias=False)
        self.up1 = nn.ConvTranspose1d(4, 3, 4, stride=2, padding=1)
        self.up2 = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1)
        self.up3 = nn.ConvTranspose3d(4, 2, 2, stride=2)
        self.up_valid = nn.ConvTranspose2d(4, 3, 3, stride=2)
        self.embed = nn.Embedding(7, 6)
        self.layer_norm = nn.LayerNorm(6)
        self.group_norm = nn.GroupNorm(2, 4)
        self.rms_norm = nn.RMSNorm(6, eps=1e-6)
        self.batch_norm = nn.BatchNorm2d(4)
        self.frozen_norm = nn.BatchNorm2d(4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.cross = nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True)
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.lstm_gates = nn.LSTM(3, 4, batch_first=True, bias=False)
        self.gru = nn.GRU(3, 4, batch_first=True)
        self.position = nn.Parameter(torch.zeros(5, 8))
        self.frozen_norm.eval()
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.from_numpy(_draw(*parameter.shape)) / 2 + (0.5 if parameter.ndim == 1 else 0))
            self.frozen_norm.running_mean.copy_(torch.from_numpy(_draw(4)))
            self.frozen_norm.running_var.copy_(torch.from_numpy(_draw(4) ** 2 + 0.5))


def torch_outputs(m, b):
    return {
        "linear": m.linear(b["rows"]),
        "conv1": m.conv1(first(b["line"])),
        "conv2": m.conv2(first(b["image"])),
        "same": m.same(first(b["image"])),
        "conv3": m.conv3(first(b["volume"])),
        "up1": m.up1(first(b["line"])),
        "up2": m.up2(first(b["image"])),
        "up3": m.up3(first(b["volume"])),
        "up_valid": m.up_valid(first(b["image"])),
        "embed": m.embed(b["words"]),
        "layer_norm": m.layer_norm(b["rows"]),
        "group_norm": m.group_norm(first(b["image"])),
        "rms_norm": m.rms_norm(b["rows"]),
        "batch_norm": m.batch_norm(first(b["image"])),
        "frozen_norm": m.frozen_norm(first(b["image"])),
        "attention": m.attention(*[b["tokens"] + m.position] * 3, need_weights=False)[0],
        "cross": m.cross(b["tokens"], b["other"], b["other"], need_weights=False)[0],
        "lstm": m.lstm(b["steps"])[0][:, -1],
        "lstm_gates": m.lstm_gates(b["steps"])[0][:, -1],
        "gru": m.gru(b["steps"])[0][:, -1],
    }


def torch_losses(m, b):
    return {"all": sum((torch.tanh(y) ** 2).mean() for y in torch_outputs(m, b).values())}


def attend(query, key, value, **_):
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / query.shape[-1] ** 0.5
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), value)


def last(cell, steps):
    start = jnp.zeros((len(steps), 4), steps.dtype)
    carry = start if "GRU" in type(cell).__name__ else (start, start)
    for k in range(steps.shape[1]):
        carry, y = cell(carry, steps[:, k])
    return y


class Nnx(nnx.Module):
    def __init__(self, rngs):
        conv, up = partial(nnx.Conv, rngs=rngs), partial(nnx.ConvTranspose, rngs=rngs)
        self.linear = nnx.Linear(6, 4, use_bias=False, rngs=rngs)
        self.conv1 = conv(4, 6, (3,), strides=2, padding=1)
        self.conv2 = conv(4, 6, (3, 2), padding=(2, 1), kernel_dilation=(2, 1), feature_group_count=2)
        self.same = conv(4, 4, (3, 5), padding="SAME")
        self.conv3 = conv(4, 2, (2, 2, 2), padding="VALID", use_bias=False)
        self.up1 = up(4, 3, (4,), strides=2, padding=2)
        self.up2 = up(4, 3, (3, 3), strides=(2, 2), padding=((1, 2), (1, 2)), transpose_kernel=True)
        self.up3 = up(4, 2, (2, 2, 2), strides=(2, 2, 2), padding="VALID")
        self.up_valid = up(4, 3, (3, 3), strides=(2, 2), padding="VALID")
        self.embed = nnx.Embed(7, 6, rngs=rngs)
        self.layer_norm = nnx.LayerNorm(6, epsilon=1e-5, rngs=rngs)
        self.group_norm = nnx.GroupNorm(4, num_groups=2, epsilon=1e-5, rngs=rngs)
        self.rms_norm = nnx.RMSNorm(6, rngs=rngs)
        self.batch_norm = nnx.BatchNorm(4, momentum=0.9, rngs=rngs)
        self.frozen_norm = nnx.BatchNorm(4, momentum=0.9, use_running_average=True, rngs=rngs)
        attention = partial(nnx.MultiHeadAttention, 2, attention_fn=attend, decode=False, rngs=rngs)
        self.attention = attention(8)
        self.cross = attention(8, in_kv_features=6)
        self.lstm = nnx.OptimizedLSTMCell(3, 4, rngs=rngs)
        self.lstm_gates = nnx.LSTMCell(3, 4, rngs=rngs)
        self.gru = nnx.GRUCell(3, 4, rngs=rngs)
        self.position = nnx.Param(jnp.zeros((5, 8)))


def nnx_outputs(m, b):
    return {
        **{name: getattr(m, name)(b["rows"]) for name in ("linear", "layer_norm", "rms_norm")},
        **{name: getattr(m, name)(b["line"]) for name in ("conv1", "up1")},
        **{
            name: getattr(m, name)(b["image"])
            for name in ("conv2", "same", "up2", "up_valid", "group_norm", "batch_norm", "frozen_norm")
        },
        **{name: getattr(m, name)(b["volume"]) for name in ("conv3", "up3")},
        "embed": m.embed(b["words"]),
        "attention": m.attention(b["tokens"] + m.position),
        "cross": m.cross(b["tokens"], b["other"], b["other"]),
        **{name: last(getattr(m, name), b["steps"]) for name in ("lstm", "lstm_gates", "gru")},
    }


def flax_losses(outputs):
    return {"all": sum((jnp.tanh(y) ** 2).mean() for y in outputs.values())}


class Linen(linen.Module):
    @linen.compact
    def __call__(self, b):
        up = partial(linen.ConvTranspose, 3)
        attention = partial(linen.MultiHeadDotProductAttention, 2, qkv_features=8, attention_fn=attend)
        rows, line, image, steps = b["rows"], b["line"], b["image"], b["steps"]
        tokens = b["tokens"] + self.param("position", jax.nn.initializers.zeros, (5, 8))
        batch_norm = partial(linen.BatchNorm, momentum=0.9)
        return {
            "linear": linen.Dense(4, use_bias=False, name="linear")(rows),
            "conv1": linen.Conv(6, (3,), strides=2, padding=1)(line),
            "conv2": linen.Conv(6, (3, 2), padding=(2, 1), kernel_dilation=(2, 1), feature_group_count=2)(image),
            "same": linen.Conv(4, (3, 5), padding="SAME")(image),
            "conv3": linen.Conv(2, (2, 2, 2), padding="VALID", use_bias=False)(b["volume"]),
            "up1": up((4,), strides=(2,), padding=[(2, 2)])(line),
            "up2": up((3, 3), strides=(2, 2), padding=((1, 2), (1, 2)), transpose_kernel=True)(image),
            "up3": linen.ConvTranspose(2, (2, 2, 2), strides=(2, 2, 2), padding="VALID")(b["volume"]),
            "up_valid": up((3, 3), strides=(2, 2), padding="VALID")(image),
            "embed": linen.Embed(7, 6)(b["words"]),
            "layer_norm": linen.LayerNorm(epsilon=1e-5)(rows),
            "group_norm": linen.GroupNorm(2, epsilon=1e-5)(image),
            "rms_norm": linen.RMSNorm()(rows),
            "batch_norm": batch_norm(use_running_average=False)(image),
            "frozen_norm": batch_norm(use_running_average=True)(image),
            "attention": attention()(tokens, tokens),
            "cross": attention(out_features=8)(b["tokens"], b["other"], b["other"]),
            "lstm": last(linen.OptimizedLSTMCell(4), steps),
            "lstm_gates": last(linen.LSTMCell(4), steps),
            "gru": last(linen.GRUCell(4), steps),
        }
