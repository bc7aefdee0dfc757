"""Claims: what the report asserts, what was measured, and the bound that decides.

A *theorem* is true in every configuration; a *finding* is true of the default experiment. The outcome ``holds`` is
``yes``, ``no`` or ``undecided`` (the measured value is None: the data cannot decide).
"""

import math
import operator

import pandas as pd

from pipeline.tables import read_text

COLUMNS = ["claim", "problem", "kind", "statement", "measured", "bound", "holds", "method", "source"]
RELATIONS = {
    "=": operator.eq,
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}


def theorem(name, statement, measured, relation, bound, *, method, source):
    """A claim that is true in every configuration and always gates. Arguments as for ``finding``."""
    return _claim("theorem", name, statement, measured, relation, bound, method, source)


def finding(name, statement, measured, relation, bound, *, method, source):
    """A claim about the default experiment, which gates there and is printed elsewhere.

    name: ``p<k>-words``; the report's sentence carries it.
    statement: the sentence that is asserted, as Markdown.
    measured: a number, a string, or None if the data cannot decide; compared as ``measured relation bound``.
    relation: one of = <= < >= >, or ``in`` with ``bound`` a pair (low, high), ends included.
    method: how ``measured`` was computed, independently of what the statement rests on.
    source: the table that shows it, below ``results/``.
    """
    return _claim("finding", name, statement, measured, relation, bound, method, source)


def claims_table(claims):
    """The rows as a DataFrame with the columns that every ``claims.csv`` has; raises ValueError on a repeated claim."""
    table = pd.DataFrame(claims, columns=COLUMNS)
    repeated = table["claim"][table["claim"].duplicated()]
    if len(repeated):
        raise ValueError(f"claim {repeated.iloc[0]} is stated twice")
    return table


def read_claims(path):
    """A table of claims as it was written, every cell as text."""
    return read_text(path)


def stays_under(error, limit):
    """``limit`` if ``error`` is below it, else the power of ten above ``error``.

    Rounding errors differ between processors: what is printed is the power of ten that they stay under.
    """
    if error < limit:
        return limit
    return 10.0 ** math.ceil(math.log10(error)) if math.isfinite(error) else math.inf


def _claim(kind, name, statement, measured, relation, bound, method, source):
    if relation == "in":
        low, high = bound
        holds = measured is not None and low <= measured <= high
        limit = f"in [{_text(low)}, {_text(high)}]"
    else:
        holds = measured is not None and RELATIONS[relation](measured, bound)
        limit = f"{relation} {_text(bound)}"
    return {
        "claim": name,
        "problem": int(name[1]),
        "kind": kind,
        "statement": statement,
        "measured": "" if measured is None else _text(measured),
        "bound": limit,
        "holds": "undecided" if measured is None else "yes" if holds else "no",
        "method": method,
        "source": source,
    }


def _text(value):
    return value if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else str(value)
