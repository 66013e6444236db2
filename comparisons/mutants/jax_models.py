"""The right side of every planted bug: eight small models in JAX, in PyTorch's names and layouts."""

import jax
import jax.numpy as jnp
import optax


def _linear(p, name, x):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def _norm(p, name, x, eps=1e-5):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + eps)
    return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]


def mlp(p, b):
    z = jax.nn.gelu(_norm(p, "norm", _linear(p, "l1", b["x"])), approximate=False)
    z = jax.nn.gelu(_linear(p, "l2", z), approximate=False)
    labels = optax.smooth_labels(jax.nn.one_hot(b["label"], 5, dtype=z.dtype), 0.1)
    main = optax.softmax_cross_entropy(_linear(p, "head", z) + b["buffer"], labels).mean()
    return {"main": main, "aux": 1e-3 * ((_linear(p, "aux", z)[:, 0] - b["target"]) ** 2).mean()}


def conv(p, b):
    x = jax.lax.conv_general_dilated(b["image"], p["conv.weight"], (2, 2), ((1, 1), (1, 1)))
    centred = x - x.mean((0, 2, 3), keepdims=True)
    x = centred / jnp.sqrt((centred**2).mean((0, 2, 3), keepdims=True) + 1e-5)
    x = jnp.tanh(x * p["norm.weight"][:, None, None] + p["norm.bias"][:, None, None])
    still = (x - (0.9 * b["mean"] + 0.1 * b["batch_mean"])[:, None, None]) / jnp.sqrt(b["var"][:, None, None] + 1e-5)
    up = jax.lax.conv_transpose(
        x.transpose(0, 2, 3, 1), p["up.weight"].transpose(2, 3, 1, 0), (2, 2), ((1, 1), (1, 1)), transpose_kernel=True
    )
    drawn = ((up.transpose(0, 3, 1, 2) - b["drawn"]) ** 2).mean()
    return {"class": (_linear(p, "out", still.reshape(len(x), -1)) ** 2).mean(), "drawn": drawn}


def attention(p, b):
    x = b["x"]
    heads = lambda y: y.reshape(2, 5, 2, 4).transpose(0, 2, 1, 3)  # noqa: E731
    q, k, v = map(heads, jnp.split(_linear(p, "qkv", _norm(p, "norm", x)), 3, -1))
    angle = b["angle"]

    def turned(y):
        even, odd = y[..., ::2], y[..., 1::2]
        pairs = (even * jnp.cos(angle) - odd * jnp.sin(angle), odd * jnp.cos(angle) + even * jnp.sin(angle))
        return jnp.stack(pairs, -1).reshape(y.shape)

    scores = turned(q) @ turned(k).swapaxes(-1, -2) / 2.0
    scores = jnp.where(jnp.tril(jnp.ones((5, 5), bool)), scores, -jnp.inf)
    mixed = (jax.nn.softmax(scores) * b["kept"]) @ v
    y = x + _linear(p, "out", mixed.transpose(0, 2, 1, 3).reshape(2, 5, 8))
    return {"last": (y[:, -1] ** 2).mean(), "mean": jnp.tanh(y).mean()}


def recurrent(p, b):
    h, c, g = (jnp.zeros((3, 4), b["x"].dtype) for _ in range(3))
    for x in b["x"]:
        i, f, n, o = jnp.split(x @ p["lstm.ih"].T + h @ p["lstm.hh"].T + p["lstm.bias"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(n)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        r, z, n = jnp.split(x @ p["gru.ih"].T + p["gru.bias"], 3, -1)
        hr, hz, hn = jnp.split(g @ p["gru.hh"].T + p["gru.hidden_bias"], 3, -1)
        new = jnp.tanh(n + jax.nn.sigmoid(r + hr) * hn)
        z = jax.nn.sigmoid(z + hz)
        g = (1 - z) * new + z * g
    return {"lstm": (h**2).mean(), "gru": (g**2).sum()}


def words(p, b):
    x = p["embed.weight"][b["word"]]
    x = jnp.where((b["word"] == 0)[:, None], jax.lax.stop_gradient(x), x)
    x = _norm(p, "norm", x) * b["kept"]
    logits = x @ p["embed.weight"].T * 8**-0.5
    each = optax.softmax_cross_entropy_with_integer_labels(logits, b["next"])
    return {"next": (each * b["counted"]).sum() / b["counted"].sum(), "decay": (p["embed.weight"] ** 2).sum() / 2}


def waves(p, b):
    z = b["x"] @ p["w"]
    return {"power": (abs(z) ** 2).mean(), "real": (z.real**3).mean()}


def wide(p, b):
    return {"fit": (jnp.tanh(b["x"] @ p["w"].T) ** 2).sum()}


def uneven(p, b):
    return {"fit": (jnp.tanh(b["x"] @ p["w"].T) ** 2).sum() + 1e-6 * (p["s"] ** 2).sum()}
