"""The lesson's claims: every verdict follows from what is observed, and a changed framework is noticed."""

import json

import pytest
import torch

from comparisons import job, lesson
from comparisons.facts import Fact, entries, text, verdict
from comparisons.lesson.claims import CLAIMS, Checked

YES, NO = Fact("it does", True, "3 B"), Fact("it does not", False, "0 B")


@pytest.mark.xdist_group("lesson")
@pytest.mark.parametrize("number", CLAIMS)
def test_evidence_bears_out_the_prediction(number):
    (row,) = lesson.rows(number)
    assert row["status"] == "ok", row["reason"]
    assert row["verdict"] == CLAIMS[number].predicted
    assert entries(row["evidence"])
    assert entries(row["jax"])
    json.dumps(row, allow_nan=False)


@pytest.mark.parametrize(("cases", "expected"), [([YES], "true"), ([NO, NO], "false"), ([YES, NO], "partly")])
def test_verdict_follows_from_the_cases(cases, expected):
    assert verdict(cases) == expected


def test_no_case_is_no_verdict():
    with pytest.raises(ValueError, match="at least one case"):
        verdict([])


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Checked([NO], [], [YES]), "predicted true, the evidence says false"),
        (Checked([YES], [NO], [YES]), "no longer holds: it does not -> 0 B"),
        (Checked([YES], [], [NO]), "no longer holds: it does not -> 0 B"),
    ],
)
def test_a_disagreement_differs(found, reason):
    row = lesson.judge(4, found)
    assert (row["status"], row["reason"]) == ("differs", reason)


@pytest.mark.parametrize("number", [2, 4, 5, 11])
def test_a_backward_that_always_retains_is_noticed(number, monkeypatch):
    backward = torch.Tensor.backward
    monkeypatch.setattr(torch.Tensor, "backward", lambda self, *args, **_: backward(self, *args, retain_graph=True))
    (row,) = lesson.rows(number)
    assert row["status"] == "differs"


def test_a_disagreement_is_exit_status_1(monkeypatch):
    monkeypatch.setitem(CLAIMS, 19, CLAIMS[19]._replace(predicted="true"))
    assert job.take(lesson.units([19]), "cpu") == 1


def test_text_and_entries_are_inverses():
    assert entries(text([YES, NO])) == [(True, "it does", "3 B"), (False, "it does not", "0 B")]
