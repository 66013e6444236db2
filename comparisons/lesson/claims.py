"""The lesson's claims, in its order, and the verdict that is predicted for each.

A claim holds in all, some or none of the cases that its check tries: true, partly, false. Nothing here is evidence;
a prediction that the evidence does not bear out is a row with status `differs`.
"""

from typing import NamedTuple

from comparisons.facts import Fact


class Claim(NamedTuple):
    check: str
    says: str
    predicted: str


class Checked(NamedTuple):
    """What a check found: the cases that decide the verdict, PyTorch facts worth adding, and what holds in JAX."""

    cases: list[Fact]
    asides: list[Fact]
    jax: list[Fact]


CLAIMS = {
    1: Claim("lifetime.forward_saves", "The forward saves intermediate tensors.", "partly"),
    2: Claim("lifetime.graph_destroyed", "After a backward the graph is removed from memory.", "partly"),
    3: Claim("lifetime.second_backward", "A second backward on the same output gives an error.", "partly"),
    4: Claim("lifetime.cell_one", "Cell 1: (x @ w).sum() goes backward once; the second time is the error.", "true"),
    5: Claim("several.multi_task", "Multi-task learning, several losses on one network, needs retain_graph.", "partly"),
    6: Claim("several.look_first", "Looking at gradients before the real step needs retain_graph.", "false"),
    7: Claim("several.gans", "GANs sometimes need retain_graph.", "partly"),
    8: Claim("several.one_graph", "loss_main and loss_reg hang on one graph.", "false"),
    9: Claim("several.reg_needs_graph", "loss_reg needs the graph of x @ w, so loss_main must retain it.", "false"),
    10: Claim("several.gradients_add", "After both backwards, .grad holds the sum.", "true"),
    11: Claim("lifetime.retain_keeps", "retain_graph=True: do not delete the buffers after backward.", "true"),
    12: Claim("higher.create_graph", "create_graph=True makes the gradient differentiable.", "true"),
    13: Claim(
        "higher.notebooks", "create_graph is for higher derivatives: Hessian and MAML, notebooks 11 and 75.", "partly"
    ),
    14: Claim("memory.whole_history", "retain_graph keeps the whole history of activations in memory.", "partly"),
    15: Claim("memory.sum_is_lighter", "Summing the losses is faster and lighter (in 99% of cases).", "partly"),
    16: Claim("memory.huge_in_graph", "Cell 3: after a retaining backward the graph holds `huge` in memory.", "false"),
    17: Claim("lifetime.two_ways_to_free", "A backward without retain, or deleting the variable, frees it.", "partly"),
    18: Claim("memory.memory_freed", 'Cell 3 ends: "Memory freed."', "false"),
    19: Claim("higher.environment", "The set-up cell makes the environment that of the repository.", "false"),
}
