"""Turn tables, claims and configuration into what the report quotes: variables, tables and listings in Markdown."""

import json
from pathlib import Path

import yaml

from pipeline.claims import read_claims
from pipeline.display import cell, flat_config, formatted, listing, looked_up, nested, pipe_table, readable, selected
from pipeline.jobs import job_log
from pipeline.tables import read_table, written_whole

MARKS = {"yes": "✓", "no": "×", "undecided": "?"}


def quoted_numbers(specs, tables, config):
    """Display text of every number of every problem, by its full name ``p<k>.<name>``."""
    return {
        f"{problem}.{name}": (
            formatted(looked_up(config, number["config"]), number.get("format", "g"))
            if "config" in number
            else cell(tables[number["table"]], number, config, f"{problem}.{name}")
        )
        for problem, spec in specs.items()
        for name, number in (spec.get("numbers") or {}).items()
    }


def quoted_claims(claims):
    """For each claim, the sentence that is true of this run, by ``claim.<id>``."""
    return {f"claim.{claim.claim}": true_sentence(claim) for claim in claims.itertuples()}


def true_sentence(claim):
    """The claim's statement if it holds, else a sentence that says that it does not, or is not decided."""
    statement = claim.statement.rstrip(".")
    if claim.holds == "yes":
        return f"{statement}."
    if claim.holds == "undecided":
        return f"In this configuration the data do not decide the following: {statement}."
    found, wanted = readable(claim.measured), readable(claim.bound)
    return f"In this configuration the following does *not* hold (measured {found}, required {wanted}): {statement}."


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


def front_matter(report, claims):
    """What the title page and the documents' metadata need, for both engines."""
    return {
        "title": report["title"],
        "author": report["author"],
        "date": report["date"],
        "claim-marks": {claim.claim: MARKS[claim.holds] for claim in claims.itertuples()},
    }


def dump(content, path):
    """Write nested text as JSON, which is YAML for Quarto and can be read from Lua too."""
    write(json.dumps(content, ensure_ascii=False, indent=2) + "\n", path)


def write(text, path):
    """Write text as a whole."""
    with written_whole(path) as draft:
        draft.write_text(text, encoding="utf-8")


def table_text(path, specs, tables, claims, config):
    """The Markdown of ``tables/p<k>_<name>.md``."""
    problem, name = path.stem.split("_", 1)
    if name == "claims":
        return claims_page(claims[claims["problem"] == problem[1:]])
    look = specs[problem]["tables"][name]
    return pipe_table(selected(tables[look["table"]], look.get("where", {}), config), look["columns"])


def listing_text(path, specs):
    """The Markdown of ``code/p<k>_<name>.md``."""
    problem, name = path.stem.split("_", 1)
    look = specs[problem]["listings"][name]
    return listing(look["file"], look["symbol"], f"lst-{problem}-{name}", look["caption"])


def variables(specs, tables, claims, config):
    """Everything that the text quotes, as nested text."""
    held = {"yes": str((claims["holds"] == "yes").sum()), "total": str(len(claims))}
    quoted = quoted_numbers(specs, tables, config) | quoted_claims(claims)
    return nested(quoted) | {"config": flat_config(config), "claims": held}


def write_parts(config, inputs, outputs):
    """Write variables, metadata, tables and listings; inputs and outputs: those of the rule."""
    specs = {Path(path).stem: yaml.safe_load(Path(path).read_text(encoding="utf-8")) for path in inputs.specs}
    tables = {str(Path(path).relative_to("results")): read_table(path) for path in inputs.tables}
    claims = read_claims(inputs.claims)
    dump(variables(specs, tables, claims, config), outputs.variables)
    dump(front_matter(config["report"], claims), outputs.metadata)
    for path in map(Path, outputs.tables):
        write(table_text(path, specs, tables, claims, config), path)
    for path in map(Path, outputs.listings):
        write(listing_text(path, specs), path)


if __name__ == "__main__":
    with job_log(snakemake):
        write_parts(snakemake.params.config, snakemake.input, snakemake.output)
