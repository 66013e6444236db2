"""Every card reproduces what it states, and a remedy that does not work is noticed."""

import ast
import importlib
import inspect
import json

import pytest

from comparisons import pitfalls, source
from comparisons.pitfalls import compiled, peers, twice
from comparisons.pitfalls.table import CARDS, FULL, ONE_SIDED

MODULES = ("graph", "parameters", "higher", "compiled", "traced", "singular", "stateful")


@pytest.mark.xdist_group("pitfalls")
@pytest.mark.parametrize("name", CARDS)
def test_card_holds(name):
    (row,) = pitfalls.rows(name)
    assert row["status"] == "ok", row["reason"]
    assert row["fix"]
    assert row["other"]
    json.dumps(row, allow_nan=False)


@pytest.mark.xdist_group("pitfalls")
def test_what_pytorch_warns_of_once_a_process_is_seen_again():
    for _ in range(2):
        (row,) = pitfalls.rows("create_graph_cycle")
        assert row["status"] == "ok", row["reason"]


@pytest.mark.slow
@pytest.mark.xdist_group("inductor")
@pytest.mark.parametrize("name", FULL)
def test_card_holds_under_inductor(name):
    (row,) = pitfalls.rows(name)
    if row["status"] == "not_measured":
        pytest.skip(row["reason"])
    assert row["status"] == "ok", row["reason"]


def test_without_a_compiler_inductor_is_not_measured(monkeypatch):
    monkeypatch.setattr(compiled, "compiler", lambda: None)
    (row,) = pitfalls.rows("compiled_second_order_inductor")
    assert row["status"] == "not_measured"


REMEDIES = [
    ("graph", "second_backward", "second_backward"),
    ("graph", "in_place_step", "in_place_step"),
    ("graph", "kept_losses", "kept_losses"),
    ("parameters", "no_zero_grad", "no_zero_grad"),
    ("higher", "create_graph_cycle", "create_graph_cycle"),
    ("higher", "hook_per_backward", "hook_per_backward"),
    ("traced", "concrete_value", "concrete_value"),
]


@pytest.mark.xdist_group("pitfalls")
@pytest.mark.parametrize(("module", "function", "card"), REMEDIES)
def test_a_remedy_that_does_not_work_is_noticed(module, function, card, monkeypatch):
    found = importlib.import_module(f"torch_impl.pitfalls.{module}")
    monkeypatch.setattr(found, f"{function}_fixed", getattr(found, function))
    (row,) = pitfalls.rows(card)
    assert row["status"] in ("differs", "failed")


@pytest.mark.xdist_group("pitfalls")
def test_toy_graphs_go_backward_twice_where_nothing_was_saved():
    rows = twice.rows()
    assert len(rows) >= 35
    assert [row["reason"] for row in rows if row["status"] != "ok"] == []
    assert {row["twice"] for row in rows} == {True, False}
    assert all(row["twice"] == (not row["holds"]) for row in rows)


@pytest.mark.xdist_group("pitfalls")
def test_a_wrong_prediction_of_a_toy_graph_differs(monkeypatch):
    monkeypatch.setitem(twice.OPS, "exp", twice.OPS["exp"]._replace(saves=""))
    assert [row["op"] for row in twice.rows() if row["status"] != "ok"] == ["exp"]


@pytest.mark.parametrize("name", peers.PEERS)
def test_peer_is_as_predicted(name):
    row = peers._row(name, peers.PEERS[name])
    if row["status"] == "not_measured":
        pytest.skip(row["reason"])
    assert row["status"] == "ok", row["reason"]


def test_a_missing_peer_is_not_measured(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    status = {row["peer"]: row["status"] for row in peers.rows()}
    assert status["torchjd.autojac.jac"] == "not_measured"
    assert status["jax.jacrev"] == "ok"


@pytest.mark.parametrize("module", MODULES)
def test_both_sides_have_the_same_pitfalls(module):
    names = [
        {
            node.name.removesuffix("_fixed")
            for node in ast.parse((source.ROOT / side / "pitfalls" / f"{module}.py").read_text()).body
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        }
        for side in ("torch_impl", "jax_impl")
    ]
    assert names[0] ^ names[1] <= ONE_SIDED.keys()


def test_every_check_of_a_card_exists():
    for card in (*CARDS.values(), *FULL.values()):
        module, _, check = card.check.partition(".")
        assert inspect.isfunction(getattr(importlib.import_module(f"comparisons.pitfalls.{module}"), check))
