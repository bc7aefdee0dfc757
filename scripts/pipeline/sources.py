"""Which project files a script needs, read from its syntax tree, and a digest of what they compute.

Snakemake does not follow imports by itself: without this, an edited helper would leave stale results behind.
"""

import ast
import hashlib
from pathlib import Path

ROOT = Path("scripts")


def sources(script):
    """The script and every project module that it imports, directly or not; sorted paths as strings."""
    found, waiting = set(), [Path(script)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_imports(path))
    return sorted(path.as_posix() for path in found)


def fingerprint(script):
    """SHA-256 of the syntax trees of ``sources(script)`` without docstrings: comments and layout do not count."""
    digest = hashlib.sha256()
    for path in sources(script):
        tree = ast.dump(_without_docstrings(_parse(path)))
        digest.update(f"{path}\0{tree}\0".encode())
    return digest.hexdigest()


def _imports(path):
    """The project files behind the import statements of one file, packages' ``__init__`` included."""
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module_files(ROOT, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = ROOT if node.level == 0 else path.parents[node.level - 1]
            yield from _module_files(base, node.module or "")
            for alias in node.names:  # `from package import module`
                yield from _module_files(base, ".".join(filter(None, [node.module, alias.name])))


def _module_files(base, dotted):
    """Files below ``base`` for a dotted name: the module itself and the ``__init__`` of each package on the way."""
    place = base
    for part in filter(None, dotted.split(".")):
        place = place / part
        for candidate in (place / "__init__.py", place.with_suffix(".py")):
            if candidate.is_file():
                yield candidate


def _parse(path):
    return ast.parse(Path(path).read_text(encoding="utf-8"), filename=str(path))


def _without_docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _has_docstring(
            node
        ):
            node.body = node.body[1:]
    return tree


def _has_docstring(node):
    return ast.get_docstring(node, clean=False) is not None
