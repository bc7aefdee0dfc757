"""The dictionary of results as a page for readers, docs/results.md, which `make docs` writes."""

from pipeline.results import TYPES, category, meaning, results_dictionary

OPENING = """# The results

What a run leaves below `results/`: for each file what it is, for each table what a row is and what its columns mean.
Numbers have six significant digits; yes and no are words; a cell is empty only where that is said. A `*` in a name
stands for any text. This page is made from `workflow/results.yaml` by `make docs`."""


def results_page():
    """The page as Markdown: a chapter for each problem, the claims and the report; a section for each file."""
    chapters = {}
    for name, entry in results_dictionary().items():
        chapters.setdefault(category(name), []).append(_section(name, entry))
    blocks = [OPENING]
    for title, sections in chapters.items():
        blocks += [f"## {title}", *sections]
    return "\n\n".join(blocks) + "\n"


def _section(name, entry):
    blocks = [f"### `{name}`", entry["about"]]
    if "columns" in entry:
        rows = ["| Column | Type | Meaning |", "|:--|:--|:--|"]
        rows += [
            f"| `{key}` | {TYPES[column['type']]} | {meaning(column)} |" for key, column in entry["columns"].items()
        ]
        blocks += [f"A row: {entry['row']}.", "\n".join(rows)]
    return "\n\n".join(blocks)
