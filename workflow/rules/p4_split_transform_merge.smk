# Problem 4: split-transform-merge convolutions.


rule p4_split_transform_merge:
    """Parameters of B chains of 1×1, k×k, 1×1 convolutions, B (2Cg + k²g² + 2g + C), beside the plain B = 1, g = m."""
    input:
        code=ancient(sources("scripts/p4_split_transform_merge.py")),
    output:
        parameters=reported("results/p4/parameters.csv"),
        savings=reported("results/p4/savings.csv"),
        optimum=reported("results/p4/optimum.csv"),
        curve=reported("results/p4/curve.csv"),
        costs=reported("results/p4/costs.csv"),
        registered=reported("results/p4/registered.csv"),
        claims=reported("results/p4/claims.csv"),
    log:
        "results/logs/p4_split_transform_merge.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        study=config["split_transform_merge"],
        code=fingerprint("scripts/p4_split_transform_merge.py"),
    message:
        "Problem 4: split-transform-merge convolutions"
    script:
        "../../scripts/p4_split_transform_merge.py"


rule p4_figures:
    """The block as a drawing, and the parameters of the split construction against B when B g = m."""
    input:
        code=ancient(sources("scripts/p4_figures.py")),
        parameters="results/p4/parameters.csv",
        savings="results/p4/savings.csv",
        optimum="results/p4/optimum.csv",
        curve="results/p4/curve.csv",
    output:
        block=reported("results/p4/block.svg"),
        savings=reported("results/p4/savings.svg"),
    log:
        "results/logs/p4_figures.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        code=fingerprint("scripts/p4_figures.py"),
    message:
        "Problem 4: figures"
    script:
        "../../scripts/p4_figures.py"


P4 = [*rules.p4_split_transform_merge.output, *rules.p4_figures.output]
