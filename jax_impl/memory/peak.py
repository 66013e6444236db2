"""The peak: what a compiled program plans to allocate at once, and what a GPU says it has allocated."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Plan(NamedTuple):
    """The bytes that a compiled program plans: arguments, outputs, scratch, and outputs that take over arguments."""

    argument: int
    output: int
    temp: int
    alias: int

    @property
    def peak(self) -> int:
        """argument + output + temp - alias. Never compare `temp` alone: XLA reuses output buffers as scratch."""
        return self.argument + self.output + self.temp - self.alias


def peak(f: Callable, *args: Any) -> Plan:
    """The plan of `jax.jit(f)` for these arguments: static and exact, made by the compiler, nothing runs.

    `args` are arrays or `jax.ShapeDtypeStruct`s. It is a plan for the default device: XLA's for the CPU is not its
    plan for a GPU. What is observed there is `peak_in_use`. `f` may be compiled already: its plan is only read.

    >>> peak(lambda x: jnp.sin(x).sum(), jnp.ones(1000)).argument
    4000
    """
    program: Any = f
    if not hasattr(f, "memory_analysis"):
        program = (f if hasattr(f, "lower") else jax.jit(f)).lower(*args).compile()
    plan = program.memory_analysis()
    return Plan(
        plan.argument_size_in_bytes, plan.output_size_in_bytes, plan.temp_size_in_bytes, plan.alias_size_in_bytes
    )


def peak_in_use(run: Callable[[], Any]) -> int:
    """The most bytes that this process has ever had on its GPU, once `run()` is over.

    It cannot be reset: measure each cell in a process of its own. It counts whole chunks, which are cut to size in a
    pool that is taken at once (XLA_PYTHON_CLIENT_PREALLOCATE=true), and up to twice as large in one that grows.
    RuntimeError on the CPU, which keeps no such count.
    """
    jax.block_until_ready(run())
    stats = jax.devices()[0].memory_stats()
    if not stats:
        raise RuntimeError("this device keeps no memory statistics (the CPU does not): use `peak`, the compiled plan")
    return stats["peak_bytes_in_use"]
