"""The lifetime strip: two losses on one trunk, each held tensor live or freed at every moment of a strategy.

`many_heads` with two losses, A and B. A moment is before or after a backward (a pull), or when all is dropped; one
before a backward is left out where nothing has changed since the moment before.
"""

from functools import partial

from comparisons.memory.strip.stage import Frames
from comparisons.rows import Row, Unit, failed
from comparisons.scenarios import STRATEGIES

__all__ = ["rows", "units"]


def units(device: str) -> list[Unit]:
    """One unit for each strategy and framework."""
    return [
        Unit("memory", "strip", f"lifetime strip  {strategy}  {side}", partial(rows, side, strategy, device))
        for side in ("torch", "jax")
        for strategy in STRATEGIES
    ]


def rows(framework: str, strategy: str, device: str = "cpu") -> list[Row]:
    """A row for each moment and tensor; one row where there is no moment to look at, or the strategy crashed."""
    head = {
        "id": f"memory/strip/{strategy}/{device}/{framework}",
        "strip": strategy,
        "problem": "many_heads",
        "framework": framework,
        "device": device,
        "phase": None,
        "kind": "observed",
        "status": "ok",
    }
    from comparisons.memory.ledger import WHY_NO_PHASES
    from comparisons.memory.strip import jax_frames, torch_frames

    try:
        take = torch_frames.frames if framework == "torch" else jax_frames.frames
        tensors, frames = take(strategy, device)
    except Exception as error:
        status = "unsupported" if "torch.func" in str(error) else "failed"
        return [failed(head, error) | {"status": status}]
    if len(frames) < 3:
        return [head | {"status": "unsupported", "reason": WHY_NO_PHASES[framework]}]
    found = []
    for step, (phase, alive) in enumerate(_told_apart(frames)):
        for number, (key, tensor) in enumerate(tensors.items(), start=1):
            place = {"id": f"{head['id']}/{step}/{number}", "step": step, "phase": phase, "tensor": number}
            held = tensor._asdict() | {"shape": "x".join(map(str, tensor.shape)), "alive": key in alive}
            found.append(head | place | held)
    return found


def _told_apart(frames: Frames) -> Frames:
    """The first moment is the end of the forward; of others like the one before, only ends of a backward are kept."""
    ends = [k for k, (phase, _) in enumerate(frames) if phase == "after both"]
    names = [phase for phase, _ in frames]
    if len(ends) == 2:  # one cotangent for each loss
        for end, loss in zip(ends, "AB", strict=True):
            names[end - 1 : end + 1] = f"before {loss}", f"after {loss}"
    kept = [("forward", frames[0][1])]
    for phase, (_, alive) in zip(names[1:], frames[1:], strict=True):
        if alive != kept[-1][1] or (not phase.startswith("before") and phase != kept[-1][0]):
            kept.append((phase, alive))
    return kept
