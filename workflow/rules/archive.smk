"""The archive: everything that is kept, the sources, and the account of how it was made, in one file; not part of `all`."""

import tomllib

from pipeline.provenance import steps

STEPS = steps(workflow.rules)
PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
ARCHIVE = f"results/archive/{PROJECT['name']}-{PROJECT['version']}"


rule archive:
    """One zip of sources, results, logs, SHA-256 sums and a Provenance Run Crate, the same to the byte wherever it is made."""
    input:
        results=[*PROBLEMS, *P5_PARTS, *CLAIMS, *REPORT],
        sources=PROJECT_FILES,
        code=ancient(sources("scripts/archive.py")),
    output:
        archive=f"{ARCHIVE}.zip",
        run=f"{ARCHIVE}.run.json",
    log:
        "results/logs/archive.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        steps=STEPS,
        code=fingerprint("scripts/archive.py"),
    message:
        "Writing the archive"
    script:
        "../../scripts/archive.py"
