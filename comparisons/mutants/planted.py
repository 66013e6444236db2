"""The table of planted porting bugs, those from public histories with where they were found."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Mutant(NamedTuple):
    """One bug: its model, a name that the model knows or a change of the gradients, and where it was found."""

    model: str
    bug: str
    source: str = ""
    after: Callable[[dict], None] | None = None


def _conjugated(grads: dict) -> None:
    for grad in grads.values():
        grad["w"] = grad["w"].conj()


def _one_element(grads: dict) -> None:
    worst = np.unravel_index(abs(grads["fit"]["w"]).argmax(), (1000, 1000))
    grads["fit"]["w"][worst] *= 1 + 1e-9


def _small_leaf(grads: dict) -> None:
    grads["fit"]["s"] *= 1 + 5e-9


def _transposed(grads: dict) -> None:
    grads["main"]["l2.weight"] = grads["main"]["l2.weight"].T.copy()


def _accumulated(grads: dict) -> None:
    for name in grads["main"]:
        both = [g for g in (grads["main"][name], grads["aux"][name]) if g is not None]
        grads["aux"][name] = sum(both) if both else None


MUTANTS = (
    Mutant("mlp", "trained buffer", "huggingface/transformers#16345: FlaxBart's logits bias is a buffer in PyTorch"),
    Mutant("attention", "rotary sign", "huggingface/transformers#16298: FlaxGPTJ's rotary embeddings"),
    Mutant("words", "dropout after norm", "huggingface/transformers#17842: FlaxBigBird's order of norm and dropout"),
    Mutant("attention", "attention dropout off", "huggingface/transformers#28059: Flax LLaMA's attention dropout"),
    Mutant("mlp", "gelu tanh", "huggingface/pytorch-image-models#2533: MobileNetV5's GELU against JAX's"),
    Mutant("conv", "padding SAME", "google/flax#963: ResNet with a stride, SAME against padding=1"),
    Mutant("conv", "momentum default", "scverse/scvi-tools#2309: Flax's BatchNorm set to PyTorch's defaults"),
    Mutant("recurrent", "reset before the product", "tracel-ai/burn#2704: GRU's new gate against PyTorch's"),
    Mutant("words", "unscaled tied head", "ml-explore/mlx-examples#591: T5's scale where embeddings are tied"),
    Mutant("mlp", "norm epsilon", "huggingface/candle#271: LLaMA's norm epsilon, 1e-5 against 1e-6"),
    Mutant("mlp", "sum for mean", "scverse/scvi-tools#1228: Stereoscope's loss, a sum in the original"),
    Mutant("waves", "conjugated gradient", "yhtang/FunFact#130: JAX's convention for complex gradients", _conjugated),
    Mutant("conv", "flipped kernel", "jax-ml/jax#11252: linen.ConvTranspose against nn.ConvTranspose2d"),
    Mutant("words", "padding counted", "huggingface/transformers#7546: a loss that counts padding"),
    Mutant("mlp", "unbiased variance"),
    Mutant("mlp", "scale is one plus"),
    Mutant("mlp", "detached auxiliary trunk"),
    Mutant("mlp", "dropped loss"),
    Mutant("mlp", "halved loss"),
    Mutant("mlp", "loss off by 1e-9"),
    Mutant("mlp", "losses swapped"),
    Mutant("mlp", "one loss leaks"),
    Mutant("mlp", "wrong head"),
    Mutant("mlp", "no label smoothing"),
    Mutant("mlp", "broadcast target"),
    Mutant("mlp", "stale weights"),
    Mutant("mlp", "transposed square weight"),
    Mutant("mlp", "transposed square gradient", "", _transposed),
    Mutant("mlp", "accumulated gradients", "", _accumulated),
    Mutant("conv", "batch norm epsilon"),
    Mutant("conv", "evaluation mode"),
    Mutant("conv", "unbiased running variance"),
    Mutant("conv", "momentum convention"),
    Mutant("conv", "flatten order"),
    Mutant("attention", "query and key swapped"),
    Mutant("attention", "key and value swapped"),
    Mutant("attention", "heads interleaved"),
    Mutant("attention", "scale by width"),
    Mutant("attention", "no causal mask"),
    Mutant("attention", "post-norm"),
    Mutant("attention", "off by one"),
    Mutant("attention", "float32 softmax"),
    Mutant("recurrent", "gate order"),
    Mutant("recurrent", "forget bias"),
    Mutant("recurrent", "update gate inverted"),
    Mutant("recurrent", "truncated"),
    Mutant("words", "padding row trained"),
    Mutant("words", "dropout off"),
    Mutant("mlp", "dropout left on"),
    Mutant("words", "weights not tied"),
    Mutant("words", "missing half"),
    Mutant("waves", "imaginary for real"),
    Mutant("wide", "one element of 1e6 off by 1e-9", "", _one_element),
    Mutant("uneven", "a leaf a millionth of the largest off by 5e-9", "", _small_leaf),
)
