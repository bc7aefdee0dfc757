"""The report: what it quotes, gathered from the tables, and its two documents."""

import yaml

from pipeline.config import dropped
from pipeline.engine import chosen_engine, refusal
from pipeline.provenance import checksums, origins, unmade_inputs
from pipeline.sources import versions

ENGINE = chosen_engine(config["report"]["engine"])
REPORT_CONFIG = config | {"report": config["report"] | {"engine": ENGINE.split()[0]}}  # recorded: what auto came to
REPORT_SPECS = expand("report/p{k}.yml", k=range(1, 6))
REPORT_SOURCES = [path for path in PROJECT_FILES if path.startswith("report/")]
REPORT_TABLES = expand("results/report/tables/p{k}_claims.md", k=range(1, 6))
REPORT_LISTINGS, LISTED_SOURCES = [], []
for path in map(Path, REPORT_SPECS):
    shown = yaml.safe_load(path.read_text(encoding="utf-8"))
    REPORT_TABLES += [f"results/report/tables/{path.stem}_{name}.md" for name in shown.get("tables") or {}]
    for name, cut in (shown.get("listings") or {}).items():
        REPORT_LISTINGS.append(f"results/report/code/{path.stem}_{name}.md")
        LISTED_SOURCES.append(cut["file"])
REPORT_PARTS = [
    "results/report/_variables.yml",
    "results/report/_metadata.yml",
    "results/report/_provenance.md",
    *REPORT_TABLES,
    *REPORT_LISTINGS,
]
REPORT_RECORDS = ["results/report/config.yaml", "results/report/sources.sha256"]
REPORT_DOCUMENTS = ["results/report/solutions.html", "results/report/solutions.pdf"]
REPORT = REPORT_PARTS + REPORT_RECORDS + REPORT_DOCUMENTS
SHOWN = [path for path in PROBLEMS if path.endswith((".svg", ".md"))]
TABLES = [path for path in PROBLEMS if path.endswith(".csv")] + ["results/claims.csv"]
SOURCE_FILES = sorted(
    {
        "Snakefile",
        "workflow/results.yaml",
        *(path for path in PROJECT_FILES if path.startswith("workflow/rules/")),
        *REPORT_SOURCES,
        *REPORT_SPECS,
        *unmade_inputs(workflow.rules),
        *sources("scripts/report_numbers.py"),
        *sources("scripts/report_render.py"),
    }
)


rule report_numbers:
    """Round every number that the report quotes, lay out its tables, and cut its listings from the source that ran."""
    input:
        tables=TABLES,
        claims="results/claims.csv",
        specs=REPORT_SPECS,
        dictionary="workflow/results.yaml",
        listed=sorted(set(LISTED_SOURCES)),
        code=ancient(sources("scripts/report_numbers.py")),
    output:
        variables=reported("results/report/_variables.yml"),
        metadata=reported("results/report/_metadata.yml"),
        provenance=reported("results/report/_provenance.md"),
        config=reported("results/report/config.yaml"),
        sources=reported("results/report/sources.sha256"),
        tables=map(reported, REPORT_TABLES),
        listings=map(reported, REPORT_LISTINGS),
    log:
        "results/logs/report_numbers.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        config=REPORT_CONFIG,
        dropped=dropped(config),
        engine=ENGINE,
        versions=versions(),
        origins=origins(workflow.rules, TABLES),
        checksums=checksums(SOURCE_FILES),
        code=fingerprint("scripts/report_numbers.py"),
    message:
        "Rounding the numbers that the report quotes"
    script:
        "../../scripts/report_numbers.py"


rule report_html:
    """Render the report to one self-contained HTML file."""
    input:
        gate="results/gate.txt",
        parts=REPORT_PARTS,
        shown=SHOWN,
        sources=REPORT_SOURCES,
        code=ancient(sources("scripts/report_render.py")),
    output:
        document=reported("results/report/solutions.html"),
    log:
        "results/logs/report_html.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        format="html",
        engine=ENGINE,
        date=config["report"]["date"],
        code=fingerprint("scripts/report_render.py"),
    message:
        "Rendering the report to HTML"
    script:
        "../../scripts/report_render.py"


rule report_pdf:
    """Render the report to a tagged PDF."""
    input:
        gate="results/gate.txt",
        parts=REPORT_PARTS,
        shown=SHOWN,
        attached=TABLES + REPORT_RECORDS,
        sources=REPORT_SOURCES,
        code=ancient(sources("scripts/report_render.py")),
    output:
        document=reported("results/report/solutions.pdf"),
    log:
        "results/logs/report_pdf.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        format="pdf",
        engine=ENGINE,
        date=config["report"]["date"],
        code=fingerprint("scripts/report_render.py"),
    message:
        "Rendering the report to PDF"
    script:
        "../../scripts/report_render.py"
