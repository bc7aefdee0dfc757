"""Homework 6, solved: the table of contents. Each problem has a rule file of its own below workflow/rules/."""

from snakemake.utils import min_version

min_version("9.27")


# Reads and checks the configuration before Snakemake does, hence before the directive below.
include: "workflow/rules/common.smk"


configfile: "workflow/config.yaml"


config.clear()  # also the order of the keys, which would be that of the command line
config.update(CHECKED_CONFIG)


include: "workflow/rules/p1_dropout.smk"
include: "workflow/rules/p2_initialization.smk"
include: "workflow/rules/p3_residual_gradients.smk"
include: "workflow/rules/p4_split_transform_merge.smk"
include: "workflow/rules/p5_double_descent.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/archive.smk"


rule all:
    """Everything that the pipeline keeps: the tables, the figures, the claims and the report in two formats."""
    default_target: True
    input:
        PROBLEMS,
        P5_PARTS,
        CLAIMS,
        REPORT,
    message:
        "Everything is made"


gc.freeze()
gc.enable()


onstart:
    begin(list(workflow.dag.needrun_jobs()))


onsuccess:
    print(summary(workflow.dag.jobs))


onerror:
    print(failure(log))
