"""Gather the claims of all problems into one table."""

import pandas as pd

from pipeline.claims import claims_table, read_claims
from pipeline.jobs import job_log
from pipeline.tables import write_table

if __name__ == "__main__":
    with job_log(snakemake):
        gathered = pd.concat([read_claims(path) for path in snakemake.input.claims])
        write_table(claims_table(gathered), snakemake.output.claims)
