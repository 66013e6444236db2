"""The rows behind the page's pictures: the strip's bytes are the closed form's, the graph's nodes are PyTorch's own."""

from itertools import groupby

import numpy as np
import pytest

from comparisons import angles, graphs, watch
from comparisons.memory import predictions, sides, strip
from comparisons.memory.strip.stage import SIZES, problem

SMALL = predictions.Sizes(**SIZES)
PHASED = {
    "torch": ["per_loss_retained", "accumulated", "summed", "per_loss_one_hot", "summed_split", "summed_checkpointed"],
    "jax": ["per_loss_retained", "per_loss_batched"],
}


def held(rows):
    """Bytes alive at each moment, by its name."""
    return {
        phase: sum(row["bytes"] for row in members if row["alive"])
        for (_, phase), members in groupby(rows, key=lambda row: (row["step"], row["phase"]))
    }


@pytest.mark.xdist_group("jax phases")
@pytest.mark.parametrize(("side", "name"), [(side, name) for side, names in PHASED.items() for name in names])
def test_what_is_alive_is_what_the_closed_form_says(side, name):
    found = held(strip.rows(side, name))
    assert found["forward"] == predictions.phase(side, name, "forward", SMALL)
    assert [*found.values()][-2] == predictions.phase(side, name, "last", SMALL)
    assert found["dropped"] == 0


def test_retained_tensors_outlive_the_last_backward_and_their_owners_are_told_apart():
    rows = strip.rows("torch", "per_loss_retained")
    assert [*held(rows)] == ["forward", "after A", "after B", "dropped"]
    left = [(row["owner"], row["op"]) for row in rows if row["phase"] == "after B" and row["alive"]]
    assert left == [("shared", "addmm, tanh"), ("A", "addmm, tanh"), ("A", "pow")]


def test_a_recomputed_trunk_is_another_tensor():
    rows = strip.rows("torch", "per_loss_recomputed")
    assert [*held(rows)] == ["forward", "after A", "before B", "after B", "dropped"]
    alive = {phase: {r["tensor"] for r in rows if r["phase"] == phase and r["alive"]} for phase in held(rows)}
    assert alive["forward"]
    assert alive["before B"]
    assert not alive["forward"] & alive["before B"]


def test_one_backward_through_both_heads_is_not_told_as_a_s():
    assert [*held(strip.rows("torch", "per_loss_grouped"))] == ["forward", "after heads", "after both", "dropped"]


def test_where_there_is_no_moment_a_row_says_why():
    for side, name in (("torch", "per_loss_functional"), ("torch", "directional"), ("jax", "summed")):
        (row,) = strip.rows(side, name)
        assert row["status"] == "unsupported"
        assert row["reason"]


def test_the_autograd_graph_is_whole_and_the_trunk_is_shared():
    rows = graphs.rows("torch")
    side = sides.torch_side("many_heads", problem())
    nodes = [row for row in rows if row["kind"] == "node"]
    assert sorted(row["op"] for row in nodes) == sorted(watch.nodes(*side.losses(side.params).values()).values())
    owners = {row["name"]: row["owner"] for row in nodes if row["name"]}
    assert {name: owner for name, owner in owners.items() if name.startswith("trunk.")}.keys() == {
        name for name in side.params if name.startswith("trunk.")
    }
    assert all(owners[name] == ("shared" if name.startswith("trunk.") else "AB"[int(name[6])]) for name in side.params)


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_edges_lead_from_earlier_nodes_to_later_ones(framework):
    rows = graphs.rows(framework)
    ranks = {row["node"]: row["rank"] for row in rows if row["kind"] == "node"}
    edges = [(row["source"], row["target"]) for row in rows if row["kind"] == "edge"]
    assert len(edges) == len(set(edges))
    assert all(ranks[source] < ranks[target] for source, target in edges)
    assert {row["name"] for row in rows if row.get("name")} >= {"A", "B"}


def test_angles_are_those_of_the_gram_matrix_and_a_wrong_one_is_caught():
    gram = np.diag([4.0, 1.0, 9.0, 1.0])
    gram[0, 1] = gram[1, 0] = -1.0
    head = {"id": "angles", "status": "ok"}
    row = angles._row(head, 5, gram)
    assert (row["norm_digit"], row["cos_digit_odd"], row["cos_odd_pixels"]) == (2.0, -0.5, 0.0)
    assert angles._judged(row, row)["status"] == "ok"
    wrong = angles._judged(row, angles._row(head, 5, gram * (1 + 1e-8)))
    assert wrong["status"] == "differs"
    assert "from PyTorch's" in wrong["reason"]
