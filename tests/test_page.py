"""The report page: valid, whole in itself, and every number in it that of its row."""

import csv
import json
import re
import shutil
import subprocess
import time
from decimal import Decimal
from itertools import combinations
from pathlib import Path

import html5lib
import numpy as np
import pytest

from comparisons import angles, cli, contrast, graphs, lesson, page, pitfalls, results
from comparisons.memory import ledger, strip, sweep
from comparisons.page import SECTIONS, exports, schema
from comparisons.page.chart import spread
from comparisons.page.layered import layout

pytestmark = [
    pytest.mark.xdist_group("page"),
    pytest.mark.filterwarnings("ignore:.torch.jit"),
]
ROOT = Path(__file__).parent.parent
NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?")


@pytest.fixture(scope="module")
def measured():
    """The committed results, and a little of whatever else a main job measures."""
    found = json.loads((ROOT / "results" / "cpu.json").read_text())
    fresh = {
        "contrast": contrast.rows(),
        "graphs": [*graphs.rows("torch"), *graphs.rows("jax")],
        "angles": angles.rows(),
        "memory": [row for name in ("per_loss_retained", "summed") for row in strip.rows("torch", name)]
        + [row for name in ("per_loss_retained", "summed") for row in strip.rows("jax", name)]
        + ledger.rows("torch", "many_heads", "per_loss_retained", "tiny", "cpu")
        + sweep.in_torch(sweep.CONFIGURATIONS[-12:]),
        "lesson": [*lesson.rows(2), *lesson.rows(4)],
        "pitfalls": [row for unit in pitfalls.units(["second_backward"]) for row in unit.rows()],
    }
    return found | {question: rows for question, rows in fresh.items() if question not in found}


@pytest.fixture(scope="module")
def document(measured):
    """With rows of the questions that take minutes."""
    found = dict(measured)
    for question, rows in MADE_UP.items():
        known = {row["id"] for row in found.get(question, [])}
        found[question] = [*found.get(question, []), *(row for row in rows if row["id"] not in known)]
    return found


MADE_UP = {  # questions that take minutes: rows of their shapes, for the page alone
    "cost": [
        {"id": "cost/flops/digits/summed/torch", "kind": "flops", "problem": "digits", "strategy": "summed"}
        | {"framework": "torch", "flops": 400, "flop_ratio": 1.0, "status": "ok"},
        *(
            {"id": f"cost/sweep/overhead/losses/{name}/{side}", "kind": "sweep", "regime": "overhead"}
            | {"axis": "losses", "points": [1, 2, 8], "strategy": name, "framework": side, "status": "ok"}
            | {"time_ratios": [1.0, 1.5 * slope, 4.25 * slope], "flop_ratios": [1.0, 1.25, 2.75]}
            for side in ("torch", "jax")
            for name, slope in (("summed", 1), ("per_loss_retained", 1.5), ("per_loss_batched", 1.2))
        ),
        {"id": "cost/time/overhead-losses8/summed/cpu/jit", "kind": "time", "regime": "overhead", "losses": 8}
        | {"precision": "float32", "strategy": "summed", "framework": "jax", "mode": "jit", "device": "cpu"}
        | {"status": "ok", "time_ratio": 1.125, "spread": [1.0625, 1.25], "flop_ratio": 1.0, "peak": 81920}
        | {"compile_seconds": 0.75, "eps": 3.25},
        {"id": "cost/time/overhead-losses8/summed/cpu/compile", "kind": "time", "regime": "overhead", "losses": 8}
        | {"precision": "float32", "strategy": "summed", "framework": "torch", "mode": "compile", "device": "cpu"}
        | {"status": "not_measured", "reason": "torch.compile needs a C++ compiler: none found"},
        {"id": "cost/peers/overhead/8/jac/cpu/torch", "kind": "peer", "regime": "overhead", "losses": 8, "status": "ok"}
        | {"call": "torchjd", "framework": "torch", "time_ratio": 2.25, "spread": [2.125, 2.5]},
        {"id": "cost/peers/overhead/8/cpu/target/0", "kind": "target", "regime": "overhead", "losses": 8}
        | {"target": "no slower", "measured": "2.25 of it", "met": False, "cause": "it is slower", "status": "ok"},
    ],
    "higher_order": [
        {"id": "higher_order/cost/conv/jit/a", "kind": "cost", "problem": "conv", "framework": "jax", "mode": "jit"}
        | {"strategy": "hvp_forward_over_reverse", "time_ratio": 2.5, "flop_ratio": 2.625, "status": "ok"},
        {"id": "higher_order/published/ViT/jax/a", "kind": "published", "problem": "ViT", "framework": "jax"}
        | {"strategy": "hvp_forward_over_reverse", "time_ratio": 2.42, "predicted_ratio": 2.6666, "status": "ok"}
        | {"source": "a paper, 2024"},
        *(
            {"id": f"higher_order/limit/torch/norm/{mode}", "kind": "limit", "framework": "torch", "case": "norm"}
            | {"mode": mode, "recipe": "`composed`"}
            | found
            for mode, found in {
                "forward_over_reverse": {"status": "unsupported", "reason": "RuntimeError: no forward mode"},
                "reverse_over_forward": {"status": "unsupported", "reason": "wrong by 8.5e-01", "error": 0.85},
                "reverse_over_reverse": {"status": "ok", "error": 1e-16},
            }.items()
        ),
    ],
    "memory": [
        *(
            {"id": f"memory/curves/losses/{k}/summed/{side}/forward", "problem": "many_heads", "curve": "losses"}
            | {"at": k, "strategy": "summed", "framework": side, "phase": "forward", "kind": "simulated"}
            | {"bytes": 1000 * k, "predicted": 1000 * k, "status": "ok"}
            for k in (2, 4, 8)
            for side in ("torch", "jax")
        ),
        {"id": "memory/behaviour/freed/cpu/torch", "problem": None, "behaviour": "freed", "framework": "torch"}
        | {
            "phase": None,
            "kind": "behaviour",
            "says": "What is visited is freed.",
            "figures": {"left": 0, "before": 64},
        }
        | {"status": "ok", "holds": True, "relations": []},
    ],
}


@pytest.fixture(scope="module")
def file(document, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "results.json"
    results.write(path, document)
    return path


@pytest.fixture(scope="module")
def runs(file):
    return page.read([file])


@pytest.fixture(scope="module")
def text(runs):
    start = time.perf_counter()
    made = page.html(runs)
    print(f"page: {len(made.encode()) / 1e6:.1f} MB in {time.perf_counter() - start:.1f} s")
    return made


@pytest.fixture(scope="module")
def tree(text):
    return parsed(text)


def parsed(text):
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def rows_by_anchor(runs):
    return {run.anchor(row): row for run in runs for rows in run.rows.values() for row in rows}


def fields_of(tree):
    """(anchor of the row, field, text) of every number; the row is its own, or where the link around it leads."""
    found = []

    def walk(element, anchor):
        if element.tag in ("a", "{http://www.w3.org/2000/svg}a"):
            anchor = element.get("href").removeprefix("#")
        anchor = element.get("data-row") or anchor
        if element.get("data-field"):
            found.append((anchor, element.get("data-field"), words(element)))
        for child in element:
            walk(child, anchor)

    walk(tree, "")
    return found


def words(element) -> str:
    return " ".join("".join(element.itertext()).split())


def test_it_is_valid_html_with_unique_ids_and_links_that_lead_somewhere(tree):
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert not [name for name in ids if re.search(r"\s", name)]
    targets = [element.get("href") for element in tree.iter("a")]
    assert targets
    assert {target for target in targets if target.removeprefix("#") not in set(ids)} == set()
    for element in tree.iter():
        assert element.get("aria-labelledby", ids[0]) in ids


def test_each_section_says_what_to_see_in_one_sentence_and_names_a_command_that_exists(command):
    for section in SECTIONS:
        assert re.findall(r"[.!?](?=\s|$)", section.SEE) == ["."], section.SEE
        assert section.SEE.endswith(".")
        for line in section.COMMAND.split(" && "):
            if line != "make report":
                name, *options = line.removeprefix("python -m comparisons ").split()
                status, out, _ = command(name, "--help")
                assert status == 0
                assert all(option in out for option in ["--json", *options])
    assert "\nreport:" in (ROOT / "Makefile").read_text()


def test_the_validator_catches_a_planted_fault(text):
    for right, wrong in (("</section>", "</sectoin>"), ("<ol>", "<ol></p>"), ('lang="en"', 'lang="en" lang="en"')):
        assert right in text
        with pytest.raises(html5lib.html5parser.ParseError):
            parsed(text.replace(right, wrong, 1))


def test_nothing_is_fetched(tree, text):
    outward = [
        (element.tag, name, value)
        for element in tree.iter()
        if isinstance(element.tag, str)
        for name, value in element.attrib.items()
        if name in ("src", "href", "xlink:href", "srcset", "data", "action") and not value.startswith("#")
    ]
    assert outward == []
    assert not list(tree.iter("link"))
    style = "".join(words(element) for element in tree.iter("style"))
    assert not re.search(r"@import|url\((?!#)", style)
    assert len(text.encode()) < 3e6


@pytest.mark.parametrize("path", sorted((ROOT / "results").glob("*.json")), ids=lambda path: path.stem)
def test_the_page_of_each_committed_file_is_below_3_mb(path):
    (run,) = page.read([path])
    text = page.html([run])
    assert len(text.encode()) < 3e6
    assert text.count("<tr id=") == sum(len(rows) for rows in run.rows.values())
    assert "not drawn" not in text


SEEN_AS = {  # Machado, Oliveira and Fernandes 2009, severity 1: linear RGB as each kind of colour blindness sees it
    "all": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
COLOURS = ("blue", "orange", "green", "vermillion", "purple", "sky", "paper")
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour: str, seen_as: str) -> np.ndarray:
    """CIE Lab of what is seen."""
    rgb = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(SEEN_AS[seen_as] @ linear, 0, 1) / XYZ.sum(1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("seen_as", SEEN_AS)
def test_colours_are_told_apart_in_light_and_dark(seen_as, text):
    """Each two of the six, and each from the paper, are at least 15 apart (1 can just be seen)."""
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6});", block)) for block in re.findall(r":root \{(.*?)\}", text, re.DOTALL)[:2]
    )
    for theme in (light, light | dark):
        colours = [lab(theme[name], seen_as) for name in COLOURS]
        assert min(np.linalg.norm(a - b) for a, b in combinations(colours, 2)) > 15


def shown(value, text: str) -> bool:
    """Whether the text is the value, to as many digits as it shows."""
    if value is None:
        return text in ("", "-")
    if isinstance(value, bool):
        return text == ("yes" if value else "no")
    if isinstance(value, list):
        parts = text.split("; ") if value else []
        return len(parts) == len(value) and all(map(shown, value, parts))
    if isinstance(value, dict):
        parts = dict(part.rsplit(" = ", 1) for part in text.split("; ")) if value else {}
        return parts.keys() == value.keys() and all(shown(value[name], parts[name]) for name in value)
    if isinstance(value, str):
        return text.split() == value.split()
    if not (found := NUMBER.search(text)):
        return False
    said = Decimal(found[0].replace(",", ""))
    return abs(said - Decimal(value)) <= Decimal("0.501") * Decimal(10) ** said.as_tuple().exponent


def test_shown_tells_a_wrong_digit():
    assert shown(1.04e-15, "1.0e-15")
    assert shown(1234, "1,234 B")
    assert not shown(1.06e-15, "1.0e-15")
    assert not shown(1234, "1,235")
    assert not shown(True, "no")
    assert not shown(0.5, "-")


def test_every_number_is_that_of_its_row(tree, runs):
    rows, found = rows_by_anchor(runs), fields_of(tree)
    for anchor, field, said in found:
        name, _, place = field.partition(".")
        value = rows[anchor].get(name)
        assert shown(value[int(place)] if place else value, said), (rows[anchor], said)
    assert len(found) > 900


def test_every_row_is_a_line_that_its_id_links_to_with_every_field(tree, runs):
    rows, seen = rows_by_anchor(runs), set()
    for table in tree.iter("table"):
        if table.get("class") != "listing":
            continue
        fields = [words(th) for th in table.iter("th")]
        said = dict(words(span).split(": ", 1) for span in table.find("caption").iter("span"))
        for line in table.find("tbody"):
            row = rows[line.get("id")]
            seen.add(line.get("id"))
            cells = dict(zip(fields, map(words, line), strict=True))
            for name, value in row.items():
                if name in cells:
                    assert shown(value, cells[name]), (row["id"], name, cells[name])
                elif name not in ("id", "code") and value not in (None, ""):
                    assert shown(value, said[name]), (row["id"], name)
    assert seen == set(rows)


def test_what_is_summed_is_the_sum_of_its_rows(tree, runs):
    rows = rows_by_anchor(runs)
    frames = [element for element in tree.iter() if element.get("data-held")]
    assert len(frames) > 10
    for element in frames:
        inside = [row for anchor, row in rows.items() if anchor.rpartition("/")[0] == element.get("data-held")]
        assert shown(sum(row["bytes"] for row in inside if row["alive"]), words(element))
    changes = [element for element in tree.iter() if element.get("data-change")]
    assert len(changes) > 10
    for element in changes:
        before, now = (
            sum(row["bytes"] for anchor, row in rows.items() if anchor.rpartition("/")[0] == moment and row["alive"])
            for moment in element.get("data-change").split()
        )
        assert words(element).strip("()") == f"{now - before:+,} B".replace("+0", "-0").replace("-", "\N{MINUS SIGN}")
    (count,) = [element for element in tree.iter() if element.get("data-count")]
    assert shown(len(rows), words(count))
    for fold in tree.iter("details"):
        said = [e for e in fold.find("summary").iter() if e.get("data-size") is not None]
        if said:
            lines = [line for line in fold.iter("tr") if line.get("id")]
            assert shown(len(lines), words(said[0]))


def test_no_other_number_stands_on_the_page(tree, document):
    """A digit outside what the tests above check is in code, a name, an axis, an environment, or a row's own words."""
    told = " ".join(
        re.sub(r"[\s`]+", " ", value)
        for rows in document.values()
        if isinstance(rows, list)
        for row in rows
        for value in row.values()
        if isinstance(value, str)
    )
    told = re.sub(r"float(32|64)", "float", told)
    prose = {section.SEE for section in SECTIONS} | {section.TITLE for section in SECTIONS}
    checked = {"data-field", "data-held", "data-change", "data-count", "data-wrong", "data-size", "data-bad"}
    classes = {"name", "env", "tick", "step", "number", "listing", "seen"}
    strangers = []

    def walk(element, allowed):
        if not isinstance(element.tag, str):
            return
        allowed = allowed or element.tag.rpartition("}")[2] in ("code", "pre", "style", "script", "title")
        allowed = allowed or bool(checked & element.attrib.keys() or classes & set(element.get("class", "").split()))
        for text in () if allowed else [element.text, *(child.tail for child in element)]:
            plain = " ".join((text or "").split())
            plain = re.sub(r"float(32|64)", "float", plain)
            if re.search(r"\d", plain) and plain.strip(":() ") not in told and plain not in prose:
                strangers.append((element.tag, element.get("class"), plain))
        for child in element:
            walk(child, allowed)

    walk(tree, False)
    known = {re.sub(r"float(32|64)", "float", text) for text in prose}
    assert [found for found in strangers if found[2] not in known] == []


def test_the_strip_draws_what_was_measured(tree, runs):
    """A filled block for each tensor that is alive, a dashed one for each that has been freed."""
    rows, found = rows_by_anchor(runs), {}
    for block in tree.iter("{http://www.w3.org/2000/svg}a"):
        names = block.get("class", "").split()
        if names[:1] == ["block"] and block.get("href")[1:].startswith("memory/strip"):
            row = rows[block.get("href")[1:]]
            found[block.get("href")[1:]] = names
            assert (names[2] == "live") == row["alive"]
            assert names[1] == row["owner"]
    measured = {anchor for anchor, row in rows.items() if "strip" in row and "step" in row}
    assert set(found) == measured


def test_the_two_runs_of_different_versions_stand_side_by_side(document, file, tmp_path):
    other = {
        "schema": 1,
        "environment": document["environment"] | {"torch": "9.9.9", "machine": "another"},
        "gradients": document["gradients"][:40],
    }
    second = tmp_path / "gpu.json"
    results.write(second, other)
    runs = page.read([file, second])
    assert [run.key for run in runs] == ["", "B/"]
    made = page.html(runs)
    tree = parsed(made)
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert "B/" + document["gradients"][0]["id"] in ids
    missing = [words(e) for e in tree.iter("p") if e.get("class") == "missing" and "gpu.json" in words(e)]
    assert len(missing) == len(SECTIONS) - 2
    assert "Not measured in gpu.json: python -m comparisons memory measures it" in " ".join(missing)


def test_files_of_one_machine_are_one_run_and_the_later_row_counts(document, file, tmp_path):
    row = document["gradients"][0] | {"error": 0.25}
    later = tmp_path / "later.json"
    environment = document["environment"] | {"time": "2030-01-01", "commit": "abc"}
    results.write(
        later, {"schema": 1, "environment": environment, "gradients": [row], "new": [{"id": "n", "status": "ok"}]}
    )
    (run,) = page.read([file, later])
    assert len(run.rows["gradients"]) == len(document["gradients"])
    assert next(r for r in run.rows["gradients"] if r["id"] == row["id"])["error"] == 0.25
    assert 'id="n"' in page.html([run])


@pytest.mark.parametrize("kept", ["gradients", "memory", "lesson", "pitfalls", "graphs", "angles", "contrast", "none"])
def test_a_partial_file_gives_a_partial_report(document, kept, tmp_path):
    path = tmp_path / "partial.json"
    path.write_text(json.dumps({"schema": 1, "environment": {}} | {kept: document.get(kept, [])}))
    tree = parsed(page.html(page.read([path])))
    assert any(e.get("class") == "missing" for e in tree.iter("p"))
    assert [e.get("id") for e in tree.iter("section")] == [s.__name__.rpartition(".")[2] for s in SECTIONS]


def test_rows_of_another_version_are_listed_where_they_cannot_be_drawn(tmp_path):
    """A file of the right schema whose rows lack what a picture needs: no row is lost, and the page says so."""
    path = tmp_path / "old.json"
    questions = ("gradients", "memory", "cost", "higher_order", "graphs", "angles", "lesson", "pitfalls", "contrast")
    found = {name: [{"id": f"{name}/a", "status": "ok", "kind": "x", "strip": "s"}] for name in questions}
    path.write_text(json.dumps({"schema": 1, "environment": {}} | found))
    tree = parsed(page.html(page.read([path])))
    assert {e.get("id") for e in tree.iter("tr")} >= {f"{name}/a" for name in questions}
    said = [words(e) for e in tree.iter("p") if "missing" in e.get("class", "")]
    assert "These rows are listed and not drawn: KeyError: 'problem'" in said


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*argv):
        monkeypatch.setattr("sys.argv", ["gradparity", *map(str, argv)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code, *capsys.readouterr()

    return run


GOOD = '{"schema": 1, "environment": {}, "gradients": [{"id": "a", "status": "ok", "error": 0}]}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (GOOD[:60], "is no whole JSON:"),
        ("", "is no whole JSON:"),
        (GOOD.replace('"schema": 1', '"schema": 7'), "has schema 7, this version reads 1"),
        (GOOD.replace("0}", "NaN}"), "holds NaN, which is not JSON"),
        (GOOD.replace("0}", "-Infinity}"), "holds -Infinity, which is not JSON"),
        ("[1, 2]", "is no results file: it has no schema"),
        ('{"schema": 1, "gradients": []}', "is no results file: it has no environment"),
        (GOOD.replace('"id": "a", ', ""), "gradients[0] is no row: it needs an id and a status"),
        (GOOD.replace('"a"', "7"), "gradients[0] is no row: it needs an id and a status"),
        (b"\xff\xfe\x00", "is not text"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value and "{" not in value else "",
)
def test_bad_input_is_one_line_and_exit_2(command, tmp_path, content, message):
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    status, out, err = command("report", path, "--output", tmp_path / "page.html")
    assert (status, out) == (2, "")
    assert message in err
    assert "bad.json" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--format", "pdf"], "--format 'pdf' is not known"),
        (["--output", "/nowhere/page.html"], "cannot be written"),
        (["--format", "csv", "--output", "/dev/null/x"], "cannot be made"),
        (["--output", "/"], "--output '/' is a directory; name a file, such as '/index.html'"),
        (["--output", "good.json"], "--output 'good.json' is one of the results files: the page would replace it"),
    ],
    ids=str,
)
def test_a_bad_request_is_one_line_and_exit_2(command, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "good.json"
    path.write_text(GOOD.replace('"gradients"', '"other"'))
    status, out, err = command("report", path, *argv)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_html_markdown_and_csv_are_written(command, measured, tmp_path):
    file, document = tmp_path / "results.json", measured
    results.write(file, document)
    status, out, _ = command("report", file, "--output", tmp_path / "page.html")
    assert status == 0
    assert re.search(r"page.html, \d\.\d MB in \d+\.\d s", out)
    status, out, _ = command("report", file, "--format", "markdown", "--output", tmp_path / "summary.md")
    assert status == 0
    summary = (tmp_path / "summary.md").read_text()
    total = sum(len(rows) for rows in document.values() if isinstance(rows, list))
    assert f"all {total} rows hold" in summary
    assert "| per_loss_retained |" in summary
    assert "Not measured: Cost over K (`python -m comparisons cost && " in summary
    status, out, _ = command("report", file, "--format", "csv", "--output", tmp_path / "tables")
    assert status == 0
    with (tmp_path / "tables" / "gradients.csv").open(newline="") as lines:
        found = list(csv.DictReader(lines))
    assert [row["id"] for row in found] == [row["id"] for row in document["gradients"]]
    assert float(found[0]["scale"]) == document["gradients"][0]["scale"]
    with (tmp_path / "tables" / "tables.csv").open(newline="") as lines:
        titles = {row["file"]: row["title"] for row in csv.DictReader(lines)}
    assert titles["gradients-table1.csv"].startswith("float64: worst error")
    written = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {name for name in written if "-table" in name} == set(titles)


def test_a_summary_fits_into_a_comment():
    runs = page.read(sorted((ROOT / "results").glob("*.json")))
    assert len(exports.markdown(runs)) < exports.COMMENT
    both = exports.markdown([*runs, runs[0]._replace(key="B/")])
    assert len(both) < exports.COMMENT
    assert "long tables are left out here" in both
    assert both.count("gradients: float64: worst error") == len(runs) + 1


def test_the_schema_is_documented(document):
    """Every field of the committed results, and of what a main job measures, has its meaning."""
    known = {name.replace("_LOSS", "") for fields in schema.FIELDS.values() for name in fields}
    found = [document, *(json.loads(path.read_text()) for path in (ROOT / "results").glob("*.json"))]
    every = {name for rows in (r for d in found for r in d.values() if isinstance(r, list)) for r in rows for name in r}
    fields = {re.sub(r"^(norm|cos)_.*", r"\1", name) for name in every}
    assert fields <= known, f"say in comparisons/page/templates/fields.toml what these are: {sorted(fields - known)}"
    names = [name for fields in schema.FIELDS.values() for name in fields]
    assert len(names) == len(set(names))


def test_names_under_a_chart_do_not_run_into_each_other():
    assert spread(["fwd", "1", "end"], 8) == [(0, "fwd"), (1, "1"), (2, "end")]
    many = ["fwd", *map(str, range(1, 18)), "end"]
    assert [name for _, name in spread(many, 8)] == ["fwd", "3", "6", "9", "12", "15", "end"]


def test_what_a_framework_does_not_implement_is_neither_an_empty_cell_nor_a_green_one():
    path = ROOT / "results" / "h200.json"
    text = page.html(page.read([path]))
    row, *_ = [row for row in json.loads(path.read_text())["gradients"] if row["status"] == "unsupported"]
    assert re.search(f'<a class="cell" href="#[^"]+" title="{re.escape(row["reason"])}">none</a>', text)


def test_a_layered_layout_keeps_ranks_and_distances():
    places = layout({1: 0, 2: 0, 3: 1, 4: 1, 5: 2}, [(1, 3), (2, 3), (2, 4), (3, 5), (4, 5)], 10, 20)
    assert {node: y for node, (_, y) in places.items()} == {1: 0, 2: 0, 3: 20, 4: 20, 5: 40}
    for rank in (0, 20):
        a, b = [x for x, y in places.values() if y == rank]
        assert abs(a - b) >= 10 - 1e-9


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REPORTER = """<script>
const tall = (element) => Math.round(element.getBoundingClientRect().height);
addEventListener("load", () => {
  const row = tall(document.getElementById(location.hash.slice(1))), found = [];
  const cell = document.querySelector(".grid a.cell"), fold = document.getElementById(cell.hash.slice(1));
  fold.open = false;
  cell.click();
  setTimeout(() => {
    found.push(tall(fold.querySelector("tbody tr")), Math.round(fold.getBoundingClientRect().top));
    fold.open = false;
    cell.click();
    found.push(tall(fold.querySelector("tbody tr")));
    parent.postMessage([innerWidth, document.documentElement.scrollWidth, row, ...found], "*");
  }, 300);
});</script></body>"""
FRAME = """<!DOCTYPE html><title>frame</title><body>
<iframe src="page.html#{row}" style="width:{width}px;height:900px;border:0"></iframe>
<script>addEventListener("message", (m) => document.body.dataset.seen = m.data.join(" "));</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")
@pytest.mark.parametrize("width", [390, 1440])
def test_a_browser_opens_it_at_a_row_and_a_cell_opens_its_rows(text, document, width, tmp_path):
    """Without a message on the console, and without scrolling sideways."""
    (tmp_path / "page.html").write_text(text.replace("</body>", REPORTER))
    (tmp_path / "frame.html").write_text(FRAME.format(width=width, row=document["gradients"][0]["id"]))
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
    switches += [
        "--enable-logging=stderr",
        "--v=0",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=4000",
    ]
    opened = subprocess.run(
        [CHROMIUM, *switches, "--dump-dom", (tmp_path / "frame.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in opened.stderr
    seen = re.search(r'data-seen="([-\d ]+)"', opened.stdout)[1]
    inner, wide, height, chosen, top, again = map(int, seen.split())
    assert inner == width
    assert wide <= width
    assert height > 10, "the row is folded away"
    assert chosen > 10, "a cell does not open its rows"
    assert 0 <= top < 900, "a cell does not lead to its rows"
    assert again > 10, "a cell does not open its rows a second time"
