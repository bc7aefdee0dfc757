"""Problem 5, the experiment: one share of the replicates, fitted at every width for every penalty."""

from functools import partial

import numpy as np
import pandas as pd

from hw6 import double_descent as dd
from pipeline.grid import number_of_penalties, width_range
from pipeline.jobs import job_log
from pipeline.tables import write_blocks

FIXED = 0  # position of the fixed penalty; the grid follows
VALUES = ("train_mse", "validation_mse", "test_mse", "risk", "size")
LINES = 10  # of progress for a replicate


def widths(config):
    """The widths p as a range."""
    return width_range(config["n_features"])


def penalties(config):
    """The fixed penalty and behind it the ascending grid."""
    grid = config["lambda_grid"]
    return np.concatenate([[config["fixed_lambda"]], np.geomspace(grid["low"], grid["high"], grid["count"])])


def validated(errors):
    """Position of the penalty of least validation error among the errors of all penalties, the fixed one aside."""
    return 1 + dd.choose(errors[1:])[0]


def generators(config, replicate):
    """``streams(stream, ...)`` of a replicate: the generator depends on seed, replicate, stream and width alone."""

    def streams(stream, *index):
        return np.random.default_rng([config["seed"], replicate, stream, *index])

    return streams


def draw(config, replicate, n_train=None):
    """The data of a replicate, and its streams; a smaller ``n_train`` has the first samples of a larger one."""
    streams = generators(config, replicate)
    rest = config["n_validation"], config["n_test"]
    n_train = config["n_train"] if n_train is None else n_train
    return dd.draw_data(streams, config["input_dim"], config["noise_std"], n_train, *rest), streams


def share_of(item, replicates):
    """The replicates of share ``k-of-n``: the k-th of n ranges, as equal as can be, one behind the other."""
    k, n = map(int, item.split("-of-"))
    return range(replicates * (k - 1) // n, replicates * k // n)


def fits_table(config, replicate):
    """A row: width x position of the penalty, in one replicate. What was found, with the risk and the size |theta|.

    ``excess`` is the validation error less the least one of the grid: of close errors six digits would not tell which
    is the smaller, and more digits differ from processor to processor.
    """
    lambdas, all_widths = penalties(config), widths(config)
    data, streams = draw(config, replicate)
    weights = partial(dd.draw_weights, streams, input_dim=config["input_dim"])
    fits = dd.sweep(data, weights, all_widths, lambdas, parts=False, left_out=False, checks=False)
    blocks = []
    for done, (p, fit) in enumerate(fits, start=1):
        values = {name: getattr(fit, name) for name in VALUES}
        values["excess"] = fit.validation_mse - fit.validation_mse[1:].min()
        place = {"replicate": replicate, "n_features": p, "position": np.arange(len(lambdas)), "lambda": lambdas}
        blocks.append(pd.DataFrame(place | values | {"weights": fit.weights}))
        tell(f"replicate {replicate}", done, all_widths)
    return pd.concat(blocks, ignore_index=True)


def tell(what, done, all_widths):
    """Say into the log how far something is, a few times."""
    if done % max(len(all_widths) // LINES, 1) == 0 or done == len(all_widths):
        print(f"{what}: {done} of {len(all_widths)} widths, up to p = {all_widths[done - 1]}", flush=True)


def one_by_one(config, tables):
    """Yield tables of fits, if they are those of the replicates 0, 1, ... one after the other; raises ValueError."""
    place = pd.MultiIndex.from_product([widths(config), range(number_of_penalties(config))])
    expected = place.to_frame().to_numpy()
    following = 0
    for table in filter(len, tables):  # a share without replicates has only a header
        found = table[["n_features", "position"]].to_numpy()
        if not np.array_equal(found, expected) or (table["replicate"] != following).any():
            raise ValueError(f"the {len(table)} fits are not those of replicate {following}, all widths and penalties")
        yield table
        following += 1
    if following != config["replicates"]:
        raise ValueError(f"the fits are of {following} replicates, not of all {config['replicates']}")


if __name__ == "__main__":
    with job_log(snakemake):
        block = snakemake.params.study
        share = share_of(snakemake.wildcards.scatteritem, block["replicates"])
        print(f"share {snakemake.wildcards.scatteritem}: {len(share)} of {block['replicates']} replicates", flush=True)
        write_blocks((fits_table(block, replicate) for replicate in share), snakemake.output.fits)
