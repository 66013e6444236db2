"""The wrong side: the same eight models in PyTorch, right by default, and wrong where `bug` names what to plant."""

import torch
import torch.nn.functional as F


def _linear(p, name, x):
    return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])


def _norm(p, name, x, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], eps)


def mlp(p, b, bug=""):
    if bug == "stale weights":
        p = {name: w if name.startswith("aux") else w * (1 - 1e-5) for name, w in p.items()}
    form = "tanh" if bug == "gelu tanh" else "none"
    z = _linear(p, "l1", b["x"])
    if bug == "unbiased variance":
        z = (z - z.mean(-1, keepdim=True)) / (z.var(-1, keepdim=True) + 1e-5).sqrt()
        z = z * p["norm.weight"] + p["norm.bias"]
    elif bug == "scale is one plus":
        z = _norm({**p, "norm.weight": 1 + p["norm.weight"]}, "norm", z)
    else:
        z = _norm(p, "norm", z, 1e-6 if bug == "norm epsilon" else 1e-5)
    z = F.gelu(z, approximate=form)
    if bug == "dropout left on":
        z = z * b["kept"]
    square = {**p, "l2.weight": p["l2.weight"].T} if bug == "transposed square weight" else p
    z = F.gelu(_linear(square, "l2", z), approximate=form)
    seen = z.detach() if bug == "detached auxiliary trunk" else z
    bias = p["head.bias"] if bug == "trained buffer" else b["buffer"]
    smooth = 0.0 if bug == "no label smoothing" else 0.1
    main = F.cross_entropy(_linear(p, "head", z) + bias, b["label"], label_smoothing=smooth)
    head = "head" if bug == "wrong head" else "aux"
    aux = 1e-3 * ((_linear(p, head, seen)[:, 0] - b["target"]) ** 2).mean()
    if bug == "sum for mean":
        aux = aux * len(z)
    if bug == "broadcast target":
        aux = 1e-3 * ((_linear(p, "aux", seen) - b["target"]) ** 2).mean()
    weight = {"dropped loss": 0.0, "halved loss": 0.5, "loss off by 1e-9": 1 + 1e-9}.get(bug, 1.0)
    if bug == "losses swapped":
        return {"main": aux, "aux": main}
    if bug == "one loss leaks":
        main = main + aux
    return {"main": main, "aux": weight * aux}


def conv(p, b, bug=""):
    image = F.pad(b["image"], (0, 1, 0, 1)) if bug == "padding SAME" else b["image"]
    x = F.conv2d(image, p["conv.weight"], stride=2, padding=0 if bug == "padding SAME" else 1)
    if bug == "evaluation mode":
        x = F.batch_norm(x, b["mean"], b["var"], p["norm.weight"], p["norm.bias"])
    else:
        x = F.batch_norm(
            x, None, None, p["norm.weight"], p["norm.bias"], True, eps=1e-3 if bug == "batch norm epsilon" else 1e-5
        )
    x = torch.tanh(x)
    var = b["var"] * (9 / 8 if bug == "unbiased running variance" else 1)
    keep = {"momentum convention": 0.1, "momentum default": 0.99}.get(bug, 0.9)
    mean = keep * b["mean"] + (1 - keep) * b["batch_mean"]
    still = (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
    if bug == "flatten order":
        still = still.permute(0, 2, 3, 1)
    kernel = p["up.weight"].flip(2, 3) if bug == "flipped kernel" else p["up.weight"]
    drawn = ((F.conv_transpose2d(x, kernel, stride=2, padding=1) - b["drawn"]) ** 2).mean()
    return {"class": (_linear(p, "out", still.flatten(1)) ** 2).mean(), "drawn": drawn}


def attention(p, b, bug=""):
    x = b["x"]
    inner = x if bug == "post-norm" else _norm(p, "norm", x)
    q, k, v = (y.reshape(2, 5, 2, 4).transpose(1, 2) for y in _linear(p, "qkv", inner).chunk(3, -1))
    if bug == "query and key swapped":
        q, k = k, q
    if bug == "key and value swapped":
        k, v = v, k
    if bug == "heads interleaved":
        q, k, v = (y.transpose(1, 2).reshape(2, 5, 4, 2).permute(0, 3, 1, 2) for y in (q, k, v))
    angle = b["angle"]

    def turned(y):
        even, odd = y[..., ::2], y[..., 1::2]
        sign = 1 if bug == "rotary sign" else -1
        pairs = (even * angle.cos() + sign * odd * angle.sin(), odd * angle.cos() + even * angle.sin())
        return torch.stack(pairs, -1).reshape(y.shape)

    scores = turned(q) @ turned(k).transpose(-1, -2) / (8**0.5 if bug == "scale by width" else 2.0)
    if bug == "float32 softmax":
        scores = scores.float()
    if bug != "no causal mask":
        scores = scores.masked_fill(~torch.ones(5, 5, dtype=torch.bool).tril(), -torch.inf)
    kept = 1.0 if bug == "attention dropout off" else b["kept"]
    mixed = (scores.softmax(-1).to(v.dtype) * kept) @ v
    y = x + _linear(p, "out", mixed.transpose(1, 2).reshape(2, 5, 8))
    y = _norm(p, "norm", y) if bug == "post-norm" else y
    return {"last": (y[:, -2 if bug == "off by one" else -1] ** 2).mean(), "mean": torch.tanh(y).mean()}


def recurrent(p, b, bug=""):
    h, c, g = (torch.zeros(3, 4, dtype=b["x"].dtype) for _ in range(3))
    for step, x in enumerate(b["x"]):
        if bug == "truncated" and step == 1:
            h, c = h.detach(), c.detach()
        gates = (x @ p["lstm.ih"].T + h @ p["lstm.hh"].T + p["lstm.bias"]).chunk(4, -1)
        i, f, n, o = (gates[k] for k in ((0, 2, 1, 3) if bug == "gate order" else (0, 1, 2, 3)))
        f = f + 1.0 if bug == "forget bias" else f
        c = f.sigmoid() * c + i.sigmoid() * n.tanh()
        h = o.sigmoid() * c.tanh()
        r, z, n = (x @ p["gru.ih"].T + p["gru.bias"]).chunk(3, -1)
        hr, hz, hn = (g @ p["gru.hh"].T + p["gru.hidden_bias"]).chunk(3, -1)
        r, z = (r + hr).sigmoid(), (z + hz).sigmoid()
        if bug == "reset before the product":
            new = torch.tanh(n + F.linear(r * g, p["gru.hh"][8:], p["gru.hidden_bias"][8:]))
        else:
            new = torch.tanh(n + r * hn)
        g = z * new + (1 - z) * g if bug == "update gate inverted" else (1 - z) * new + z * g
    return {"lstm": (h**2).mean(), "gru": (g**2).sum()}


def words(p, b, bug=""):
    padding = None if bug == "padding row trained" else 0
    x = F.embedding(b["word"], p["embed.weight"], padding_idx=padding)
    if bug == "dropout after norm":
        x = _norm(p, "norm", x * b["kept"])
    elif bug == "dropout off":
        x = _norm(p, "norm", x)
    else:
        x = _norm(p, "norm", x) * b["kept"]
    table = p["embed.weight"].detach() if bug == "weights not tied" else p["embed.weight"]
    logits = x @ table.T * (1.0 if bug == "unscaled tied head" else 8**-0.5)
    each = F.cross_entropy(logits, b["next"], reduction="none")
    mean = each.mean() if bug == "padding counted" else (each * b["counted"]).sum() / b["counted"].sum()
    return {"next": mean, "decay": (p["embed.weight"] ** 2).sum() / (1 if bug == "missing half" else 2)}


def waves(p, b, bug=""):
    z = b["x"] @ p["w"]
    return {"power": (z.abs() ** 2).mean(), "real": ((z.imag if bug == "imaginary for real" else z.real) ** 3).mean()}


def wide(p, b, bug=""):
    return {"fit": (torch.tanh(b["x"] @ p["w"].T) ** 2).sum()}


def uneven(p, b, bug=""):
    return {"fit": (torch.tanh(b["x"] @ p["w"].T) ** 2).sum() + 1e-6 * (p["s"] ** 2).sum()}
