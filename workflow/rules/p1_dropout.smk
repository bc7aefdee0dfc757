# Problem 1: dropout and activation.


rule p1_dropout:
    """Do r c s(z) and s(r c z), c = 1/(1-p), agree? Exactly if s(cz) = c s(z): all masks, and torch.nn.Dropout."""
    input:
        code=ancient(sources("scripts/p1_dropout.py")),
    output:
        equivalence=reported("results/p1/equivalence.csv"),
        training=reported("results/p1/training.csv"),
        rounding=reported("results/p1/rounding.csv"),
        log_periodic=reported("results/p1/log_periodic.csv"),
        curves=reported("results/p1/curves.csv"),
        claims=reported("results/p1/claims.csv"),
    log:
        "results/logs/p1_dropout.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        study=config["dropout"],
        code=fingerprint("scripts/p1_dropout.py"),
    message:
        "Problem 1: both orders of dropout and activation"
    script:
        "../../scripts/p1_dropout.py"


rule p1_figures:
    """The graph of s beside its rescaled graph s(cz)/c: equal if and only if s commutes with dropout."""
    input:
        code=ancient(sources("scripts/p1_figures.py")),
        curves="results/p1/curves.csv",
    output:
        rescaled=reported("results/p1/rescaled.svg"),
    log:
        "results/logs/p1_figures.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        code=fingerprint("scripts/p1_figures.py"),
    message:
        "Problem 1: figures"
    script:
        "../../scripts/p1_figures.py"


P1 = [*rules.p1_dropout.output, *rules.p1_figures.output]
