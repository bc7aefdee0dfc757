# Problem 5: double descent and the ridge penalty.

STUDY = config["double_descent"]
SWEEP_SECONDS, CLOSER_SECONDS = cost.sweep_seconds(STUDY), cost.closer_seconds(STUDY)  # of one replicate
SWEEP_KEYS = [
    "input_dim",
    "noise_std",
    "n_train",
    "n_validation",
    "n_test",
    "n_features",
    "fixed_lambda",
    "lambda_grid",
    "replicates",
    "seed",
]
CLOSER_KEYS = [
    "input_dim",
    "noise_std",
    "n_train",
    "n_validation",
    "n_features",
    "fixed_lambda",
    "lambda_grid",
    "auxiliary_replicates",
    "seed",
]


scattergather:
    replicates=cost.shares(STUDY["replicates"], SWEEP_SECONDS),
    closer=cost.shares(STUDY["auxiliary_replicates"], CLOSER_SECONDS),


rule p5_sweep:
    """Minimise |Fθ − Y|²/2 + λ|θ|²/2, F = ReLU(XW'), for every width p and every λ: one share of the replicates."""
    input:
        code=ancient(sources("scripts/p5_sweep.py")),
    output:
        fits=temp("results/p5/parts/fits-{scatteritem}.csv"),
    log:
        "results/logs/p5_sweep-{scatteritem}.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=megabytes(memory.sweep_bytes(STUDY)),
        runtime=minutes_of_share(STUDY["replicates"], SWEEP_SECONDS),
    params:
        study=only("double_descent", *SWEEP_KEYS),
        code=fingerprint("scripts/p5_sweep.py"),
    message:
        "Problem 5: ridge regression at every width and penalty, share {wildcards.scatteritem} of the replicates"
    script:
        "../../scripts/p5_sweep.py"


# Its parameters are those of the sweep, too: the parts are gone when it is to be decided whether they were stale.
rule p5_merge:
    """All shares in one table, in constant memory: the same table, however the replicates were shared out."""
    input:
        code=ancient(sources("scripts/p5_merge.py")),
        fits=gather.replicates("results/p5/parts/fits-{scatteritem}.csv"),
    output:
        fits=every_replicate("results/p5/fits.csv", mark=str),
    log:
        "results/logs/p5_merge.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=megabytes(memory.merge_bytes(STUDY)),
        runtime=growing(60),
    params:
        study=only("double_descent", *SWEEP_KEYS),
        code=fingerprint("scripts/p5_merge.py"),
    message:
        "Problem 5: all replicates in one table"
    script:
        "../../scripts/p5_merge.py"


rule p5_closer:
    """A few replicates more closely: parts of the risk, leave-one-out, risk against N, one W for all p: one share of them."""
    input:
        code=ancient(sources("scripts/p5_closer.py")),
    output:
        closer=temp("results/p5/parts/closer-{scatteritem}.csv"),
        samples=temp("results/p5/parts/samples-{scatteritem}.csv"),
        nested=temp("results/p5/parts/nested-{scatteritem}.csv"),
    log:
        "results/logs/p5_closer-{scatteritem}.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=megabytes(memory.closer_bytes(STUDY)),
        runtime=minutes_of_share(STUDY["auxiliary_replicates"], CLOSER_SECONDS),
    params:
        study=only("double_descent", *CLOSER_KEYS),
        code=fingerprint("scripts/p5_closer.py"),
    message:
        "Problem 5: parts of the risk and sample sizes, share {wildcards.scatteritem} of a few replicates"
    script:
        "../../scripts/p5_closer.py"


rule p5_auxiliary:
    """What that gives: E risk = bias + σ² Σ s v'Mv/(s+λ)², residual/(1 − H), means; and the same numbers in other ways."""
    input:
        code=ancient(sources("scripts/p5_auxiliary.py")),
        closer=gather.closer("results/p5/parts/closer-{scatteritem}.csv"),
        samples=gather.closer("results/p5/parts/samples-{scatteritem}.csv"),
        nested=gather.closer("results/p5/parts/nested-{scatteritem}.csv"),
    output:
        decomposition=reported("results/p5/decomposition.csv"),
        selection=reported("results/p5/selection.csv"),
        samples=reported("results/p5/samples.csv"),
        nested=reported("results/p5/nested.csv"),
        checks="results/p5/parts/checks.csv",
    log:
        "results/logs/p5_auxiliary.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=megabytes(memory.auxiliary_bytes(STUDY)),
        runtime=growing(60),
    params:
        study=only("double_descent", *CLOSER_KEYS, "n_risk"),
        code=fingerprint("scripts/p5_auxiliary.py"),
    message:
        "Problem 5: the parts of the risk, ways to tune, sample size"
    script:
        "../../scripts/p5_auxiliary.py"


rule p5_theory:
    """The deterministic equivalent of E (θ'ReLU(Wx) − β'x)² at every p and λ, its least value over λ, and p → ∞."""
    input:
        code=ancient(sources("scripts/p5_theory.py")),
    output:
        theory=reported("results/p5/theory.csv"),
        theory_grid=reported("results/p5/theory_grid.csv"),
        baselines=reported("results/p5/baselines.csv"),
    log:
        "results/logs/p5_theory.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=megabytes(memory.theory_bytes(STUDY)),
        runtime=growing(60),
    params:
        study=only(
            "double_descent",
            "input_dim",
            "noise_std",
            "n_train",
            "n_features",
            "fixed_lambda",
            "lambda_grid",
        ),
        code=fingerprint("scripts/p5_theory.py"),
    message:
        "Problem 5: the theory's risk"
    script:
        "../../scripts/p5_theory.py"


rule p5_course:
    """The course's figure from its own random numbers: |f(x) − y| over 30 test points, λ = 0.01 and λ tuned in 2^−6 … 2^5."""
    input:
        code=ancient(sources("scripts/p5_course.py")),
    output:
        course=reported("results/p5/course.csv"),
    log:
        "results/logs/p5_course.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        code=fingerprint("scripts/p5_course.py"),
    message:
        "Problem 5: the course's own figure"
    script:
        "../../scripts/p5_course.py"


rule p5_double_descent:
    """Means over the replicates with 95 % intervals, λ fixed and λ tuned for each p, beside the theory; what they decide."""
    input:
        code=ancient(sources("scripts/p5_double_descent.py")),
        fits="results/p5/fits.csv",
        theory="results/p5/theory.csv",
        theory_grid="results/p5/theory_grid.csv",
        baselines="results/p5/baselines.csv",
        decomposition="results/p5/decomposition.csv",
        selection="results/p5/selection.csv",
        samples="results/p5/samples.csv",
        nested="results/p5/nested.csv",
        checks="results/p5/parts/checks.csv",
        course="results/p5/course.csv",
    output:
        test_error=every_replicate("results/p5/test_error.csv"),
        tuned_lambda=every_replicate("results/p5/tuned_lambda.csv"),
        choices=reported("results/p5/choices.csv"),
        risk_grid=reported("results/p5/risk_grid.csv"),
        summary=reported("results/p5/summary.csv"),
        curves=reported("results/p5/curves.csv"),
        parts=reported("results/p5/parts.csv"),
        constants=reported("results/p5/constants.csv"),
        decisions=reported("results/p5/decisions.csv"),
        claims=reported("results/p5/claims.csv"),
    log:
        "results/logs/p5_double_descent.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=megabytes(memory.double_descent_bytes(STUDY)),
        runtime=growing(60),
    params:
        study=only("double_descent", *SWEEP_KEYS, "n_risk", "keep"),
        code=fingerprint("scripts/p5_double_descent.py"),
    message:
        "Problem 5: means over the replicates, and claims"
    script:
        "../../scripts/p5_double_descent.py"


rule p5_figures:
    """Error and risk against p beside the theory, λ against p, noise and rest, risk over (p, λ) and over N, the course's figure."""
    input:
        code=ancient(sources("scripts/p5_figures.py")),
        summary="results/p5/summary.csv",
        choices="results/p5/choices.csv",
        theory="results/p5/theory.csv",
        baselines="results/p5/baselines.csv",
        decomposition="results/p5/decomposition.csv",
        risk_grid="results/p5/risk_grid.csv",
        samples="results/p5/samples.csv",
        course="results/p5/course.csv",
    output:
        test_error=reported("results/p5/test_error.svg"),
        tuned_lambda=reported("results/p5/tuned_lambda.svg"),
        parts=reported("results/p5/parts.svg"),
        heat_map=reported("results/p5/heat_map.svg"),
        samples=reported("results/p5/samples.svg"),
        course=reported("results/p5/course.svg"),
    log:
        "results/logs/p5_figures.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        study=only("double_descent", "n_train", "n_test", "fixed_lambda", "lambda_grid"),
        code=fingerprint("scripts/p5_figures.py"),
    message:
        "Problem 5: figures"
    script:
        "../../scripts/p5_figures.py"


rule p5_explorer:
    """For the page: risk against p at one λ of the grid, chosen by the reader, beside λ tuned and the map over (p, λ)."""
    input:
        code=ancient(sources("scripts/p5_explorer.py")),
        script="report/explorer.js",
        risk_grid="results/p5/risk_grid.csv",
        summary="results/p5/summary.csv",
        choices="results/p5/choices.csv",
    output:
        explorer=reported("results/p5/explorer.md"),
    log:
        "results/logs/p5_explorer.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        study=only("double_descent", "n_train", "fixed_lambda"),
        code=fingerprint("scripts/p5_explorer.py"),
    message:
        "Problem 5: the figure that moves"
    script:
        "../../scripts/p5_explorer.py"


# Kept, for else an edit of what only reads them would have them computed again; the report does not show them.
P5_PARTS = [*rules.p5_merge.output, *rules.p5_auxiliary.output[4:]]
P5 = [
    *rules.p5_auxiliary.output[:4],
    *rules.p5_theory.output,
    *rules.p5_course.output,
    *rules.p5_double_descent.output,
    *rules.p5_figures.output,
    *rules.p5_explorer.output,
]
if STUDY["keep"] == "summaries":
    P5_PARTS = rules.p5_auxiliary.output[4:]
    P5 = [path for path in P5 if path not in rules.p5_double_descent.output[:2]]
