"""Problem 2: tables of the default initialisation's output law, formulas beside simulated networks, and the claims."""

import itertools
import math
import zlib

import numpy as np
import pandas as pd
import torch

from hw6 import initialization as hw6
from pipeline.claims import claims_table, finding, stays_under, theorem
from pipeline.display import formatted
from pipeline.jobs import job_log
from pipeline.tables import write_table

TINY_NETWORKS = (2, 2, 1), (1, 2, 1, 1), (1, 1, 1, 1)  # all their networks on three points can be run
INSTALLED_OUTPUTS = 1024  # biases, and rows of weights, drawn for each fan-in
CHANCE = 1e-9  # of a true uniform law failing one Kolmogorov test
STANDARD_ERRORS = 4
PARAMETERS, INPUTS = 1, 2  # the streams of random numbers of each network (0 would be the same as none)
SLOPE = math.sqrt(5)  # the a that nn.Linear hands to kaiming_uniform_
DENSITY_REACH, DENSITY_POINTS = 4.5, 181  # the densities' grid, in standard deviations


def study(networks, replicates, inputs, seed):
    """Every table of the problem. networks: name -> widths; the other arguments as in workflow/config.yaml.

    Each network's random numbers depend on the seed and its own name only. Returns a dict of DataFrames.
    """
    torch.set_num_threads(1)
    simulations = {
        name: hw6.simulate(
            widths,
            stream(seed, name, PARAMETERS).integers(2**63, size=replicates),
            inputs,
            stream(seed, name, INPUTS),
        )
        for name, widths in networks.items()
    }
    pairs = [(name, networks[name], simulations[name]) for name in networks]
    tables = {
        "variance": pd.concat([variance_rows(*pair) for pair in pairs], ignore_index=True),
        "relu": pd.concat([relu_rows(*pair) for pair in pairs], ignore_index=True),
        "split": pd.DataFrame([split_row(*pair) for pair in pairs]),
        "law": pd.DataFrame([law_row(*pair) for pair in pairs]),
        "density": pd.concat([density_rows(*pair) for pair in pairs], ignore_index=True),
        "installed": installed(networks, seed),
        "enumeration": enumeration(),
    }
    tables["claims"] = claims_table(installed_claims(tables) + exact_claims(tables, networks) + findings(tables))
    return tables


def stream(seed, name, draw):
    """The random numbers of one draw of one network, the same whatever the other networks are."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), draw])


def variance_rows(name, widths, simulation):
    """Mean and variance of each layer's coordinates; the variance is simulated as the second moment about 0."""
    rows = []
    for layer, variance in enumerate(hw6.variances(widths)[1:], start=1):
        mean, mean_se = hw6.mean_and_error(simulation.mean[:, layer - 1])
        square, square_se = hw6.mean_and_error(simulation.square[:, layer - 1])
        rows.append(
            {
                "network": name,
                "layer": layer,
                "fan_in": widths[layer - 1],
                "fan_out": widths[layer],
                "mean_theory": 0,
                "mean_simulated": mean,
                "mean_se": mean_se,
                "variance_theory": variance,
                "variance_simulated": square,
                "variance_se": square_se,
            }
        )
    return pd.DataFrame(rows)


def relu_rows(name, widths, simulation):
    """The variance of each layer's coordinates, before the activation, with ReLU between the layers."""
    rows = []
    for layer, variance in enumerate(hw6.relu_variances(widths), start=1):
        square, error = hw6.mean_and_error(simulation.relu_square[:, layer - 1])
        rows.append((name, layer, layer == len(widths) - 1, variance, square, error))
    columns = ["network", "layer", "last", "variance_theory", "variance_simulated", "variance_se"]
    return pd.DataFrame(rows, columns=columns)


def split_row(name, widths, simulation):
    """How much of the output's variance comes from the input and how much from the biases."""
    input_part, bias_part = hw6.variance_parts(widths)
    square, square_se = hw6.mean_and_error(simulation.square[:, -1])
    input_simulated, input_se = hw6.mean_and_error(simulation.spread.mean(axis=1))
    bias_simulated, bias_se = hw6.mean_and_error((simulation.centre**2).mean(axis=1))
    return {
        "network": name,
        "widths": architecture(widths),
        "depth": len(widths) - 1,
        "variance": hw6.variances(widths)[-1],
        "variance_simulated": square,
        "variance_se": square_se,
        "input_part": input_part,
        "input_part_simulated": input_simulated,
        "input_part_se": input_se,
        "bias_part": bias_part,
        "bias_part_simulated": bias_simulated,
        "bias_part_se": bias_se,
        "input_share": input_part / (input_part + bias_part),
    }


def law_row(name, widths, simulation):
    """The output's kurtosis for x ~ N(0, I)."""
    fourth, error = hw6.mean_and_error(hw6.fourth_moments(simulation))
    square = hw6.variances(widths)[-1] ** 2
    return {
        "network": name,
        "widths": architecture(widths),
        "kurtosis": hw6.kurtosis(widths),
        "kurtosis_simulated": fourth / square,
        "kurtosis_se": error / square,
        "kurtosis_gaussian": 3,
    }


def density_rows(name, widths, simulation):
    """The output's density for x ~ N(0, I) in units of its standard deviation, beside the standard normal's."""
    deviation = math.sqrt(hw6.variances(widths)[-1])
    points = np.linspace(-DENSITY_REACH, DENSITY_REACH, DENSITY_POINTS)
    density, error = hw6.output_density(simulation, 1 / math.sqrt(widths[-2]), points * deviation)
    return pd.DataFrame(
        {
            "network": name,
            "standard_deviations": points,
            "density": density * deviation,
            "density_se": error * deviation,
            "gaussian": np.exp(-(points**2) / 2) / math.sqrt(2 * math.pi),
        }
    )


def installed(networks, seed):
    """What the installed torch.nn.Linear draws, for every fan-in of the networks, beside the claimed law."""
    rows = []
    for fan_in in sorted({n for widths in networks.values() for n in widths[:-1]}):
        bound = 1 / math.sqrt(fan_in)
        drawn = hw6.draw_layer(fan_in, INSTALLED_OUTPUTS, seed)
        for parameter, sample in zip(["weight", "bias"], drawn, strict=True):
            rows.append(
                {
                    "fan_in": fan_in,
                    "parameter": parameter,
                    "count": len(sample),
                    "bound_theory": bound,
                    "bound_torch": hw6.kaiming_bound(fan_in, SLOPE) if parameter == "weight" else bound,
                    "largest_absolute": np.abs(sample).max(),
                    "variance_theory": bound**2 / 3,
                    "variance_drawn": sample.var(),
                    "distance": hw6.distance_from_uniform(sample, bound),
                    "scaled_distance": math.sqrt(len(sample)) * hw6.distance_from_uniform(sample, bound),
                }
            )
    return pd.DataFrame(rows)


def enumeration():
    """Tiny networks, every one of them on a three-point rule: exact moments beside the formulas."""
    rows = []
    for widths in TINY_NETWORKS:
        exact = hw6.enumerated_moments(widths, *hw6.normal_inputs(widths[0]))
        constant = hw6.enumerated_moments(widths, np.ones((widths[0], 1)), np.ones(1))
        variance = hw6.variances(widths)[-1]
        input_part, bias_part = hw6.variance_parts(widths)
        compared = [
            ("mean", exact["mean"], 0),
            ("variance", exact["variance"], variance),
            ("input_part", exact["input_part"], input_part),
            ("bias_part", exact["bias_part"], bias_part),
            ("constant_input_variance", constant["variance"], variance),
            ("kurtosis", exact["fourth"] / exact["variance"] ** 2, hw6.kurtosis(widths)),
            ("relu_variance", exact["relu_variance"], hw6.relu_variances(widths)[-1]),
        ]
        parameters = sum(m * (n + 1) for n, m in itertools.pairwise(widths))
        cases = 3 ** (parameters + widths[0])
        for quantity, found, formula in compared:
            rows.append((architecture(widths), cases, quantity, formula, stays_under(abs(found - formula), 1e-12)))
    return pd.DataFrame(rows, columns=["widths", "cases", "quantity", "formula", "error_below"])


def installed_claims(tables):
    """Claims about the torch that is installed."""
    table = tables["installed"]
    largest = (table["largest_absolute"] / table["bound_torch"]).max()
    derived = (table["bound_torch"] / table["bound_theory"] - 1).abs().max()
    gain = abs(torch.nn.init.calculate_gain("leaky_relu", SLOPE) * math.sqrt(3) - 1)
    return [
        theorem(
            "p2-bound-derived",
            "The bound $\\sqrt3\\, g/\\sqrt n$ of `kaiming_uniform_` with $a = \\sqrt5$ is $1/\\sqrt n$.",
            stays_under(max(derived, gain), 1e-12),
            "<=",
            1e-12,
            method="the formula in a and n, and the gain that the installed torch returns, relative to 1/√n",
            source="p2/installed.csv",
        ),
        theorem(
            "p2-bound-installed",
            "No weight or bias drawn by the installed `nn.Linear` exceeds $1/\\sqrt n$.",
            float(largest),
            "<=",
            1 + 1e-12,  # for the rounding of the bound itself
            method=f"largest absolute entry times √n over {int(table['count'].sum()):,} parameters of real layers",
            source="p2/installed.csv",
        ),
        theorem(
            "p2-law-installed",
            "What the installed `nn.Linear` draws is uniform, weights and biases alike.",
            float(table["scaled_distance"].max()),
            "<=",
            math.sqrt(math.log(2 / CHANCE) / 2),
            method="Kolmogorov's distance times √count; a uniform law fails with probability ≤ "
            f"{formatted(CHANCE, '.0e')} (Massart)",
            source="p2/installed.csv",
        ),
    ]


def exact_claims(tables, networks):
    """Claims that hold without any chance: formulas against enumeration and against each other."""
    return [
        _enumerated(tables, "p2-mean-variance-exact", "Mean and variance", ["mean", "variance"]),
        theorem(
            "p2-closed-form",
            "The closed form of $V_L$ equals the recursion at every layer of every network.",
            stays_under(max(_closed_form_errors(networks)), 1e-12),
            "<=",
            1e-12,
            method="sum of the two parts for the first l layers, relative to l steps of the recursion",
            source="p2/variance.csv",
        ),
        _enumerated(tables, "p2-only-the-norm", "The variance for $x = (1, …, 1)$", ["constant_input_variance"]),
        _enumerated(tables, "p2-split-exact", "The split into input and bias part", ["input_part", "bias_part"]),
        theorem(
            "p2-fixed-point",
            "At constant width $n$ the distance of $V_\\ell$ from $1/(2n)$ shrinks threefold with every layer.",
            stays_under(max(_fixed_point_errors(networks)), 1e-12),
            "<=",
            1e-12,
            method="50 steps of the recursion for every width used, beside $1/(2n) + 3^{-\\ell} (1 - 1/(2n))$",
            source="p2/variance.csv",
        ),
        _enumerated(tables, "p2-kurtosis-exact", "The kurtosis", ["kurtosis"]),
        theorem(
            "p2-kurtosis-limit",
            "The kurtosis tends to $37/15$ if first the depth and then the constant width grows.",
            stays_under(abs(hw6.kurtosis([10**6] * 60 + [1]) - 37 / 15), 1e-5),
            "<=",
            1e-5,
            method="60 layers of width 1,000,000 in the fourth moments' recursion; distance from the limit",
            source="p2/law.csv",
        ),
        _enumerated(tables, "p2-relu-exact", "The variance with ReLU", ["relu_variance"]),
    ]


def findings(tables):
    """Claims about the configured networks: simulation beside theory, and what the two quoted networks show."""
    variance, relu, split, law = (tables[name] for name in ("variance", "relu", "split", "law"))
    quoted = split.merge(law).set_index("network").loc[["base", "deep"]]
    (_, base), (_, deep) = quoted.iterrows()
    parts = pd.concat([_distances(split, "input_part", None), _distances(split, "bias_part", None)])
    return [
        _simulated("p2-mean-simulated", "the simulated mean", "0", _distances(variance, "mean"), "p2/variance.csv"),
        _simulated(
            "p2-variance-simulated",
            "the simulated variance",
            "the recursion's value",
            _distances(variance, "variance"),
            "p2/variance.csv",
        ),
        _simulated("p2-split-simulated", "a simulated part", "its formula", parts, "p2/split.csv"),
        finding(
            "p2-forgets",
            f"In the network {deep['widths']} the input makes up {100 * deep['input_share']:.2g}\u202f% of the "
            "output's variance: at initialisation the network has all but forgotten its input.",
            float(deep["input_share"]),
            "<=",
            0.01,
            method="input part over the sum of both parts, by their formulas",
            source="p2/split.csv",
        ),
        _simulated(
            "p2-kurtosis-simulated",
            "the simulated kurtosis",
            "the exact one",
            _distances(law, "kurtosis", None),
            "p2/law.csv",
        ),
        finding(
            "p2-heavier-tails",
            f"The output of {base['widths']} has kurtosis {base['kurtosis']:.3f}, above the Gaussian's 3: "
            "its tails are heavier.",
            float(base["kurtosis"]),
            ">",
            3,
            method="recursion of the fourth moments",
            source="p2/law.csv",
        ),
        finding(
            "p2-lighter-tails",
            f"The output of {deep['widths']} has kurtosis {deep['kurtosis']:.3f}, below the Gaussian's 3: "
            "the uniform biases show through.",
            float(deep["kurtosis"]),
            "<",
            3,
            method="recursion of the fourth moments",
            source="p2/law.csv",
        ),
        _simulated(
            "p2-relu-simulated",
            "the simulated variance with ReLU",
            "the recursion's value",
            _distances(relu, "variance"),
            "p2/relu.csv",
        ),
    ]


def architecture(widths):
    """Widths as text: 35–64–64–1; four or more equal ones in a row are counted, 64 (×10)–1."""
    words = []
    for width, run in itertools.groupby(widths):
        count = len(list(run))
        words += [f"{width} (×{count})"] if count > 3 else [str(width)] * count
    return "–".join(words)


def _enumerated(tables, claim, subject, quantities):
    table = tables["enumeration"]
    return theorem(
        claim,
        f"{subject}: the formula agrees with a complete enumeration of tiny networks.",
        float(table.loc[table["quantity"].isin(quantities), "error_below"].max()),
        "<=",
        1e-12,
        method="every network on the three-point rule, run on every input of the rule; absolute difference",
        source="p2/enumeration.csv",
    )


def _simulated(claim, subject, target, distances, source):
    largest = float(distances.max())
    rounded_up = math.ceil(10 * largest) / 10
    return finding(
        claim,
        f"In each of {len(distances)} comparisons {subject} lies within {rounded_up:.1f} standard errors of {target}.",
        largest,
        "<=",
        STANDARD_ERRORS,
        method="real `torch.nn.Linear` modules; standard errors clustered by network; largest distance",
        source=source,
    )


def _distances(table, quantity, theory="_theory"):
    """|simulated - theory| in standard errors, row by row; ``theory`` is the suffix of the formula's column."""
    formula = table[quantity + (theory or "")]
    return (table[f"{quantity}_simulated"] - formula).abs() / table[f"{quantity}_se"]


def _closed_form_errors(networks):
    for widths in networks.values():
        for layer, variance in enumerate(hw6.variances(widths)[1:], start=1):
            yield abs(sum(hw6.variance_parts(widths[: layer + 1])) / variance - 1)


def _fixed_point_errors(networks):
    for width in {n for widths in networks.values() for n in widths[:-1]}:
        steps = hw6.variances([width] * 51)
        yield np.abs(steps - 1 / (2 * width) - 3.0 ** -np.arange(51) * (1 - 1 / (2 * width))).max()


if __name__ == "__main__":
    with job_log(snakemake):
        for name, table in study(**snakemake.params.study).items():
            write_table(table, snakemake.output[name])
