"""Docstrings that are shown: an error's message, a command's help.

`PYTHONOPTIMIZE=2`, which some images of containers set, has Python drop them. Then they are read
from the source, which is installed beside what is run.
"""

from collections.abc import Callable
from functools import cache
from typing import Any


def docstring_of(shown: type | Callable[..., Any]) -> str:
    """Return the docstring of a class or function without its indentation; "" for none."""
    import inspect  # noqa: PLC0415  # takes long, and few errors are raised

    return inspect.cleandoc(shown.__doc__ or _written(shown.__module__).get(shown.__qualname__, ""))


def first_line_of(shown: type) -> str:
    """Return the first line of a class's docstring, or of the first of its bases that has one.

    Python's own bases have nothing to say of it.
    """
    for each in (each for each in shown.__mro__ if each.__module__ != "builtins"):
        written = each.__doc__ or _written(each.__module__).get(each.__qualname__, "")
        if written.strip():
            return written.strip().splitlines()[0]
    return shown.__name__


@cache
def _written(module: str) -> dict[str, str]:
    """Return the docstrings in the source of a module, by qualified name."""
    import ast  # noqa: PLC0415  # rarely needed
    import inspect  # noqa: PLC0415  # likewise
    import sys  # noqa: PLC0415  # likewise

    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError):
        # Nothing but bytecode is installed, or it is built in.
        return {}
    defined = (ast.ClassDef, ast.FunctionDef)
    found = (node for node in tree.body if isinstance(node, defined))
    return {node.name: ast.get_docstring(node) or "" for node in found}
