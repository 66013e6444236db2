"""`python -m comparisons.memory.alone PROBLEM STRATEGY SIZE`: one JAX cell's peak on a GPU, in a fresh process.

The peak counter of a JAX process cannot be reset, so nothing else may run in it. Prints bytes.
"""

import os
import sys

os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"


def main(name: str, strategy: str, size: str) -> None:
    from comparisons.frameworks import compiled, jax_scope
    from comparisons.memory.sides import jax_rest, jax_side
    from comparisons.problems import problem
    from jax_impl.memory import peak_in_use

    with jax_scope("float32", "cuda"):
        side, rest = jax_side(name, problem(name, size)), jax_rest(problem(name, size), strategy)
        print(peak_in_use(lambda: compiled(name, strategy)(side.batch, side.params, *rest)))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except RuntimeError as error:
        sys.exit(str(error).splitlines()[0])
