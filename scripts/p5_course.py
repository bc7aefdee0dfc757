"""Problem 5, the course's own figure: its data stream, its penalties, its norms; nothing of the configuration."""

from functools import cache

import pandas as pd

from hw6.course import course_curve
from pipeline.jobs import job_log
from pipeline.tables import write_table


@cache
def study():
    """A row: width. The tuned penalty and the 2-norms of the test residuals with the penalty fixed and tuned."""
    return {"course": pd.DataFrame(course_curve())}


if __name__ == "__main__":
    with job_log(snakemake):
        write_table(study()["course"], snakemake.output.course)
