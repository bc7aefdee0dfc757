"""The widths, penalties and sample sizes of problem 5, from the block ``double_descent``, called ``study``.

The Snakefile and every process of a run import this: the standard library alone.
"""

SAMPLE_SIZES = (0.25, 0.4, 0.55, 0.7, 0.85, 0.95, 1.0, 1.05, 1.2, 1.5, 2.0, 3.0)  # N over p
MOST_SAMPLES = 4  # times n_train: if all widths are far above it, the larger sizes are left out


def width_range(widths):
    """The widths p as a range."""
    return range(widths["start"], widths["stop"] + 1, widths["step"])


def number_of_widths(widths):
    """How many widths start, start + step, ..., stop are."""
    return max(0, (widths["stop"] - widths["start"]) // widths["step"] + 1)


def largest_width(widths):
    """The last of start, start + step, ..., stop."""
    return widths["start"] + (number_of_widths(widths) - 1) * widths["step"]


def number_of_penalties(study):
    """How many penalties each width is fitted with: the fixed one and the grid."""
    return 1 + study["lambda_grid"]["count"]


def rows_of_a_replicate(study):
    """How many fits a replicate has."""
    return number_of_widths(study["n_features"]) * number_of_penalties(study)


def sample_sizes(study):
    """The sample sizes that are tried, ascending, and the width nearest n_train, at which they are."""
    p = nearest(width_range(study["n_features"]), study["n_train"])
    most = MOST_SAMPLES * study["n_train"]
    return sorted({min(max(round(share * p), 1), most) for share in SAMPLE_SIZES}), p


def nearest(candidates, goal):
    """The candidate closest to the goal, the smaller of two."""
    return min(candidates, key=lambda p: (abs(p - goal), p))
