"""`python -m comparisons.memory.alone FILE`: one JAX program's peak on a GPU, in a fresh process. Prints bytes.

The peak counter of a JAX process cannot be reset, so nothing else may run in it. FILE is a pickle of the serialized
program and its arguments in NumPy, written by the process that compiled it.
"""

import os
import pickle
import sys
from pathlib import Path

os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "true"


def main(path: str) -> None:
    from jax.experimental.serialize_executable import deserialize_and_load

    from jax_impl.memory import peak_in_use

    program, arguments = pickle.loads(Path(path).read_bytes())
    run = deserialize_and_load(*program)
    print(peak_in_use(lambda: run(*arguments)))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except RuntimeError as error:
        sys.exit(str(error).splitlines()[0])
