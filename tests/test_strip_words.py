"""What the strip says is what its rows and the strategies' code show: every sentence, and every line drawn."""

import re
from inspect import signature
from itertools import groupby
from pathlib import Path
from unittest.mock import patch
from xml.etree import ElementTree

import jax
import numpy as np
import pytest
import torch

import jax_impl.first_order
from comparisons import page, readme
from comparisons.frameworks import jax_scope
from comparisons.memory import sides
from comparisons.memory.strip import said
from comparisons.memory.strip.said import SAID
from comparisons.memory.strip.stage import around, problem
from comparisons.page.sections import strip
from torch_impl.first_order.tree import behind
from torch_impl.memory.held import saved_tensors

ROOT = Path(__file__).parent.parent
(RUN,) = page.read([ROOT / "results" / "cpu.json"])
ROWS = {key: [*rows] for key, rows in groupby(strip.rows(RUN), key=lambda row: (row["strip"], row["framework"]))}
STRIPS = {drawn["strategy"]: drawn for drawn in strip.context(RUN)["strips"]}
DRAWN = {
    (name, side["framework"]): side["frames"]
    for name, drawn in STRIPS.items()
    for side in drawn["sides"]
    if "frames" in side
}


def moments(strategy, framework):
    """(phase, owners alive, whether all that was ever held is) of each moment; none where there are no frames."""
    rows = [row for row in ROWS[strategy, framework] if "step" in row]
    found, seen = [], set()
    for _, members in groupby(rows, key=lambda row: row["step"]):
        tensors = [*members]
        alive = {row["tensor"] for row in tensors if row["alive"]}
        seen |= alive
        found.append((tensors[0]["phase"], {row["owner"] for row in tensors if row["alive"]}, alive == seen))
    return found


def at(strategy, framework, phase):
    (owners,) = (owners for name, owners, _ in moments(strategy, framework) if name == phase)
    return owners


def one_head_at_a_time(name):
    return not any({"A", "B"} <= owners for _, owners, _ in moments(name, "torch"))


def last_backward_frees_everything(name):
    return moments(name, "torch")[-2][0].startswith("after") and not moments(name, "torch")[-2][1]


def pullback_waits(name):
    *before, last = moments(name, "jax")
    return last[0] == "dropped" and not last[1] and all(whole for _, _, whole in before)


def in_one_backward(name):
    return [phase for phase, _, _ in moments(name, "torch")] == ["forward", "after both", "dropped"]


def retained_piece_by_piece(name):
    return at(name, "torch", "after A") == {"shared", "A", "B"} and at(name, "torch", "after B") == {"shared", "A"}


CLAIMS = {  # what each title says, asked of the rows
    "summed": lambda name: in_one_backward(name) and last_backward_frees_everything(name),
    "summed_checkpointed": lambda name: (
        in_one_backward(name)
        and last_backward_frees_everything(name)
        and {row["op"] for row in ROWS[name, "torch"] if row["owner"] == "shared"} == {"addmm"}
    ),
    "summed_split": lambda name: one_head_at_a_time(name) and at(name, "torch", "after B") == {"shared"},
    "accumulated": lambda name: (
        retained_piece_by_piece(name)
        and at(name, "jax", "after A") == {"shared", "A"}
        and at(name, "jax", "before B") == {"shared", "B"}
    ),
    "per_loss_retained": lambda name: retained_piece_by_piece(name) and pullback_waits(name),
    "per_loss_recomputed": lambda name: (
        one_head_at_a_time(name) and not at(name, "torch", "after A") and last_backward_frees_everything(name)
    ),
    "per_loss_one_hot": lambda name: (
        at(name, "torch", "after A") == {"shared", "A", "B"}
        and last_backward_frees_everything(name)
        and pullback_waits(name)
    ),
    "per_loss_batched": lambda name: (
        in_one_backward(name) and last_backward_frees_everything(name) and pullback_waits(name)
    ),
    "per_loss_split": lambda name: one_head_at_a_time(name) and at(name, "torch", "after B") == {"shared"},
    "per_loss_grouped": lambda name: (
        at(name, "torch", "after heads") == {"shared"} and last_backward_frees_everything(name) and pullback_waits(name)
    ),
    "feature_gradients": lambda name: (
        one_head_at_a_time(name) and "shared" not in {row["owner"] for row in ROWS[name, "torch"]}
    ),
}
CLAIMS["per_loss_chunked"] = CLAIMS["per_loss_batched"]


@pytest.mark.parametrize("name", SAID)
def test_a_title_holds_in_the_rows(name):
    assert CLAIMS[name](name)


def test_a_title_stands_on_a_strip_with_frames():
    assert set(SAID) <= {name for name, _ in DRAWN}
    assert all(STRIPS[name]["claim"] == SAID[name].claim for name in SAID)


@pytest.mark.parametrize(("name", "framework"), DRAWN)
def test_a_cause_names_what_changed_and_nothing_else(name, framework):
    """Read back from the words: who lost a tensor, who got one, and whether anything did."""
    before = {}
    for frame in DRAWN[name, framework]:
        alive = {block["row"]["tensor"]: block["owner"] for block in frame["blocks"] if block["state"] == "live"}
        freed = {owner for tensor, owner in before.items() if tensor not in alive}
        made = {owner for tensor, owner in alive.items() if tensor not in before}
        text, phase = frame["cause"], frame["phase"]
        words = {"A's own": "A", "B's own": "B", "the trunk's": "shared"}
        gone, _, rest = text.partition(", saves " if ", saves " in text else ";")
        named = {owner for part, owner in words.items() if part in gone}
        if phase == "forward":
            later = {block["owner"] for block in frame["blocks"] if block["state"] == "later"} - {"shared"}
            assert {owner for owner in "AB" if f"{owner}'s come later" in text} == later
        elif phase == "dropped":
            assert not alive
            assert ("nothing was left" in text) == (not before)
        elif phase.startswith("before"):
            kept = {owner for part, owner in words.items() if part in (rest or text)}
            assert (named if freed else set(), kept) == (freed, made)
        else:
            assert not made
            assert (text.startswith("nothing freed"), "frees" in text) == (not freed, bool(freed))
            everything = "frees all of it" in text
            assert (everything and not alive) or named == freed
        before = alive


def test_the_retained_strip_says_who_holds_what_is_left():
    says = [frame["cause"] for frame in DRAWN["per_loss_retained", "torch"]]
    assert says[1] == "nothing freed: `retain_graph=True`"
    freed, kept = says[2].split("; ")
    assert freed == "no `retain_graph`: frees B's own and the trunk's lower block"
    assert kept == "A's retained head keeps its own and its first layer's input, the upper block"
    shared = [block for block in DRAWN["per_loss_retained", "torch"][2]["blocks"] if block["owner"] == "shared"]
    assert [block["state"] for block in sorted(shared, key=lambda block: block["y"])] == ["live", "freed"]


def test_a_retained_head_does_keep_its_input():
    """After both backwards the trunk's output is alive for a node that A's graph alone reaches."""
    side, features = sides.torch_side("many_heads", problem()), []

    def noted(owner, forward):
        def call(*args):
            features.extend([forward(*args)] if owner == "shared" else [])
            return features[0] if owner == "shared" else forward(*args)

        return call

    a, b = around(side.losses, noted)(side.params).values()
    leaves = list(side.params.values())
    torch.autograd.grad(a, leaves, retain_graph=True, allow_unused=True)
    torch.autograd.grad(b, leaves, allow_unused=True)
    key = features[0].untyped_storage()._cdata
    holders = [n for n in behind(a) if key in {t.untyped_storage()._cdata for t in saved_tensors(n)}]
    assert [node.name() for node in holders] == ["AddmmBackward0"]
    assert not set(holders) & set(behind(b))


@pytest.mark.parametrize("name", SAID)
def test_why_a_trunk_stays_is_what_the_strategy_asks_for(name):
    """`retain_graph=True` is given to every backward but the last; a trunk that was cut off has the last to itself."""
    side, calls = sides.torch_side("many_heads", problem(), name), []

    def watched(take):
        def call(outputs, *args, **options):
            given = signature(take).bind(outputs, *args, **options).arguments
            calls.append((outputs, given.get("retain_graph")))
            return take(outputs, *args, **options)

        return call

    grad, backward = torch.autograd.grad, torch.autograd.backward
    with patch("torch.autograd.grad", watched(grad)), patch("torch.autograd.backward", watched(backward)):
        sides.run(name, side)()
    assert (SAID[name].why == said.RETAINED) == any(retain for _, retain in calls)
    if SAID[name].why == said.RETAINED:
        assert [bool(retain) for _, retain in calls] == [True, False]
    shape = side.losses.trunk(side.params).shape
    assert (SAID[name].why == said.CUT) == (getattr(calls[-1][0], "shape", None) == shape)


PULLED = {  # (what is given to jax.vjp, what is pulled, how often a head is given to jax.grad)
    said.TRUNK_FOR_EACH: (["trunk"], ["trunk", "trunk"], 2),
    said.TRUNK_FOR_BOTH: (["trunk"], ["trunk"], 2),
    said.ALL_FOR_EACH: (["all"], ["all", "all"], 0),
    said.ALL_FOR_BOTH: (["all"], ["all"], 0),
    said.APART: (["trunk", "A", "B"], ["A", "trunk", "B", "trunk"], 0),
}


@pytest.mark.parametrize("name", [name for name, framework in DRAWN if framework == "jax"])
def test_what_jax_pulls_is_what_the_strategy_calls(name):
    made, pulled, grads = [], [], []
    vjp, grad = jax.vjp, jax.grad
    with jax_scope(sides.DTYPE, "cpu"):
        side = sides.jax_side("many_heads", problem())
        names = {side.losses: "all", side.losses.trunk: "trunk"}
        names |= dict(zip(side.losses.heads.values(), "AB", strict=True))

        def watched(pullback, of):
            def pull(*cotangents):
                pulled.append(of)
                return pullback(*cotangents)

            pull.with_refs = lambda *refs: watched(pullback.with_refs(*refs), of)
            return pull

        def noted(f, *primals):
            made.append(names[f])
            value, pullback = vjp(f, *primals)
            return value, watched(pullback, names[f])

        def counted(f, argnums=0):
            grads.append(names[f])
            return grad(f, argnums)

        with patch.object(jax, "vjp", noted), patch.object(jax, "grad", counted):
            sides.run(name, side, jax_impl.first_order)()
    assert (made, pulled, len(grads)) == PULLED[SAID[name].pulled]


def test_what_jax_keeps_is_what_the_note_and_the_blocks_say():
    """Of each tanh its output and 1 - it (or its square), twice each head's error, and the batch's input: no more."""
    with jax_scope(sides.DTYPE, "cpu"):
        side = sides.jax_side("many_heads", problem())

        def kept(params):
            _, pullback = jax.vjp(side.losses, params)
            return jax.tree.leaves(pullback.opaque_residuals)

        closed = jax.make_jaxpr(kept)(side.params)
        made = {out: equation for equation in closed.jaxpr.eqns for out in equation.outvars}
        consts = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
        found = {"tanh": set(), "sub": set(), "one_minus_square": set(), "mul": set()}
        for var in closed.jaxpr.outvars:
            if var in consts:
                assert np.array_equal(consts[var], side.batch["x"])
                continue
            name, inputs = made[var].primitive.name, made[var].invars
            found[name].add(var if name == "tanh" else inputs[-1])
            if len(inputs) > 1:
                assert float(inputs[0].val) == {"sub": 1.0, "mul": 2.0}[name]
        assert sorted(map(len, (found["sub"], found["one_minus_square"]))) == [0, 4]
        assert found["sub"] | found["one_minus_square"] == found["tanh"]
        assert {made[var].primitive.name for var in found["mul"]} == {"sub"}
        assert (len(found["tanh"]), len(found["mul"])) == (4, 2)
    rows = [row for (_, side), rows in ROWS.items() for row in rows if side == "jax" and "step" in row]
    shared = {row["op"] for row in rows if row["owner"] == "shared"}
    assert shared in ({"tanh", "sub", "input"}, {"tanh", "one_minus_square", "input"})
    assert len(shared & said.RESIDUALS.keys()) == 1
    assert said.OPERATIONS.keys() >= {row["op"] for row in rows} - {"tanh", "input"}


def test_jax_frames_tell_tensors_of_one_pullback_by_their_owner_alone():
    """A dropped pullback goes whole: owners' tensors are alive together or not at all."""
    for (name, framework), frames in DRAWN.items():
        for frame in frames if framework == "jax" else ():
            states = {(block["owner"], block["state"]) for block in frame["blocks"]}
            assert len(states) == len({owner for owner, _ in states}), name


def test_a_line_leads_to_what_is_held_and_is_dotted_to_what_is_not():
    for frames in DRAWN.values():
        for frame in frames:
            live = [block for block in frame["blocks"] if block["state"] == "live"]
            held = {wire["of"] for wire in frame["wires"] if wire["state"] == "held"}
            assert {block["owner"] for block in live} <= held
            assert bool(held) == bool(live)
    third = DRAWN["per_loss_retained", "torch"][2]["wires"]
    assert {(wire["of"], wire["state"]) for wire in third} == {
        ("A", "held"), ("B", "gone"), ("shared", "held"), ("shared", "gone")
    }  # fmt: skip


def test_the_picture_is_whole_in_itself_and_its_numbers_are_the_rows():
    tree = ElementTree.fromstring(readme.PICTURE.read_text())
    names = {element.tag.rpartition("}")[2] for element in tree.iter()}
    assert not names & {"script", "image", "foreignObject", "use", "link"}
    assert all(value.startswith("#") for e in tree.iter() for name, value in e.attrib.items() if "href" in name)
    frames = [frame for side in STRIPS["per_loss_retained"]["sides"] for frame in side["frames"]]
    known = {str(block["row"]["bytes"]) for frame in frames for block in frame["blocks"]}
    known |= {f"{frame['held']['total']:,}" for frame in frames} | {str(frame["number"]) for frame in frames}
    known |= {frame["change"]["text"][1:] for frame in frames if frame["change"]}
    texts = ["".join(element.itertext()) for element in tree.iter() if element.tag.endswith("}text")]
    said_with = [text.replace(said.ONE_LESS, "") for text in texts]
    assert {number for text in said_with for number in re.findall(r"\d[\d,]*", text)} <= known
    assert SAID["per_loss_retained"].claim in texts
