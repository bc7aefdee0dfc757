"""What counts of a Python file: its syntax tree without docstrings. Comments and layout do not."""

import ast
import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)  # what may have a docstring


class Module(NamedTuple):
    """What counts of one file."""

    imports: list  # of (level, dotted name), where the last part may be a module or something inside one
    words: frozenset  # the types and values of its syntax tree, values as repr gives them
    digest: str


def parsed(path):
    """The Module of a file. Raises OSError, SyntaxError or ValueError if it is none."""
    return _parsed(Path(path).read_text(encoding="utf-8"))


@functools.cache  # most modules serve many scripts
def _parsed(text):
    parts, imports = [], []
    _flatten(ast.parse(text), parts, imports)
    return Module(imports, frozenset(parts), hashlib.sha256("\0".join(parts).encode()).hexdigest())


def _flatten(node, parts, imports):
    """Append the types and values of a syntax tree without docstrings to ``parts``, its imports to ``imports``."""
    parts.append(type(node).__name__)
    if isinstance(node, ast.Import):
        imports += [(0, alias.name) for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        imports += [(node.level, f"{node.module or ''}.{alias.name}".strip(".")) for alias in node.names]
    for field in node._fields:
        value = getattr(node, field)
        if field == "body" and isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            value = value[1:]
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                _flatten(item, parts, imports)
            else:
                parts.append(repr(item))
        parts.append(";")  # the end of a field
