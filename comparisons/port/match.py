"""Layers of two modules joined: by path first, then by type, shapes and order."""

from comparisons.layout import Layer
from comparisons.port.attention import grouped
from comparisons.port.ported import Ported
from comparisons.port.rules import Refused, join
from comparisons.port.walk import Spot, alike, pair_name


def match(here: list[Spot], there: list[Spot], ported: Ported) -> list[tuple[Spot, Spot]]:
    """Fill the layout; the pairs whose settings can be compared."""
    layers, left = ported.layout.layers, list(there)
    joined: list[tuple[Spot, Spot]] = []
    rest = []
    for spot in here:
        same = next((f for f in left if alike(f.path) == alike(spot.path)), None)
        if same is None or not _join(spot, same, ported, layers, joined):
            rest.append(spot)
        else:
            left.remove(same)
    rest, left = grouped(rest, left, ported)
    for spot in rest:
        for other in left:
            if _join(spot, other, ported, layers, joined):
                if spot.path and other.path:
                    ported.notes.append(f"{spot.path} was joined with {other.path} by its type, shapes and place")
                left.remove(other)
                break
        else:
            if any(spot.leaf(name) not in ported.layout.aliases for name in spot.shapes):
                ported.unmatched.append(f"torch's {spot} matches nothing in Flax")
    ported.unmatched += [f"Flax's {spot} matches nothing in torch" for spot in left if spot.shapes]
    return joined


def _join(spot: Spot, other: Spot, ported: Ported, layers: dict[str, Layer], joined: list) -> bool:
    try:
        layer = join(spot, other)
    except Refused as reason:
        ported.refused.append(f"{pair_name(spot, other)}: {reason}")
        return True
    if layer is None:
        return False
    layers[spot.path] = layer
    joined.append((spot, other))
    return True
