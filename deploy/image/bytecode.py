"""Compiles what the forwarder imports, for a file system that it cannot write: `python bytecode.py`.

The files go to $PYTHONPYCACHEPREFIX. They carry no time and are used without a look at their sources, so that they are
the same at each build and stay good whatever the times of the sources become in the image.
"""

from __future__ import annotations

import importlib
import pkgutil
import py_compile
import sys

import tie_forwarder

# What the image does not have (the embedded servers, the registry's client), and what starts a process when imported.
LEFT_OUT = ("tie_forwarder.demo.", "tie_forwarder.consumer", "tie_forwarder.kafka.registry")


def main() -> None:
    """Import every module of the program, then compile all that has come in with them."""
    for module in pkgutil.walk_packages(tie_forwarder.__path__, "tie_forwarder."):
        if not module.name.startswith(LEFT_OUT) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    sources = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for source in sorted(source for source in sources if source and source.endswith(".py")):
        py_compile.compile(
            source, doraise=True, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )


if __name__ == "__main__":
    main()
