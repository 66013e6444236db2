"""The page says what the results say, and its code prints what it shows."""

import json
import re
from pathlib import Path

from comparisons.page import schema
from comparisons.readme import BLOCK, CODE, MAKERS, PICTURE, lifetime_strip, rewritten

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "README.md").read_text()


def test_every_output_and_every_table_is_the_generated_one():
    assert rewritten(PAGE) == PAGE, "run `make readme`"


def test_the_picture_is_the_generated_one():
    assert lifetime_strip() == PICTURE.read_text(), "run `make readme`"
    assert f"({PICTURE.relative_to(ROOT)})" in PAGE


def test_the_schema_is_the_generated_one():
    assert (ROOT / "results" / "README.md").read_text() == schema.markdown(), "run `make readme`"


def test_the_two_first_blocks_print_the_same():
    first, second, example = CODE.finditer(PAGE)
    assert first["output"] == second["output"]
    assert re.fullmatch(r"(\[\d+\.\d+, \d+\.\d+\]\n){2}", first["output"])
    assert "import torch" in first["code"]
    assert "import jax" in second["code"]
    assert "actual = 4 x expected" in example["output"]
    assert sum(bool(line.strip()) for line in example["code"].splitlines()) <= 10


def test_the_committed_grid_is_whole_and_holds():
    from comparisons.scenarios import SECOND_ORDER, Cell, cells

    rows = json.loads((ROOT / "results" / "cpu.json").read_text())["gradients"]
    found = {Cell(row["problem"], row["strategy"], row["dtype"], row["mode"] == "jit") for row in rows}
    assert found == {*cells(full=True), *cells(full=True, table=SECOND_ORDER)}
    assert all(row["status"] == "ok" for row in rows)


def test_blocks_and_links_lead_somewhere():
    assert {m["name"] for m in BLOCK.finditer(PAGE)} == set(MAKERS)
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / target).exists(), target
