"""The pytest plugin: fixture `gradients_match`, two markers, readable ids, `--gradparity-json` and a summary line.

It is loaded in every pytest run of its environment, so it imports no framework and no NumPy until a test asks for the
fixture. What a test compared travels in its report's `user_properties`, which also crosses pytest-xdist's processes.
"""

import json

import pytest

PROPERTY = "gradparity"
MARKERS = {"gradient_order": "order", "gradient_tolerance": "tolerance"}
USES_FIXTURE = pytest.StashKey[bool]()
ROWS = pytest.StashKey[list]()


def pytest_addoption(parser):
    group = parser.getgroup("gradparity")
    group.addoption("--gradparity-json", metavar="FILE", help="Write every comparison of gradients to FILE.")


def pytest_configure(config):
    path = config.getoption("--gradparity-json")
    if path:
        from pathlib import Path

        from comparisons import usage

        try:
            usage.writable("--gradparity-json", Path(path))
        except usage.BadUsage as error:
            raise pytest.UsageError(str(error)) from None
    config.stash[ROWS] = []
    config.pluginmanager.register(Collector(config.stash[ROWS]))
    config.addinivalue_line("markers", "gradient_order(order): 1 for gradients, 2 for Hessian-vector products.")
    config.addinivalue_line("markers", "gradient_tolerance(tolerance): what `gradients_match` allows, of leaf scale.")


@pytest.fixture
def gradients_match(request):
    """`gradients_match(actual, expected)`, or `gradients_match.losses(torch_losses, jax_losses, params)`."""
    defaults = {}
    for marker, argument in MARKERS.items():
        found = request.node.get_closest_marker(marker)
        if found is not None:
            if len(found.args) != 1 or found.kwargs:
                raise pytest.UsageError(f"{request.node.nodeid}: @pytest.mark.{marker} takes one number")
            defaults[argument] = found.args[0]
    return Match(request.node, defaults)


class Match:
    """The project's assertions with a test's own defaults; each comparison is kept for the summary."""

    def __init__(self, node, defaults):
        self._node, self._defaults = node, defaults

    def __call__(self, actual, expected, **options):
        """`assert_gradients_match`, with the test's markers as defaults."""
        from comparisons.testing import assert_gradients_match

        return self._kept(assert_gradients_match, lambda found: found, actual, expected, **self._defaults | options)

    def losses(self, torch_losses, jax_losses, params, **options):
        """`assert_losses_match`, with the test's markers as defaults."""
        from comparisons.testing import assert_losses_match

        def found(agreement):
            return agreement.gradients

        return self._kept(assert_losses_match, found, torch_losses, jax_losses, params, **self._defaults | options)

    def _kept(self, assertion, difference, *arguments, **options):
        from comparisons.testing import GradientMismatch

        try:
            result = assertion(*arguments, **options)
        except GradientMismatch as error:
            self._keep(error.difference, "differs")
            raise
        self._keep(difference(result), "ok")
        return result

    def _keep(self, found, status):
        worst = found.pairs[0]
        row = {
            "id": f"{self._node.nodeid}#{sum(name == PROPERTY for name, _ in self._node.user_properties)}",
            "status": status,
            "order": found.order,
            "pairs": len(found.pairs),
            "unequal": len(found.unequal),
            "loss": worst.loss,
            "parameter": worst.parameter,
            "relative_error": worst.relative_error if worst.relative_error < float("inf") else None,
            "tolerance": worst.tolerance,
        }
        if status != "ok":
            row["reason"] = worst.hint or f"{worst.relative_error:.1e} of leaf scale"
        self._node.user_properties.append((PROPERTY, row))


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc):
    metafunc.config.stash[USES_FIXTURE] = "gradients_match" in metafunc.fixturenames


def pytest_make_parametrize_id(config, val, argname):
    """Where the fixture is used: `float32[3, 4]` for an array, `0.5` for a scalar, `x=float32[3]` for a mapping."""
    return _readable(val) if config.stash.get(USES_FIXTURE, False) else None


def _readable(value):
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        name = str(value.dtype).removeprefix("torch.")
        return f"{name}{list(value.shape)}" if len(value.shape) else f"{value.item():.6g}"
    if isinstance(value, dict) and value:
        parts = {name: _readable(part) for name, part in value.items()}
        if all(parts.values()):
            return ", ".join(f"{name}={part}" for name, part in parts.items())
    return None


class Collector:
    """Gathers the rows of every test's report: in the one process, or in the one that xdist's workers report to."""

    def __init__(self, rows):
        self._rows = rows

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self._rows += [row for name, row in report.user_properties if name == PROPERTY]


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[ROWS]
    if not rows:
        return
    wrong = [row for row in rows if row["status"] != "ok"]
    pairs = sum(row["pairs"] for row in rows)
    line = f"gradparity: {len(rows)} comparisons of {pairs} (loss, parameter) pairs, {len(wrong)} differ"
    held = [row for row in rows if row["status"] == "ok"]
    if held:
        worst = max(held, key=lambda row: row["relative_error"] / (row["tolerance"] or 1))
        line += f"; worst that holds {worst['relative_error']:.1e} of {worst['tolerance']:.1e} allowed"
    terminalreporter.write_line(line, red=bool(wrong))


def pytest_sessionfinish(session):
    path = session.config.getoption("--gradparity-json")
    if path and not hasattr(session.config, "workerinput"):
        rows = ",\n".join(json.dumps(row, allow_nan=False) for row in session.config.stash[ROWS])
        with open(path, "w") as file:
            file.write(f'{{"schema": 1, "comparisons": [\n{rows}\n]}}\n')
