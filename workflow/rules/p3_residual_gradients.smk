# Problem 3: backprop with residual connections.


rule p3_residual_gradients:
    """∂y_ℓ/∂y_{ℓ−1} = I + diag(σ′(A_ℓ y_{ℓ−1} + b_ℓ)) A_ℓ and what follows, checked; layers broken; growth with depth."""
    input:
        code=ancient(sources("scripts/p3_residual_gradients.py")),
    output:
        gradient_check=reported("results/p3/gradient_check.csv"),
        gradient_summary=reported("results/p3/gradient_summary.csv"),
        vanishing=reported("results/p3/vanishing.csv"),
        vanishing_summary=reported("results/p3/vanishing_summary.csv"),
        paths=reported("results/p3/paths.csv"),
        exceptions=reported("results/p3/exceptions.csv"),
        growth=reported("results/p3/growth.csv"),
        claims=reported("results/p3/claims.csv"),
    log:
        "results/logs/p3_residual_gradients.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(60),
    params:
        study=config["residual"],
        code=fingerprint("scripts/p3_residual_gradients.py"),
    message:
        "Problem 3: gradients of residual networks"
    script:
        "../../scripts/p3_residual_gradients.py"


rule p3_figures:
    """Gradient norms of every layer below and above a broken one, and E‖∂y_L/∂y_i‖² against the distance to the output."""
    input:
        code=ancient(sources("scripts/p3_figures.py")),
        vanishing="results/p3/vanishing.csv",
        growth="results/p3/growth.csv",
    output:
        vanishing=reported("results/p3/vanishing.svg"),
        growth=reported("results/p3/growth.svg"),
    log:
        "results/logs/p3_figures.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        code=fingerprint("scripts/p3_figures.py"),
    message:
        "Problem 3: figures"
    script:
        "../../scripts/p3_figures.py"


P3 = [*rules.p3_residual_gradients.output, *rules.p3_figures.output]
