"""Let the report through only if every claim that gates holds."""

import sys

from pipeline.claims import read_claims
from pipeline.files import written_whole
from pipeline.jobs import job_log


def gating(claims, default_problems):
    """The claims that must hold: all theorems, and the findings of the problems that run as by default."""
    return claims[(claims["kind"] == "theorem") | claims["problem"].isin([str(k) for k in default_problems])]


def complaint(failed):
    """One line for each claim that should hold and does not."""
    return "\n".join(
        f"Claim {row.claim} does not hold ({row.holds}): measured {row.measured or 'nothing'}, required {row.bound}. "
        f"It says: {row.statement}"
        for row in failed.itertuples()
    )


if __name__ == "__main__":
    with job_log(snakemake):
        claims = read_claims(snakemake.input.claims)
        must_hold = gating(claims, snakemake.params.default_problems)
        failed = must_hold[must_hold["holds"] != "yes"]
        if len(failed):
            sys.exit(f"{complaint(failed)}\nThe report is not made; all claims are in {snakemake.input.claims}.")
        with written_whole(snakemake.output.verdict) as draft:
            draft.write_text(f"{(claims['holds'] == 'yes').sum()} of {len(claims)} claims hold.\n")
