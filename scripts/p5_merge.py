"""Problem 5: the fits of all shares in one table, replicate after replicate, however they were shared out."""

from itertools import chain

from p5_sweep import one_by_one
from pipeline.grid import rows_of_a_replicate
from pipeline.jobs import job_log
from pipeline.tables import read_blocks, write_blocks

if __name__ == "__main__":
    with job_log(snakemake):
        study = snakemake.params.study
        shares = (read_blocks(path, rows_of_a_replicate(study)) for path in snakemake.input.fits)
        write_blocks(one_by_one(study, chain.from_iterable(shares)), snakemake.output.fits)
