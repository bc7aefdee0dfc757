"""Where each quoted number comes from: its table, the rule and the configuration keys behind it, and the SHA-256 sums.

A quoted number is a link to its row of the report's appendix; the filter ``report/hw6.lua`` numbers the places where it
stands and makes the row link back to them.
"""

import functools
import itertools
import re
from pathlib import Path

from pipeline.sums import sha256

BLOCKS = ("dropout", "initialization", "residual", "split_transform_merge", "double_descent")  # of problems 1 to 5
NUMBER = re.compile(
    r"""(?<![\w^.])(?:
    \d+(?:\ \(×\d+\))?(?:–\d+(?:\ \(×\d+\))?)+  # widths of a network, 35–64–1 or 64 (×10)–1
    | 10\^−?\d+\^
    | −?\d(?:[\d.,]*\d)?(?:\s*×\s*10\^−?\d+\^)?
    )""",
    re.VERBOSE,
)
FORMULA_NUMBER = re.compile(r"\$([^$]*?)\s*=\s*([\d.,]*\d)\$")


def origins(rules, paths):
    """For each path the rule that makes it and every configuration key that can change it.

    rules: Snakemake's rules, parsed so far.  Returns {path: {"rule": name, "keys": [dotted key, ...]}}, keys sorted.
    """
    producer, known = _producers(rules), {}
    return {
        path: {"rule": producer(path).name, "keys": sorted(_keys(producer, known, path))} for path in map(str, paths)
    }


def steps(rules):
    """What each rule with a script does, in the order of the rule files, as plain data.

    Returns [{name, about, script, keys, own}, ...]: ``keys`` are those of the configuration that it is given, ``own``
    holds its other parameters, without those that tell of files.
    """
    found = []
    for rule in rules:
        if rule.script:
            study, whole = getattr(rule.params, "study", {}), getattr(rule.params, "config", {})
            block = BLOCKS[int(rule.name[1]) - 1] if study else ""
            told = {"study", "config", "code", "versions", "origins", "checksums"}
            step = {
                "name": rule.name,
                "about": rule.docstring.strip(),
                "script": f"scripts/{Path(rule.script).name}",
                "keys": [f"{block}.{key}" for key in leaves(study)] + list(leaves(whole)),
                "own": {name: value for name, value in rule.params.items() if name not in told},
            }
            found.append(step)
    return found


def unmade_inputs(rules):
    """The files that the rules read and none of them makes, sorted."""
    rules = list(rules)
    producer = _producers(rules)
    read = {str(path) for rule in rules for path in rule.input if "{" not in str(path)}
    return sorted(path for path in read if not producer(path))


def checksums(paths):
    """{path: SHA-256 sum} of files."""
    return {path: sha256(path) for path in paths}


def label(kind, name):
    """The anchor of a number (kind ``num``) or of a table (kind ``src``)."""
    return f"{kind}-{re.sub(r'[./]', '-', name.removesuffix('.csv'))}"


def quoted(text, name, again=False):
    """A number as a link to its row; ``again``: the row links back to an earlier number of the same sentence."""
    return f"[{text}](#{label('num', name)}){{.quoted{' .again' if again else ''}}}"


def with_links(statement, name):
    """A claim's statement whose numbers are links to the claim's row; formulas keep their own numbers.

    ``$p = 301$`` becomes ``$p$ = 301``, so that its number can be a link too.
    """
    pieces = re.split(r"(\$[^$]*\$)", FORMULA_NUMBER.sub("$\\1$\u00a0=\u00a0\\2", statement))
    seen = itertools.count()
    return "".join(
        piece
        if piece.startswith("$")
        else NUMBER.sub(lambda number: quoted(number.group(), name, again=next(seen) > 0), piece)
        for piece in pieces
    )


def numbers_in(statement):
    """The numbers of a claim's statement that ``with_links`` makes links."""
    return re.findall(r"\[([^\]]+)\]\(#num-", with_links(statement, "x"))


def in_words(number):
    """Which cell an entry of ``numbers:`` describes, as Markdown, without its table."""
    column = f"`{number['column']}`"
    what = {"sum": f"sum of {column}", "count": "number of rows", "min": f"least {column}", "max": f"largest {column}"}
    where = [f"`{name}` is {_value_in_words(value)}" for name, value in number.get("where", {}).items()]
    return what.get(number.get("reduce"), column) + (f", where {' and '.join(where)}" if where else "")


def data_links(tables):
    """The end of a caption: the tables that a figure or table shows, as links to their rows."""
    links = ", ".join(f"[`{table}`](#{label('src', table)}){{.data}}" for table in tables)
    return f"Data: {links}."


def appendix(numbers, tables, sums, claims, config):
    """The appendix as Markdown: a group for each rule, with the tables that it made and their numbers.

    numbers: {name: (text, table, cell)} in the order of the report; ``cell`` says in words which one it is.
    tables: {table: origin} of every table that the report shows or quotes; sums: {table: SHA-256}.
    claims: (claim, problem, source, numbers) of the sentences with numbers.  config: {key: text}, and its file's sum.
    """
    values, sum_of_config = config
    groups = []
    for rule, keys in sorted({(origin["rule"], tuple(origin["keys"])) for origin in tables.values()}):
        own = [table for table, origin in tables.items() if origin["rule"] == rule]
        rows = [_row(name, text, f"`{table}`: {cell}") for name, (text, table, cell) in numbers.items() if table in own]
        rows += [_claim_row(*claim) for claim in claims if f"p{claim[1]}/claims.csv" in own]
        made = f"Made by the rule [{rule}]{{.source-name}} from {_listed(keys, values)}."
        groups.append(_group(made, {table: sums[table] for table in own}, rows))
    given = [_row(f"config.{key}", text, f"`{key}`") for key, text in values.items()]
    groups.append(_group("Given: the configuration of this run.", {"config.yaml": sum_of_config}, given))
    return "\n".join(groups)


def _group(origin, sums, rows):
    lines = [
        f"::: {{.source}}\n{origin}\n:::\n",
        "| Table and its SHA-256 sum | Place |",
        f"|:{'-' * 74}|:{'-' * 16}|",
    ]
    for table, checksum in sums.items():
        anchor = label("src", table)
        name, uses = f"[`{table}`]{{#{anchor} .number-name}}", f'[]{{.uses of="{anchor}"}}'
        lines.append(f"| {name} [{checksum}]{{.digest}} | {uses} |")
    if rows:
        lines += ["", "| Quoted | Cell | Place |", f"|{'-' * 20}:|:{'-' * 54}|:{'-' * 16}|", *rows]
    return "\n".join(lines) + "\n"


def _row(name, text, cell):
    anchor = label("num", name)
    return f'| [{text}]{{#{anchor} .number-name}} | {cell} | []{{.uses of="{anchor}"}} |'


def _claim_row(claim, _, source, numbers):
    anchor, found = label("num", f"claim.{claim}"), "; ".join(dict.fromkeys(numbers))
    cell = f"claim [{claim}](#{claim}), from [`{source}`](#{label('src', source)})"
    return f'| [{found}]{{#{anchor} .number-name}} | {cell} | []{{.uses of="{anchor}"}} |'


def _listed(keys, values):
    """Configuration keys in words, by block; ``values`` has all of them."""
    if not keys:
        return "no key of the configuration"
    if all(value.startswith(keys) for value in values):
        return "every key of the configuration"
    blocks = itertools.groupby(keys, key=lambda key: key.split(".")[0])
    return "; ".join(
        f"{', '.join(f'`{key.removeprefix(block)[1:]}`' for key in own)} of `{block}`" for block, own in blocks
    )


def _value_in_words(value):
    return f"that of `{value['config']}`" if isinstance(value, dict) else f"`{value}`"


def _producers(rules):
    """A function that gives the rule that makes a path, or None; it asks each rule once about each path."""
    rules = list(rules)
    return functools.cache(lambda path: next((rule for rule in rules if rule.is_producer(path)), None))


def _keys(producer, known, path):
    """The keys of the producer of a path and of what it reads, transitively: those of its parameter ``study``.

    known: {rule: keys} of what has been looked at; what is found is added.
    """
    rule = producer(path)
    if not rule:
        return set()
    if rule.name not in known:
        study = getattr(rule.params, "study", {})
        own = {f"{BLOCKS[int(rule.name[1]) - 1]}.{key}" for key in leaves(study)}
        known[rule.name] = own.union(*(_keys(producer, known, str(read)) for read in rule.input))
    return known[rule.name]


def leaves(block, path=""):
    """The dotted keys of the leaves of a configuration, or of a block of it; the networks are one."""
    for key, value in block.items():
        if isinstance(value, dict) and key != "networks":
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"
