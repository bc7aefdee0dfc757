"""The claims of all problems in one table, and the gate that the report has to pass."""

PROBLEMS = P1 + P2 + P3 + P4 + P5
CLAIMS = ["results/claims.csv", "results/gate.txt"]


rule claims_gather:
    """Every claim of the report with what was measured and the bound that decides."""
    input:
        claims=expand("results/p{k}/claims.csv", k=range(1, 6)),
        code=ancient(sources("scripts/claims_gather.py")),
    output:
        claims=reported("results/claims.csv"),
    log:
        "results/logs/claims_gather.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        code=fingerprint("scripts/claims_gather.py"),
    message:
        "Gathering the claims"
    script:
        "../../scripts/claims_gather.py"


rule claims_gate:
    """Fail, naming them, if a theorem does not hold, or a finding of a problem whose configuration is the default."""
    input:
        claims="results/claims.csv",
        code=ancient(sources("scripts/claims_gate.py")),
    output:
        verdict=reported("results/gate.txt"),
    log:
        "results/logs/claims_gate.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        default_problems=default_problems(config),
        code=fingerprint("scripts/claims_gate.py"),
    message:
        "Checking that every claim that gates holds"
    script:
        "../../scripts/claims_gate.py"
