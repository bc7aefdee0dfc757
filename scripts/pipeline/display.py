"""Numbers, tables and listings as the report shows them: the only place where a result is rounded for display.

What is shown is described by ``report/p<k>.yml``: each number is one cell of a table, each table a selection of rows
and columns, each listing a function or class of the source that ran. Everything comes out as Markdown.
"""

import ast
import re
from pathlib import Path

import pandas as pd

MINUS = "\u2212"
NARROW_SPACE = "\u202f"


def formatted(value, spec="text"):
    """One value as Markdown.

    spec: a Python format specification (``.3f``, ``,d``), ``percent<n>`` (times 100, n decimals, with the sign),
    ``sci<n>`` (n significant digits times a power of ten), ``power`` (an exact power of ten) or ``text``.
    """
    if value == "" or (isinstance(value, float) and pd.isna(value)):
        return "–"
    if spec == "text":
        return str(value).replace("-", MINUS) if isinstance(value, int | float) else str(value)
    if spec.startswith("percent"):
        return f"{100 * float(value):.{int(spec[7:])}f}{NARROW_SPACE}%".replace("-", MINUS)
    if spec.startswith("sci"):
        return _with_power(f"{float(value):.{int(spec[3:]) - 1}e}").replace("-", MINUS)
    if spec == "power":
        return "0" if float(value) == 0 else f"10^{round(_decimal_exponent(float(value)))}^".replace("-", MINUS)
    number = int(value) if spec.endswith("d") else float(value)
    return _with_power(format(number, spec)).replace("-", MINUS)


def cell(table, number, config, name):
    """The cell that ``number``, an entry of ``numbers:``, describes, as Markdown; raises ValueError naming ``name``."""
    rows = selected(table, number.get("where", {}), config)
    column = number["column"]
    if column not in table.columns:
        raise ValueError(f"{name}: {number['table']} has no column {column}")
    if "reduce" in number:
        values = rows[column]
        value = len(values) if number["reduce"] == "count" else getattr(values, number["reduce"])()
    elif len(rows) == 1:
        value = rows[column].iloc[0]
    else:
        raise ValueError(f"{name}: {len(rows)} rows of {number['table']} match {number.get('where', {})}, not one")
    return formatted(value, number.get("format", "text"))


def selected(table, where, config):
    """The rows whose columns have the given values; ``{config: path}`` stands for a value of the configuration."""
    for column, value in where.items():
        if isinstance(value, dict):
            value = looked_up(config, value["config"])
        table = table[table[column].isin(value if isinstance(value, list) else [value])]
    return table


def looked_up(config, path):
    """The value behind a dotted path of the configuration; raises KeyError."""
    for key in path.split("."):
        config = config[key]
    return config


def pipe_table(rows, columns):
    """A Markdown pipe table. columns: name -> {title, format, map}; columns of numbers are aligned on the right."""
    numeric = {name: pd.api.types.is_numeric_dtype(rows[name]) and "map" not in look for name, look in columns.items()}
    head = [look.get("title", name) for name, look in columns.items()]
    rule = ["--:" if numeric[name] else ":--" for name in columns]
    lines = [_line(head), f"|{'|'.join(rule)}|"]
    for _, row in rows.iterrows():
        lines.append(_line([_shown(row[name], look) for name, look in columns.items()]))
    return "\n".join(lines) + "\n"


def listing(file, symbol, label, caption):
    """A fenced code block with the source text of one function or class, cut from ``file`` by name.

    symbol: a name, or several separated by commas.
    """
    text = Path(file).read_text(encoding="utf-8")
    pieces = [_source_of(text, name.strip(), file) for name in symbol.split(",")]
    code = "\n\n\n".join(pieces)
    quoted = caption.replace('"', '\\"')
    return f'```{{#{label} .python lst-cap="{quoted}"}}\n{code}\n```\n'


def flat_config(config):
    """The configuration as displayed values: numbers as the reader writes them, lists separated by commas."""
    if isinstance(config, dict):
        return {key: flat_config(value) for key, value in config.items()}
    if isinstance(config, list):
        return ", ".join(flat_config(value) for value in config)
    if isinstance(config, int):
        return formatted(config, ",d")
    return formatted(config, "g") if isinstance(config, float) else str(config)


def readable(text):
    """A measured value or bound of a claim as Markdown: ``<= 1e-12`` as ≤ 10^−12^, an equality as the bare value."""
    text = re.sub(r"\b[\d.]+e[+-]?\d+\b", lambda number: _with_power(number.group()), text)
    text = re.sub(r"(?<![\w-])-(?=\d)|(?<=\^)-(?=\d)", MINUS, text)
    return text.removeprefix("= ").replace("<=", "≤").replace(">=", "≥")


def nested(flat):
    """``{"a.b": 1}`` as ``{"a": {"b": 1}}``, the form in which Quarto reads variables."""
    tree = {}
    for name, value in flat.items():
        *parents, leaf = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    return tree


def _shown(value, look):
    value = look.get("map", {}).get(value, value)
    return formatted(value, look.get("format", "text")).replace("|", "\\|")


def _line(cells):
    return f"| {' | '.join(cells)} |"


def _source_of(text, name, file):
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    raise ValueError(f"{file}: there is no function or class named {name}")


def _with_power(text):
    """``1.2e-05`` as 1.2 × 10^−5^ and ``1e-15`` as 10^−15^; other numbers stay as they are."""
    mantissa, mark, exponent = text.partition("e")
    if not mark:
        return text
    power = f"10^{int(exponent)}^"
    return power if mantissa == "1" else f"{mantissa}{NARROW_SPACE}×{NARROW_SPACE}{power}"


def _decimal_exponent(value):
    return float(f"{abs(value):e}".split("e")[1])
