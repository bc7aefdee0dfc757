# Problem 2: default weight initialization.


rule p2_initialization:
    """Output of a default-initialised MLP: V_l = V_{l-1}/3 + 1/(3 n_{l-1}), its split, its law, and the ReLU case."""
    input:
        code=ancient(sources("scripts/p2_initialization.py")),
    output:
        variance=reported("results/p2/variance.csv"),
        relu=reported("results/p2/relu.csv"),
        split=reported("results/p2/split.csv"),
        law=reported("results/p2/law.csv"),
        density=reported("results/p2/density.csv"),
        installed=reported("results/p2/installed.csv"),
        enumeration=reported("results/p2/enumeration.csv"),
        claims=reported("results/p2/claims.csv"),
    log:
        "results/logs/p2_initialization.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(60),
    params:
        study=config["initialization"],
        code=fingerprint("scripts/p2_initialization.py"),
    message:
        "Problem 2: networks at their default initialization"
    script:
        "../../scripts/p2_initialization.py"


rule p2_figures:
    """The variance from layer to layer, formula beside simulation, and the output's density beside a Gaussian."""
    input:
        code=ancient(sources("scripts/p2_figures.py")),
        variance="results/p2/variance.csv",
        relu="results/p2/relu.csv",
        law="results/p2/law.csv",
        density="results/p2/density.csv",
    output:
        variance=reported("results/p2/variance.svg"),
        law=reported("results/p2/law.svg"),
    log:
        "results/logs/p2_figures.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        code=fingerprint("scripts/p2_figures.py"),
    message:
        "Problem 2: figures"
    script:
        "../../scripts/p2_figures.py"


P2 = [*rules.p2_initialization.output, *rules.p2_figures.output]
