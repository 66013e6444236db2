"""`python -m comparisons.memory.alone`: one JAX program's peak on a GPU, in a fresh process. Prints bytes.

The peak counter of a JAX process cannot be reset, so nothing else may run in it. Its input is a pickle of the
serialized program and its arguments in NumPy, from the process that compiled it.
"""

import os
import pickle
import sys

os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "true"


def main() -> None:
    from jax.experimental.serialize_executable import deserialize_and_load

    from jax_impl.memory import peak_in_use

    program, arguments = pickle.load(sys.stdin.buffer)
    run = deserialize_and_load(*program)
    print(peak_in_use(lambda: run(*arguments)))


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        sys.exit(str(error).splitlines()[0])
