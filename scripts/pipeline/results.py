"""The dictionary of results: what each file below results/ is, in words and column by column."""

import functools
from fnmatch import fnmatchcase
from pathlib import Path

from pipeline.config import read_yaml

DICTIONARY = Path("workflow/results.yaml")
CATEGORIES = {
    "p1": "1 Dropout and activation",
    "p2": "2 Default weight initialisation",
    "p3": "3 Backprop with residual connections",
    "p4": "4 Split-transform-merge convolutions",
    "p5": "5 Double descent",
    "report": "Report",
}
CLAIMS = "Claims"
NO_LINKS = "{% set files = [] %}"  # else Snakemake ends each caption with links, malformed for names that begin with _
TYPES = {"text": "text", "integer": "integer", "number": "number", "yes_no": "yes or no"}


@functools.cache
def results_dictionary(path=DICTIONARY):
    """The parsed dictionary: {name below results/, or pattern: entry}; an entry's keys are told in the file itself."""
    return read_yaml(path)


def described(name):
    """The entry of a file; name: its path below results/. Raises LookupError if the dictionary has none."""
    for pattern, entry in results_dictionary().items():
        if fnmatchcase(name, pattern):
            return entry
    raise LookupError(f"{DICTIONARY}: results/{name} is not described there; every result needs an entry.")


def category(name):
    """The chapter of Snakemake's own report that a file belongs to: its problem, the claims, or the report."""
    return CLAIMS if name.endswith("claims.csv") else CATEGORIES.get(name.split("/")[0], CLAIMS)


def meaning(column):
    """What a column holds, in words."""
    return column["about"] + (" (may be empty)" if column.get("missing") and "empty" not in column["about"] else "")


def caption(name):
    """What Snakemake's own report says of a file, as reStructuredText."""
    entry = described(name)
    lines = [NO_LINKS, f"``results/{name}``", "", entry["about"]]
    if "columns" in entry:
        lines += ["", f"A row is {entry['row']}. Its columns:", ""]
        lines += [
            f"- ``{key}`` ({TYPES[column['type']]}): {meaning(column)}" for key, column in entry["columns"].items()
        ]
    return "\n".join(lines) + "\n"


def label(name, wildcards):
    """How Snakemake's own report calls a file. wildcards: Snakemake's, of no use here."""
    return {"result": f"{described(name)['title']} ({name})"}


def write_captions(folder, paths):
    """Write the captions of results below a folder, each as its own file. paths: with results/ in front."""
    for name in (Path(path).relative_to("results").as_posix() for path in paths):
        file = Path(folder, f"{name}.rst")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(caption(name), encoding="utf-8")
