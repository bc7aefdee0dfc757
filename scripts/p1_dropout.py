"""Problem 1: does dropout commute with an activation? Every mask of a small layer, and torch.nn.Dropout itself."""

import functools

import numpy as np
import pandas as pd
import torch

from hw6 import dropout as hw
from pipeline.claims import claims_table, finding, stays_under, theorem
from pipeline.jobs import job_log
from pipeline.tables import write_table

ROUNDING = 1e-12  # what differs by less is equal but for rounding
AMPLITUDE = 0.25  # of the log-periodic activation
REPEATS = 64  # draws of torch's dropout for each input
FLOAT32_ENTRIES = 100_000
CURVE_POINTS = 401


def study(p, other_p, in_features, out_features, samples, seed):
    """The tables of problem 1; keyword arguments are the keys of ``dropout`` in the configuration."""
    torch.set_num_threads(1)
    layer, inputs = layer_and_inputs(in_features, out_features, samples, np.random.default_rng([seed, 0]))
    results = compared(layer, inputs, p, seed)
    tables = {
        "equivalence": equivalence_table(results, p),
        "training": training_table(results),
        "rounding": rounding_table(p, np.random.default_rng([seed, 1])),
        "log_periodic": log_periodic_table(p, other_p),
        "curves": curve_table(p, other_p),
    }
    tables["claims"] = claims_table(
        equivalence_claims(results)
        + torch_claims(results, layer, inputs)
        + rounding_claims(tables["rounding"].set_index("activation"))
        + log_periodic_claims(tables["log_periodic"].set_index("role"))
    )
    return tables


def compared(layer, inputs, p, seed):
    """For each activation, what the theory's criteria, the layer's masks and torch's own dropout say: a DataFrame."""
    return pd.DataFrame(
        [
            {"activation": name}
            | on_a_grid(sigma, p)
            | over_masks(sigma, layer, inputs, p)
            | in_torch(sigma, layer, inputs, p, seed)
            for name, sigma in activations().items()
        ]
    )


def activations():
    """The activations compared, as float64 modules with torch's defaults."""
    return {name: module().double() for name, module in hw.ACTIVATIONS.items()}


def layer_and_inputs(in_features, out_features, samples, rng):
    """(A, b) with rows of A of norm 2, so that pre-activations take both signs, and Gaussian inputs."""
    weight = rng.standard_normal((out_features, in_features))
    weight *= 2 / np.linalg.norm(weight, axis=1, keepdims=True)
    bias = rng.uniform(-0.5, 0.5, out_features)
    return tuple(map(torch.from_numpy, (weight, bias))), torch.from_numpy(rng.standard_normal((samples, in_features)))


def on_a_grid(sigma, p):
    """What the theory decides by, on a fixed grid of both signs: no layer, no mask."""
    sizes = torch.logspace(-3, 1, 201, dtype=torch.float64)
    z = torch.cat([-sizes.flip(0), torch.zeros(1, dtype=torch.float64), sizes])
    with torch.no_grad():
        return {
            "zero_at_zero": float(sigma(torch.zeros(1, dtype=torch.float64))) == 0,
            "homogeneity_defect": hw.homogeneity_defect(sigma, z, hw.scale(p)),
            "relu_family_defect": hw.relu_family_defect(sigma, z),
            "law_distance": float(hw.law_distance(sigma, z, p).max()),
        }


def over_masks(sigma, layer, inputs, p):
    """The two orders on every mask of the layer: largest differences of outputs and slopes, and shifts of the mean."""
    weight, bias = layer
    masks = hw.all_masks(len(bias))
    probabilities = torch.from_numpy(hw.mask_probabilities(masks, p))
    factors = hw.scale(p) * torch.from_numpy(masks)[:, None, :]
    z = (inputs @ weight.T + bias).expand(len(masks), -1, -1).clone().requires_grad_()
    outputs = [order(sigma, z, factors) for order in (hw.activation_first, hw.dropout_first)]
    slopes = [torch.autograd.grad(output.sum(), z)[0] for output in outputs]
    with torch.no_grad():
        without = sigma(z[0])
        shifts = [largest(torch.tensordot(probabilities, output, dims=1) - without) for output in outputs]
        return {
            "output_difference": largest(outputs[0] - outputs[1]),
            "slope_difference": largest(slopes[0] - slopes[1]),
            "mean_shift_activation_first": shifts[0],
            "mean_shift_dropout_first": shifts[1],
        }


def in_torch(sigma, layer, inputs, p, seed):
    """The two orders as modules with torch.nn.Dropout and a shared seed: differences of outputs and gradients."""
    weight, bias = layer
    batch = inputs.repeat(REPEATS, 1)
    rng = np.random.default_rng([seed, 2])
    cotangent = torch.from_numpy(rng.standard_normal((len(batch), len(bias))))
    outputs, gradients, evaluated = [], [], []
    for dropout_first in (False, True):
        module = hw.LinearDropoutActivation(weight.shape[1], weight.shape[0], sigma, p, dropout_first).double()
        module.linear.load_state_dict({"weight": weight, "bias": bias})
        output = with_seed(module.train(), batch, seed)
        outputs.append(output.detach())
        parts = torch.autograd.grad((output * cotangent).sum(), list(module.parameters()))
        gradients.append(torch.cat([part.flatten() for part in parts]))
        evaluated.append(module.eval()(inputs).detach())
    return {
        "torch_difference": largest(outputs[0] - outputs[1]),
        "torch_gradient_difference": float((gradients[0] - gradients[1]).norm() / gradients[0].norm()),
        "eval_difference": largest(evaluated[0] - evaluated[1]),
    }


def with_seed(module, batch, seed):
    """The module's output with torch's generator seeded, so that equal shapes are dropped alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return module(batch)


def largest(difference):
    """Largest absolute entry of a tensor."""
    return float(difference.abs().max())


def without_rounding(difference, limit=ROUNDING):
    """The difference, but of a rounding error only the power of ten that it stays under, at least ``limit``."""
    return difference if difference == 0 or difference > ROUNDING else stays_under(difference, limit)


def equivalence_table(results, p):
    """A row for each activation and mode; in evaluation mode dropout is the identity."""
    cases = {activation: case for case, activation in hw.SHEET_CASES.items()}
    rows = [
        {
            "activation": row.activation,
            "mode": mode,
            "dropout_p": p,
            "zero_at_zero": row.zero_at_zero,
            "homogeneous": row.homogeneity_defect <= ROUNDING,
            "equivalent": difference <= ROUNDING,
            "max_abs_difference": without_rounding(difference, 1e-15),
            "sheet_case": cases.get(row.activation, ""),
        }
        for row in results.itertuples()
        for mode, difference in (("train", row.output_difference), ("eval", row.eval_difference))
    ]
    return pd.DataFrame(rows)


def training_table(results):
    """What else differs in training: slopes and laws of the two orders, and the mean with dropout first."""
    columns = ["slope_difference", "law_distance", "mean_shift_dropout_first"]
    return results[["activation"]].join(results[columns].map(without_rounding))


def rounding_table(p, rng):
    """How often the two orders differ in the last bits on kept float32 entries, and by more than 4 u."""
    z = rng.standard_normal(FLOAT32_ENTRIES).astype(np.float32)
    rows = []
    for activation, slope in hw.SLOPES.items():
        first, second = hw.rounded_orders(z, slope, p)
        difference = np.abs(first.astype(np.float64) - second.astype(np.float64))
        rows.append(
            {
                "activation": activation,
                "dtype": "float32",
                "entries": len(z),
                "unequal": int((difference > 0).sum()),
                "unequal_share": float((difference > 0).mean()),
                "beyond_bound": int((difference > hw.rounding_bound(z, slope, p)).sum()),
            }
        )
    return pd.DataFrame(rows)


def log_periodic_table(p, other_p):
    """The activation made for p, at p and at other_p: largest |s(c z) - c s(z)| / |c z| over a period of log z."""
    z = hw.scale(p) ** np.linspace(0, 1, 2000, endpoint=False)
    rows = []
    for role, rate in (("p", p), ("other_p", other_p)):
        c = hw.scale(rate)
        defect = hw.log_periodic(c * z, p, AMPLITUDE) - c * hw.log_periodic(z, p, AMPLITUDE)
        measured = float(np.max(np.abs(defect / (c * z))))
        rows.append(
            {
                "role": role,
                "dropout_p": rate,
                "amplitude": AMPLITUDE,
                "scale": c,
                "commutes": measured <= ROUNDING,
                "gap": without_rounding(measured),
                "gap_theory": without_rounding(hw.log_periodic_gap(p, rate, AMPLITUDE)),
            }
        )
    return pd.DataFrame(rows)


def curve_table(p, other_p):
    """What the figure shows: s(z) and s(c z)/c in four panels."""
    z = np.linspace(-2, 2, CURVE_POINTS)
    sampled = {name: on_arrays(sigma) for name, sigma in activations().items()}
    sampled["log_periodic"] = functools.partial(hw.log_periodic, p=p, amplitude=AMPLITUDE)
    panels = [("leaky_relu", p), ("sigmoid", p), ("log_periodic", p), ("log_periodic", other_p)]
    pieces = []
    for number, (name, rate) in enumerate(panels, start=1):
        c = hw.scale(rate)
        sigma = sampled[name]
        values = {"z": z, "value": sigma(z), "rescaled": sigma(c * z) / c}
        pieces.append(pd.DataFrame({"panel": number, "activation": name, "dropout_p": rate} | values))
    return pd.concat(pieces, ignore_index=True)


def on_arrays(sigma):
    """The torch activation as a function of NumPy arrays."""

    def apply(z):
        with torch.no_grad():
            return sigma(torch.from_numpy(z)).numpy()

    return apply


def equivalence_claims(results):
    """Which activations commute, by the masks of the layer, and that the theory's criteria say the same."""
    commutes = results["output_difference"] <= ROUNDING
    commuting = set(results["activation"][commutes])
    answer = ", ".join(case for case, activation in hw.SHEET_CASES.items() if activation in commuting)
    source = "p1/equivalence.csv"
    return [
        theorem(
            "p1-sheet-answer",
            "The two orders are equivalent in cases (a) and (c), not in case (b).",
            answer,
            "=",
            "a, c",
            method="Cases whose two orders agree to rounding on every mask and input of a small layer, in float64",
            source=source,
        ),
        theorem(
            "p1-criterion",
            r"For each activation tried, the two orders agree on all masks if and only if $\sigma(cz) = c\,\sigma(z)$.",
            disagreements(results["homogeneity_defect"], commutes),
            "=",
            0,
            method="Activations for which the criterion on a fixed grid of z says other than the masks",
            source=source,
        ),
        theorem(
            "p1-law",
            "The laws of the two orders are equal for the same activations as the values are.",
            disagreements(results["law_distance"], commutes),
            "=",
            0,
            method="Activations whose Wasserstein distance between the two laws of a unit says other than the masks",
            source="p1/training.csv",
        ),
        theorem(
            "p1-relu-family",
            "The activations that commute are those that are linear on each side of 0 and vanish there.",
            disagreements(results["relu_family_defect"], commutes),
            "=",
            0,
            method="Activations for which the distance from two half-lines at 0 says other than the masks",
            source=source,
        ),
        theorem(
            "p1-mean",
            "With the activation first, the mean over the masks is the output in evaluation mode, for any activation.",
            stays_under(float(results["mean_shift_activation_first"].max()), ROUNDING),
            "<=",
            ROUNDING,
            method="Mean over all masks with their probabilities against the layer without dropout",
            source="p1/training.csv",
        ),
    ]


def disagreements(defect, commutes):
    """Number of activations for which ``defect`` is zero to rounding but the orders differ, or the other way round."""
    return int(((defect <= ROUNDING) != commutes).sum())


def torch_claims(results, layer, inputs):
    """What torch's own dropout does: in training with a shared seed, in evaluation, and in the class as printed."""
    commutes = results["output_difference"] <= ROUNDING
    return [
        theorem(
            "p1-torch-dropout",
            "`torch.nn.Dropout` with a shared seed agrees with the list of all masks on each activation.",
            disagreements(results["torch_difference"], commutes),
            "=",
            0,
            method="Activations for which the module's two orders with a shared seed say other than the masks",
            source="p1/equivalence.csv",
        ),
        theorem(
            "p1-gradients",
            "The gradients of all parameters agree for the same activations as the outputs do.",
            disagreements(results["torch_gradient_difference"], commutes),
            "=",
            0,
            method="Activations for which reverse-mode gradients of the module's two orders say other than the masks",
            source="p1/training.csv",
        ),
        theorem(
            "p1-eval",
            "In evaluation mode the two orders are the same function for every activation.",
            float(results["eval_difference"].max()),
            "=",
            0.0,
            method="Largest difference of the module's two orders after eval(), over all activations",
            source="p1/equivalence.csv",
        ),
        theorem(
            "p1-as-printed",
            "The class as printed cannot be called: its `forward` raises a `NameError`.",
            error_of(hw.AsPrinted(layer[0].shape[1], len(layer[1])).double(), inputs),
            "=",
            "NameError",
            method="The printed forward called on a batch",
            source="p1/equivalence.csv",
        ),
    ]


def error_of(module, inputs):
    """Name of the exception that calling the module raises, or ``none``."""
    try:
        module(inputs)
    except Exception as error:
        return type(error).__name__
    return "none"


def rounding_claims(table):
    """What the two orders differ by in floating point."""
    leaky = table.loc["leaky_relu"]
    source = "p1/rounding.csv"
    return [
        theorem(
            "p1-rounding-bound",
            "In floating point the two orders of the ReLU family differ by at most $4u$ times the exact product.",
            int(table["beyond_bound"].sum()),
            "=",
            0,
            method="Float32 entries on which the two orders differ by more than the bound, exact product in float64",
            source=source,
        ),
        theorem(
            "p1-relu-exact",
            "For ReLU the two orders agree to the bit.",
            int(table.loc["relu", "unequal"]),
            "=",
            0,
            method="Float32 entries on which the two orders of ReLU differ",
            source=source,
        ),
        finding(
            "p1-leaky-not-exact",
            f"For leaky ReLU the two orders differ in their last bits on {100 * leaky['unequal_share']:.1f}\u202f% of "
            f"the {leaky['entries']:,} float32 entries tried.",
            int(leaky["unequal"]),
            ">",
            0,
            method="Float32 entries on which the two orders of leaky ReLU differ",
            source=source,
        ),
    ]


def log_periodic_claims(table):
    """The activation that commutes at one dropout rate only."""
    source = "p1/log_periodic.csv"
    here, there = table.loc["p"], table.loc["other_p"]
    return [
        theorem(
            "p1-log-periodic-commutes",
            "The log-periodic activation commutes with dropout at the rate that it is made for.",
            here["gap"],
            "<=",
            ROUNDING,
            method="Largest relative difference of $\\sigma(cz)$ and $c\\,\\sigma(z)$ over one period of log z",
            source=source,
        ),
        theorem(
            "p1-log-periodic-gap",
            r"At another rate its relative gap is $2\alpha\,\lvert\sin(\pi \log c' / \log c)\rvert$.",
            stays_under(abs(there["gap"] - there["gap_theory"]), 1e-5),
            "<=",
            1e-5,
            method="The formula against the largest relative gap on 2,000 points of one period",
            source=source,
        ),
        finding(
            "p1-log-periodic-fails",
            f"At $p = {there['dropout_p']:g}$ the log-periodic activation made for $p = {here['dropout_p']:g}$ does "
            f"not commute: the two orders differ by up to {100 * there['gap']:.1f}\u202f% of $\\lvert c'z\\rvert$.",
            there["gap"],
            ">",
            0.01,
            method="Largest relative difference of $\\sigma(c'z)$ and $c'\\,\\sigma(z)$ over one period of log z",
            source=source,
        ),
    ]


if __name__ == "__main__":
    with job_log(snakemake):
        tables = study(**snakemake.params.study)
        for name, table in tables.items():
            write_table(table, snakemake.output[name])
