"""What a script's results depend on besides its inputs: the project's files, what they compute, the packages they use.

Snakemake does not follow imports by itself: without this, an edited helper would leave stale results behind. All is
read from the syntax trees, hence nothing is imported by a computed name (tests/test_staleness.py forbids it).
"""

import ast
import functools
import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

ROOT = "scripts"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)  # what may have a docstring
DISTRIBUTIONS = {  # module -> what pip calls it; of these the version counts
    "brotli": "brotli",
    "font_source_sans_pro": "font-source-sans-pro",
    "font_source_serif_pro": "font-source-serif-pro",
    "fontTools": "fonttools",
    "jsonschema": "jsonschema",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "pandas": "pandas",
    "pypandoc": "pypandoc_binary",
    "rocrate": "rocrate",
    "scipy": "scipy",
    "torch": "torch",
    "typst": "typst",
    "yaml": "PyYAML",
    "ziamath": "ziamath",
}

NAMED = ("snakemake", "torch", "numpy", "matplotlib", "pandas")  # what the report says that it was made with


class Module(NamedTuple):
    """What counts of one file."""

    imports: list  # of (level, dotted name), where the last part may be a module or something inside one
    packages: list  # those of DISTRIBUTIONS that it imports, or has as a string: fonts are found by name
    digest: str  # of its syntax tree without docstrings: comments and layout do not count


def sources(script):
    """The script and every project module that it imports, directly or not; sorted paths as strings."""
    found, waiting = set(), [script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_imports(path))
    return sorted(found)


def fingerprint(script):
    """What a script's results depend on: {file: digest} of its sources, {package: version}, and Python's version."""
    modules = {path: _module(_read(path)) for path in sources(script)}
    files = {path: module.digest for path, module in modules.items()}
    packages = sorted(set().union(*(module.packages for module in modules.values())))
    return files | {name: installed(DISTRIBUTIONS[name]) for name in packages} | {"Python": python()}


def versions():
    """The versions that the report names, of Python and of the packages that compute and draw."""
    return {"Python": python()} | {name: installed(name) for name in NAMED}


def python():
    """Python's version without its last part, which only mends faults."""
    return ".".join(platform.python_version_tuple()[:2])


@functools.cache
def installed(distribution):
    """The version of an installed package without a build's own mark, as in 2.0+cpu; None if it is not there."""
    try:
        return version(distribution).partition("+")[0]
    except PackageNotFoundError:
        return None


def _imports(path):
    """The project files behind the import statements of one file, packages' ``__init__`` included."""
    for level, dotted in _module(_read(path)).imports:
        place = Path(path).parents[level - 1].as_posix() if level else ROOT
        for part in dotted.split("."):
            place = f"{place}/{part}"
            yield from filter(os.path.isfile, (f"{place}/__init__.py", f"{place}.py"))


def _read(path):
    return Path(path).read_text(encoding="utf-8")


@functools.cache  # most modules serve many scripts
def _module(text):
    """What counts of a file with this text."""
    parts, imports = [], []
    _flatten(ast.parse(text), parts, imports)
    modules, words = {dotted.split(".")[0] for level, dotted in imports if not level}, set(parts)
    packages = [name for name in DISTRIBUTIONS if name in modules or repr(name) in words]
    return Module(imports, packages, hashlib.sha256("\0".join(parts).encode()).hexdigest())


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
