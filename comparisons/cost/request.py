"""What is asked of `cost`, checked before any work: one line for a reader's mistake."""

from collections.abc import Sequence

from comparisons.cost import PARTS
from comparisons.cost.leads import NEEDS
from comparisons.cost.regimes import REGIMES
from comparisons.problems import SIZES
from comparisons.scenarios import STRATEGIES
from comparisons.usage import BadUsage, installed, known


def check(
    parts: Sequence[str], problems: Sequence[str], strategies: Sequence[str], ks: Sequence[int], peers: Sequence[str]
) -> None:
    """BadUsage for a name that is not known, a peer that is not installed, and an option that no part takes."""
    known("--part", parts, PARTS)
    known("--peer", peers, NEEDS)
    for name in peers:
        installed(NEEDS[name], "pip install 'gradparity[peers]'")
    known("--problem", problems, dict.fromkeys([*SIZES, *REGIMES]))
    known("--strategy", strategies, STRATEGIES)
    for given, flag, of in ((ks, "--k", ("time", "peers")), (peers, "--peer", ("peers",))):
        if given and parts and not {*of} & {*parts}:
            raise BadUsage(f"{flag} is of {' and '.join(of)}, not of --part {' '.join(parts)}: leave it out")


def options(strategies: Sequence[str], peers: Sequence[str], full: bool) -> str:
    """What changes a unit's rows: a run can be resumed with the same alone."""
    named = [*(f"--strategy {name}" for name in strategies), *(f"--peer {name}" for name in peers)]
    return " ".join(sorted(["--full"] * full + named))
