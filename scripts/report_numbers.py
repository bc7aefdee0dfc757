"""Turn tables, claims and configuration into what the report quotes: variables, tables and listings in Markdown."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import yaml

from pipeline import engine, provenance
from pipeline.claims import read_claims
from pipeline.config import recorded
from pipeline.display import cell, flat_config, listing, nested, pipe_table, readable, selected
from pipeline.files import written_whole
from pipeline.jobs import job_log
from pipeline.results import described
from pipeline.sums import sha256, sums_text
from pipeline.tables import read_table

MARKS = {"yes": "✓", "no": "×", "undecided": "?"}


class Gathered(NamedTuple):
    """What a run has made and was asked for."""

    specs: dict  # problem -> what report/p<k>.yml describes
    tables: dict  # path below results/ -> DataFrame
    claims: object  # DataFrame of all claims, every cell as text
    config: dict
    values: dict  # the leaves of the configuration as they are shown, by dotted key


def gathered(inputs, config):
    """inputs: those of the rule."""
    return Gathered(
        specs={Path(path).stem: yaml.safe_load(Path(path).read_text(encoding="utf-8")) for path in inputs.specs},
        tables={inside(path): read_table(path) for path in inputs.tables},
        claims=read_claims(inputs.claims),
        config=config,
        values=dict(dotted(flat_config(config))),
    )


def inside(path):
    """A path below results/, without that."""
    return Path(path).relative_to("results").as_posix()


def dotted(tree, path=""):
    """The leaves of nested text as (dotted key, text)."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def quoted_numbers(run):
    """{name: (text, table, cell in words)} of every number from a table; a name is ``p<k>.<…>`` or ``claims.<…>``."""
    numbers = {
        f"{problem}.{name}": (
            cell(run.tables[number["table"]], number, run.config, f"{problem}.{name}"),
            number["table"],
            provenance.in_words(number),
        )
        for problem, spec in run.specs.items()
        for name, number in (spec.get("numbers") or {}).items()
    }
    held = str((run.claims["holds"] == "yes").sum())
    numbers["claims.yes"] = (held, "claims.csv", "number of rows, where `holds` is `yes`")
    numbers["claims.total"] = (str(len(run.claims)), "claims.csv", "number of rows")
    return numbers


def true_sentence(claim):
    """The claim's statement if it holds, else a sentence that says that it does not, or is not decided."""
    statement = claim.statement.rstrip(".")
    if claim.holds == "yes":
        return f"{statement}."
    if claim.holds == "undecided":
        return f"In this configuration the data do not decide the following: {statement}."
    found, wanted = readable(claim.measured), readable(claim.bound)
    return f"In this configuration the following does *not* hold (measured {found}, required {wanted}): {statement}."


def variables(run, numbers):
    """Everything that the text quotes, as nested text; each number is a link to its row of the appendix."""
    shown = {name: text for name, (text, _, _) in numbers.items()}
    shown |= {f"config.{key}": text for key, text in run.values.items()}
    quoted = {name: provenance.quoted(text, name) for name, text in shown.items()}
    for claim in run.claims.itertuples():
        name = f"claim.{claim.claim}"
        quoted[name] = provenance.with_links(true_sentence(claim), name)
    return nested(quoted) | {"data": nested({name: provenance.data_links(own) for name, own in shown_tables(run)})}


def shown_tables(run):
    """(name, tables behind it) of each table and figure; a name is ``p<k>.tables.<…>`` or ``p<k>.figures.<…>``."""
    for problem, spec in run.specs.items():
        for name, look in (spec.get("tables") or {}).items():
            yield f"{problem}.tables.{name}", [look["table"]]
        yield f"{problem}.tables.claims", [f"{problem}/claims.csv"]
        for name, figure in spec["figures"].items():
            yield f"{problem}.figures.{name}", figure["data"]


def alternative(run, problem, name):
    """What a figure shows, in words with its numbers: Markdown that the report's filter makes plain.

    In the template ``{x}`` stands for a number of the figure, a claim's sentence, or a key of the configuration.
    """
    figure = run.specs[problem]["figures"][name]

    def filled(match):
        key = match.group(1)
        if key in (figure.get("numbers") or {}):
            number = figure["numbers"][key]
            return cell(run.tables[number["table"]], number, run.config, f"{problem}.figures.{name}.{key}")
        claim = run.claims[run.claims["claim"] == key]
        if len(claim):
            return true_sentence(next(claim.itertuples()))
        if key not in run.values:
            raise ValueError(f"report/{problem}.yml: the figure {name} names {key}, which is no number, claim or key")
        return run.values[key]

    return re.sub(r"\{([\w.-]+)\}", filled, figure["alternative"])


def front_matter(run, made, attached):
    """What the title page, the documents' metadata and the filter need, for both engines.

    attached: paths below results/ of the files that travel inside the PDF.
    """
    return {
        "title": plain(run.config["report"]["title"]),
        "title-literal": typst_literal(run.config["report"]["title"]),
        "author": plain(run.config["report"]["author"]),
        "author-literal": typst_literal(run.config["report"]["author"]),
        "date": run.config["report"]["date"],
        "made": made,
        "claim-marks": {claim.claim: MARKS[claim.holds] for claim in run.claims.itertuples()},
        "alternatives": {
            f"{problem}/{name}.svg": alternative(run, problem, name)
            for problem, spec in run.specs.items()
            for name in spec["figures"]
        },
        "attachments": [
            {"path": name.removeprefix("report/"), "about": described(name)["about"]} for name in sorted(attached)
        ],
    }


def plain(text):
    """A text as Markdown that shows just its characters, whatever they mean there, on one line."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))


def typst_literal(text):
    """A text as a string of Typst's, for the PDF, inside Markdown that leaves it alone."""
    escaped = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f'{fence}"{escaped}"{fence}{{=typst}}'


def claims_page(claims):
    """The claims of one problem as a Markdown table, each row with the anchor that its sentence links to."""
    lines = ["| Claim | Kind | Measured | Required | Holds |", "|:--|:--|:--|:--|:--|"]
    for claim in claims.itertuples():
        method = claim.method[0].upper() + claim.method[1:].rstrip(".")
        statement = f"{claim.statement} [{method}.]{{.method}}".replace("|", "\\|")
        name, found = f"[{claim.claim}]{{#{claim.claim} .claim-name}}", readable(claim.measured) or "–"
        lines.append(
            f"| {name} {statement} | {claim.kind} | {found} | {readable(claim.bound)} | {MARKS[claim.holds]} |"
        )
    return "\n".join(lines) + "\n"


def table_text(run, path):
    """The Markdown of ``tables/p<k>_<name>.md``."""
    problem, name = path.stem.split("_", 1)
    if name == "claims":
        return claims_page(run.claims[run.claims["problem"] == problem[1:]])
    look = run.specs[problem]["tables"][name]
    return pipe_table(selected(run.tables[look["table"]], look.get("where", {}), run.config), look["columns"])


def listing_text(run, path):
    """The Markdown of ``code/p<k>_<name>.md``."""
    problem, name = path.stem.split("_", 1)
    look = run.specs[problem]["listings"][name]
    return listing(look["file"], look["symbol"], f"lst-{problem}-{name}", look["caption"])


def appendix(run, numbers, origins, config_file):
    """The Markdown of the appendix: every table that is quoted or shown, and every number, with its origin."""
    findings = run.claims[run.claims["kind"] == "finding"].itertuples()
    sentences = [(claim, provenance.numbers_in(true_sentence(claim))) for claim in findings]
    said = [(claim.claim, claim.problem, claim.source, found) for claim, found in sentences if found]
    used = {table for _, table, _ in numbers.values()} | {source for _, _, source, _ in said}
    used = used.union(*(own for _, own in shown_tables(run)))
    tables = {name: origins[f"results/{name}"] for name in sorted(used)}
    sums = {name: sha256(f"results/{name}") for name in tables}
    values = {key: text for key, text in run.values.items() if not key.startswith("report.")}
    return provenance.appendix(numbers, tables, sums, said, (values, sha256(config_file)))


def made_with(chosen, versions, sources, config_file):
    """What made the documents: the engine, the packages, and the sums over the sources and the configuration."""
    return {
        "engine": engine.in_words(chosen),
        "packages": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "sources": sha256(sources),
        "config": sha256(config_file),
    }


def dump(content, path):
    """Write nested text as JSON, which is YAML for Quarto and can be read from Lua too."""
    write(json.dumps(content, ensure_ascii=False, indent=2) + "\n", path)


def write(text, path):
    """Write text as a whole."""
    with written_whole(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_parts(inputs, params, outputs):
    """Write all that the report's sources include; inputs, params and outputs: those of the rule."""
    run = gathered(inputs, params.config)
    numbers = quoted_numbers(run)
    write(recorded(run.config, params.dropped), outputs.config)
    write(sums_text(params.checksums), outputs.sources)
    made = made_with(params.engine, params.versions, outputs.sources, outputs.config)
    attached = [inside(path) for path in (outputs.config, outputs.sources, *inputs.tables)]
    dump(variables(run, numbers) | {"made": made}, outputs.variables)
    dump(front_matter(run, made, attached), outputs.metadata)
    write(appendix(run, numbers, params.origins, outputs.config), outputs.provenance)
    for path in map(Path, outputs.tables):
        write(table_text(run, path), path)
    for path in map(Path, outputs.listings):
        write(listing_text(run, path), path)


if __name__ == "__main__":
    with job_log(snakemake):
        write_parts(snakemake.input, snakemake.params, snakemake.output)
