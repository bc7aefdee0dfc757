"""Numbers, tables and listings as the report shows them: the only place where a result is rounded for display.

What is shown is described by ``report/p<k>.yml``: each number is one cell of a table, each table a selection of rows
and columns, each listing a function or class of the source that ran. Everything comes out as Markdown.
"""

import ast
import math
import re
from pathlib import Path

import pandas as pd

MINUS = "\u2212"
NARROW_SPACE = "\u202f"
HARD_SPACE = "\u00a0"
FIGURE_SPACE = "\u2007"
POINT_SPACE = "\u2008"
TIMES = f"{NARROW_SPACE}×{NARROW_SPACE}10"
WIDTHS = {FIGURE_SPACE: rf"[\d×–{MINUS}]", POINT_SPACE: "[.,]", NARROW_SPACE: NARROW_SPACE}  # signs as wide as a space
NUMBER = re.compile(
    rf"(?P<whole>[^.^{NARROW_SPACE}]*)(?P<decimals>\.[^^{NARROW_SPACE}]+)?(?P<times>{TIMES})?(?:\^(?P<exponent>[^^]+)\^)?"
)


def formatted(value, spec="text"):
    """One value as Markdown.

    spec: a Python format specification (``.3f``, ``,d``), ``percent<n>`` (times 100, n decimals, with the sign),
    ``sci<n>`` (n significant digits times a power of ten), ``power`` (an exact power of ten) or ``text``.
    """
    if value == "" or (isinstance(value, float) and pd.isna(value)):
        return "–"
    if (isinstance(value, float) or spec != "text") and math.isinf(float(value)):
        return "∞" if float(value) > 0 else f"{MINUS}∞"
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
    """A Markdown pipe table; columns of numbers are aligned on the decimal point, whatever renders the table.

    columns: name -> {title, format, map, se, interval}. ``se: other`` adds ± and the standard error in the column
    ``other``, which also rounds the value; ``interval: [low, high]`` adds [low, high] from those columns. Columns of
    numbers stand on the right; per cent is said in their title instead of in each cell.
    """
    numeric = {name: _is_numeric(rows[name], look) for name, look in columns.items()}
    head = [look.get("title", name) + (" (%)" if _in_percent(look) else "") for name, look in columns.items()]
    rule = ["--:" if numeric[name] else ":--" for name in columns]
    shown = [_column(rows, name, look, numeric[name]) for name, look in columns.items()]
    lines = [_line(head), f"|{'|'.join(rule)}|", *(_line(cells) for cells in zip(*shown, strict=True))]
    return "\n".join(lines) + "\n"


def aligned(numbers, left=False):
    """Displayed numbers, padded until their decimal points stand below each other when their right ends do.

    Each missing decimal, point or figure of an exponent leaves a space of its own width. left: pad on the left too, so
    that all have the same width.
    """
    parts = [NUMBER.fullmatch(number).groupdict(default="") for number in numbers]
    column = {name: [part[name] for part in parts] for name in NUMBER.groupindex}
    return [(_padding(column["whole"], part["whole"]) if left else "") + _padded(part, column) for part in parts]


def with_error(value, error, spec):
    """A value and its standard error, both rounded to two significant digits of the error, as displayed numbers.

    spec: how to show the value if there is no error to round it by.
    """
    if error == "" or pd.isna(error) or float(error) == 0:
        return formatted(value, spec), formatted(error, "g")
    decimals = 1 - int(f"{float(error):.1e}".split("e")[1])
    return tuple(formatted(round(float(number), decimals), f",.{max(decimals, 0)}f") for number in (value, error))


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
    """A measured value or bound of a claim as Markdown: ``<= 1e-12`` as ≤ 10^−12^, an equality as the bare value.

    Integers get their thousands separated, other numbers four significant digits; the table has the rest.
    """

    def number(match):
        digits = match.group()
        return f"{int(digits):,}" if digits.isdigit() else _with_power(f"{float(digits):.4g}")

    text = re.sub(r"(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])", number, text)
    text = re.sub(r"(?<![\w.])inf(?![\w.])", "∞", text)
    text = re.sub(r"(?<![\w-])-(?=[\d∞])|(?<=\^)-(?=\d)", MINUS, text)
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


def _is_numeric(column, look):
    return "map" not in look and (pd.api.types.is_numeric_dtype(column) or look.get("format", "text") != "text")


def _in_percent(look):
    return look.get("format", "").startswith("percent")


def _column(rows, name, look, numeric):
    """The cells of one column of a table."""
    if not numeric:
        return [_text(value, look) for value in rows[name]]
    spec = look.get("format", "text")

    def shown(column):
        return [formatted(value, spec).removesuffix(f"{NARROW_SPACE}%") for value in rows[column]]

    if "se" in look:
        pairs = [with_error(value, error, spec) for value, error in zip(rows[name], rows[look["se"]], strict=True)]
        values, errors = (
            aligned(part, left) for part, left in zip(zip(*pairs, strict=True), (False, True), strict=True)
        )
        return [f"{value}{HARD_SPACE}±{HARD_SPACE}{error}" for value, error in zip(values, errors, strict=True)]
    if "interval" in look:
        values = aligned(shown(name))
        low, high = (aligned(shown(column), left=True) for column in look["interval"])
        low = [re.sub(r"(?=\S)", f"{HARD_SPACE}[", end, count=1) for end in low]  # the bracket stands at its number
        return [f"{value}{a},{HARD_SPACE}{b}]" for value, a, b in zip(values, low, high, strict=True)]
    return aligned(shown(name))


def _text(value, look):
    value = look.get("map", {}).get(value, value)
    return formatted(value, look.get("format", "text")).replace("|", "\\|")


def _padded(part, column):
    """A number with spaces for what others of its column have to the right of the ones."""
    decimals = _padding(column["decimals"], part["decimals"])
    times = part["times"] or _padding(column["times"])
    exponent = part["exponent"] + _padding(column["exponent"], part["exponent"])
    power = exponent and f"^{exponent}^"
    if part["exponent"] and not part["times"]:  # a bare power of ten keeps its exponent at its side
        return part["whole"] + power + decimals + times
    return part["whole"] + part["decimals"] + decimals + times + power


def _padding(texts, text=""):
    """Spaces that make ``text`` as wide as the widest of ``texts``."""
    missing = {
        space: max(len(re.findall(kind, other)) for other in texts) - len(re.findall(kind, text))
        for space, kind in WIDTHS.items()
    }
    return "".join(space * count for space, count in missing.items())


def _line(cells):
    return f"| {' | '.join(cells)} |"


def _source_of(text, name, file):
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    raise ValueError(f"{file}: there is no function or class named {name}")


def _with_power(text):
    """``1.2e-05`` as 1.2 × 10^−5^, ``1e-15`` as 10^−15^ and ``7.3e+00`` as 7.3; other numbers stay as they are."""
    mantissa, _, exponent = text.partition("e")
    if not exponent or int(exponent) == 0:
        return mantissa
    return ("10" if mantissa == "1" else f"{mantissa}{TIMES}") + f"^{int(exponent)}^"


def _decimal_exponent(value):
    return float(f"{abs(value):e}".split("e")[1])
