"""Bring the generated pages up to date: the README's keys, answers and figures, and results.md.

Run by `make docs` after the default experiment; tests/test_docs.py compares.
"""

import json
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from results_page import results_page  # noqa: E402

from pipeline.config import allowed, read_yaml  # noqa: E402
from pipeline.display import flat_config, looked_up  # noqa: E402

FIGURES = {"p5/test_error.svg": "double_descent.svg", "p3/vanishing.svg": "residual_gradients.svg"}


def keys_table():
    """The configuration's keys as a Markdown table: key, default, what is allowed, meaning."""
    schema, defaults = read_yaml(ROOT / "workflow/config.schema.yaml"), read_yaml(ROOT / "workflow/config.yaml")
    rows = ["| Key | Default | Allowed | Meaning |", "|:--|:--|:--|:--|"]
    for path, node in _leaves(schema):
        default = flat_config(looked_up(defaults, path))
        shown = "five networks" if isinstance(default, dict) else default
        rows.append(f"| `{path}` | {shown} | {allowed(node)} | {node['description']} |")
    return "\n".join(rows)


def answers_table(variables):
    """The answers of the report's opening as a Markdown table; variables: what the report quotes."""
    opening = (ROOT / "report/_opening.qmd").read_text(encoding="utf-8")
    opening = re.sub(r"\{\{< var (\S+) >\}\}", lambda match: looked_up(variables, match.group(1)), opening)
    opening = re.sub(r"\[([^\]]+)\]\(#num-[^)]+\)\{[^}]+\}", r"\1", opening)  # the links to the appendix
    rows = ["| Problem | Answer |", "|:--|:--|"]
    for title, answer in re.findall(r"^\d\. \*(.+?)\* \(@sec-p\d\)\. (.+(?:\n   .+)*)", opening, flags=re.MULTILINE):
        rows.append(f"| {title} | {' '.join(answer.split())} |")
    return "\n".join(rows)


def with_block(text, name, content):
    """The README with the block between ``<!-- name -->`` and ``<!-- /name -->`` replaced."""
    return re.sub(
        rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m: f"{m[1]}{content}\n{m[2]}", text, flags=re.DOTALL
    )


def refreshed(text, results):
    """The README's text with its generated blocks made anew from ``results``."""
    variables = json.loads((results / "report/_variables.yml").read_text(encoding="utf-8"))
    return with_block(with_block(text, "keys", keys_table()), "answers", answers_table(variables))


def _leaves(schema, path=""):
    for key, node in schema["properties"].items():
        inner = f"{path}.{key}" if path else key
        if node.get("type") == "object" and "required" in node and key != "networks":
            yield from _leaves(node, inner)
        else:
            yield inner, node


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(refreshed(readme.read_text(encoding="utf-8"), ROOT / "results"), encoding="utf-8")
    (ROOT / "docs/results.md").write_text(results_page(), encoding="utf-8")
    for figure, name in FIGURES.items():
        shutil.copyfile(ROOT / "results" / figure, ROOT / "docs" / name)
