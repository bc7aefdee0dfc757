"""Problem 5, a few replicates more closely: one share of them, with everything that costs too much for all.

The first ``auxiliary_replicates`` replicates of the experiment are fitted once more with all that can be told of a fit,
then with more and fewer samples, then with one matrix W for all widths. Between this and what is made of it
(``p5_auxiliary``) nothing is rounded.
"""

import functools

import numpy as np
import pandas as pd

from hw6 import double_descent as dd
from hw6 import random_features_theory as rft
from p5_sweep import FIXED, draw, penalties, share_of, tell, validated, widths
from pipeline.grid import sample_sizes
from pipeline.jobs import job_log
from pipeline.tables import write_blocks

ALL_DIGITS = 17  # of a float64
VALIDATION_NOISE = max(dd.Stream) + 1  # a stream of its own
SHARED_WEIGHTS = max(dd.Stream) + 2


def without_test(config):
    """The block with one test point: these have streams of their own and are not looked at here."""
    return config | {"n_test": 1}


def optimal_penalties(config):
    """The theory's best penalty of each width."""
    return _optimal_penalties(widths(config), config["input_dim"], config["n_train"], config["noise_std"])


@functools.cache
def _optimal_penalties(p, *given):
    return rft.optimal_lambda(np.array(p), *given)[0]


def closer_table(config, replicate):
    """A row: width x penalty: every field of ``Fit``; the theory's best penalty stands behind the others.

    The test points are replaced by the validation points with noisy labels.
    """
    data, streams = draw(config, replicate)
    noise = config["noise_std"] * streams(VALIDATION_NOISE).standard_normal(config["n_validation"])
    data = data._replace(test_x=data.validation_x, test_y=data.validation_y + noise)
    all_widths, rows = widths(config), []
    for done, (p, theory) in enumerate(zip(all_widths, optimal_penalties(config), strict=True), start=1):
        weights = dd.draw_weights(streams, p, config["input_dim"])
        fit = dd.fit_width(data, weights, np.append(penalties(config), theory))
        rows.append(pd.DataFrame({"replicate": replicate, "n_features": p} | fit._asdict()))
        tell(f"replicate {replicate}, parts of the risk", done, all_widths)
    return pd.concat(rows, ignore_index=True)


def samples_table(config, replicate):
    """A row: sample size x tuning, at the width nearest n_train. A larger sample begins with a smaller."""
    (sizes, p), lambdas, rows = sample_sizes(config), penalties(config), []
    whole, streams = draw(config, replicate, sizes[-1])
    weights = dd.draw_weights(streams, p, config["input_dim"])
    for n in sizes:
        data = whole._replace(train_x=whole.train_x[:n], train_y=whole.train_y[:n])
        fit = dd.fit_width(data, weights, lambdas, parts=False, left_out=False, checks=False)
        for tuning, k in {"fixed": FIXED, "tuned": validated(fit.validation_mse)}.items():
            rows.append({"replicate": replicate, "n_train": n, "tuning": tuning, "risk": fit.risk[k]})
    print(f"replicate {replicate}: {len(sizes)} sample sizes", flush=True)
    return pd.DataFrame(rows)


def nested_table(config, replicate):
    """A row: width. One matrix G serves all widths, W_p = G_p / sqrt(p): F_p is Phi_p / sqrt(p)."""
    lambdas, all_widths, rows = penalties(config), widths(config), []
    data, streams = draw(config, replicate)
    shared = streams(SHARED_WEIGHTS).standard_normal((all_widths[-1], config["input_dim"]))
    fits = dd.sweep(
        data, lambda p: shared[:p] / np.sqrt(p), all_widths, lambdas, parts=False, left_out=False, checks=False
    )
    for done, (p, fit) in enumerate(fits, start=1):
        risks = {"risk_fixed": fit.risk[FIXED], "risk_tuned": fit.risk[validated(fit.validation_mse)]}
        rows.append({"replicate": replicate, "n_features": p} | risks)
        tell(f"replicate {replicate}, one matrix for all widths", done, all_widths)
    return pd.DataFrame(rows)


TABLES = {"closer": closer_table, "samples": samples_table, "nested": nested_table}


if __name__ == "__main__":
    with job_log(snakemake):
        block = without_test(snakemake.params.study)
        share = share_of(snakemake.wildcards.scatteritem, block["auxiliary_replicates"])
        for name, table in TABLES.items():
            write_blocks((table(block, replicate) for replicate in share), snakemake.output[name], ALL_DIGITS)
