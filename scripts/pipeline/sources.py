"""What a script's results depend on besides its inputs: the project's files, what they compute, the packages they use.

Snakemake does not follow imports by itself: without this, an edited helper would leave stale results behind. All is
read from the syntax trees, hence nothing is imported by a computed name (tests/test_staleness.py forbids it).
"""

import functools
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.syntax import parsed

ROOT = "scripts"
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
    modules = {path: parsed(path) for path in sources(script)}
    files = {path: module.digest for path, module in modules.items()}
    packages = sorted(set().union(*map(_packages, modules.values())))
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


def _packages(module):
    """The packages whose version counts: those that a file imports, or has as a string: fonts are found by name."""
    imported = {dotted.split(".")[0] for level, dotted in module.imports if not level}
    return [name for name in DISTRIBUTIONS if name in imported or repr(name) in module.words]


def _imports(path):
    """The project files behind the import statements of one file, packages' ``__init__`` included."""
    for level, dotted in parsed(path).imports:
        place = Path(path).parents[level - 1].as_posix() if level else ROOT
        for part in dotted.split("."):
            place = f"{place}/{part}"
            yield from filter(os.path.isfile, (f"{place}/__init__.py", f"{place}.py"))
