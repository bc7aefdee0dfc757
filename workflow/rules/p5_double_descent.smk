# Problem 5: double descent and the ridge penalty.


rule p5_double_descent:
    """Minimise |Fθ − Y|²/2 + λ|θ|²/2, F = ReLU(XW'), for every width p and every λ, with λ fixed and λ tuned for each p."""
    input:
        code=ancient(sources("scripts/p5_double_descent.py")),
    output:
        test_error="results/p5/test_error.csv",
        tuned_lambda="results/p5/tuned_lambda.csv",
        summary="results/p5/summary.csv",
        risk_grid="results/p5/risk_grid.csv",
        decomposition="results/p5/decomposition.csv",
        curves="results/p5/curves.csv",
        parts="results/p5/parts.csv",
        constants="results/p5/constants.csv",
        claims="results/p5/claims.csv",
    log:
        "results/logs/p5_double_descent.log",
    conda:
        "../../environment.yml"
    params:
        study=config["double_descent"],
        code=fingerprint("scripts/p5_double_descent.py"),
    message:
        "Problem 5: ridge regression at every width and penalty"
    script:
        "../../scripts/p5_double_descent.py"


rule p5_figures:
    """Test error and risk against p, the λ chosen for each p, and the smallest eigenvalue beside the parts of the risk."""
    input:
        code=ancient(sources("scripts/p5_figures.py")),
        summary="results/p5/summary.csv",
        tuned_lambda="results/p5/tuned_lambda.csv",
        decomposition="results/p5/decomposition.csv",
    output:
        test_error="results/p5/test_error.svg",
        tuned_lambda="results/p5/tuned_lambda.svg",
        parts="results/p5/parts.svg",
    log:
        "results/logs/p5_figures.log",
    conda:
        "../../environment.yml"
    params:
        study={key: config["double_descent"][key] for key in ("n_train", "n_test", "fixed_lambda", "lambda_grid")},
        code=fingerprint("scripts/p5_figures.py"),
    message:
        "Problem 5: figures"
    script:
        "../../scripts/p5_figures.py"


P5 = [*rules.p5_double_descent.output, *rules.p5_figures.output]
