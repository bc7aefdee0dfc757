"""Problem 4: parameter counts, savings, costs and checks of the split-transform-merge convolution."""

import numpy as np
import pandas as pd
import torch

from hw6 import split_transform_merge as stm
from pipeline.claims import claims_table, finding, stays_under, theorem
from pipeline.jobs import job_log
from pipeline.tables import write_table

CURVE_POINTS = 161
ROUNDING = 1e-12


def study(channels, bottleneck, branches, branch_width, kernel, image_size, seed):
    """The tables of problem 4; keyword arguments are the keys of ``split_transform_merge`` in the configuration."""
    torch.set_num_threads(1)
    block = (channels, branches, branch_width, kernel)
    plain = stm.unbuilt(stm.PlainConvolution, channels, bottleneck, kernel)
    split = stm.unbuilt(stm.SplitTransformMerge, *block)

    tables = {
        "parameters": layer_table(channels, bottleneck, branches, branch_width, kernel),
        "savings": savings_table(plain, channels, bottleneck, kernel),
        "curve": curve_table(channels, bottleneck, kernel),
        "costs": cost_table({"plain": plain, "split_transform_merge": split}, channels, image_size),
        "registered": registration_table(block),
    }
    tables["optimum"] = optimum_table(tables["savings"], plain, split, channels, bottleneck, kernel)
    tables["claims"] = claims_table(
        count_claims(tables["parameters"], plain, split, channels, bottleneck, block)
        + saving_claims(tables["savings"], plain, split, channels, bottleneck, block)
        + cost_claims(tables["parameters"], tables["costs"])
        + function_claims(block, image_size, seed)
        + registration_claims(tables["registered"], block)
    )
    return tables


def layer_table(channels, bottleneck, branches, branch_width, kernel):
    """The formulas, layer by layer; the row ``total`` holds the whole construction's channels and kernel."""
    rows = []
    for construction, width, copies in (
        ("plain", bottleneck, 1),
        ("split_transform_merge", branch_width, branches),
    ):
        chain = [
            (layer, inputs, outputs, side, copies, copies * side**2 * inputs * outputs, copies * outputs)
            for layer, inputs, outputs, side in stm.layer_shapes(channels, width, kernel)
        ]
        weights, biases = (sum(row[column] for row in chain) for column in (5, 6))
        chain.append(("total", channels, channels, kernel, copies, weights, biases))
        rows += [(construction, *row, row[5] + row[6]) for row in chain]
    names = "construction layer in_channels out_channels kernel copies weights biases parameters"
    return pd.DataFrame(rows, columns=names.split())


def savings_table(plain, channels, bottleneck, kernel):
    """Counts of live modules with B g = m, one for each B that divides m; ``saving`` is against the plain module."""
    rows = []
    for branches in stm.divisors(bottleneck):
        width = bottleneck // branches
        split = stm.unbuilt(stm.SplitTransformMerge, channels, branches, width, kernel)
        weights, biases = zip(*stm.counted_layers(split), strict=True)
        count = stm.trainable(split)
        row = (branches, width, weights[0] + weights[2], weights[1], sum(biases), count, stm.trainable(plain) - count)
        rows.append(row)
    names = "branches branch_width pointwise_weights kernel_weights biases parameters saving"
    return pd.DataFrame(rows, columns=names.split())


def optimum_table(savings, plain, split, channels, bottleneck, kernel):
    """One row: what the configured block saves, and the optimum and break-even of the saving in B when B g = m."""
    best = savings.loc[savings["saving"].idxmax()]
    count = stm.trainable(plain)
    return pd.DataFrame(
        [
            {
                "saving": count - stm.trainable(split),
                "saving_share": (count - stm.trainable(split)) / count,
                "best_branches": stm.best_branches(channels, bottleneck, kernel),
                "largest_saving": stm.largest_saving(channels, bottleneck, kernel),
                "break_even_branches": stm.break_even(channels, bottleneck, kernel),
                "best_divisor": best["branches"],
                "best_divisor_saving": best["saving"],
            }
        ]
    )


def curve_table(channels, bottleneck, kernel):
    """Parameters of the split construction with B g = m as a function of a real B, for the figure."""
    plain = stm.parameters(channels, 1, bottleneck, kernel)
    last = 1.5 * max(bottleneck, stm.break_even(channels, bottleneck, kernel))
    branches = np.geomspace(1, last, CURVE_POINTS)
    split = plain - stm.saving(channels, bottleneck, branches, kernel)
    return pd.DataFrame({"branches": branches, "parameters": split, "plain_parameters": float(plain)})


def cost_table(modules, channels, image_size):
    """What a forward pass costs for each output pixel, measured on the live modules."""
    return pd.DataFrame(
        {
            "construction": name,
            "parameters": stm.trainable(module),
            "multiply_adds_per_pixel": round(stm.multiply_adds_per_pixel(module, channels, image_size)),
            "activations_per_pixel": round(stm.activations_per_pixel(module, channels, image_size)),
        }
        for name, module in modules.items()
    )


def registration_table(block):
    """What PyTorch registers for three ways of keeping the branches."""
    ways = {
        "module_list": stm.SplitTransformMerge,
        "python_list": stm.BranchesInList,
        "repeated_branch": stm.BranchRepeated,
    }
    modules = {way: stm.unbuilt(module, *block) for way, module in ways.items()}
    return pd.DataFrame(
        {"branches_kept_in": way, "trainable": stm.trainable(module), "in_state_dict": stm.stored(module)}
        for way, module in modules.items()
    )


def count_claims(layers, plain, split, channels, bottleneck, block):
    """Formulas against live modules: the whole constructions, then each layer."""
    parts = layers[layers["layer"] != "total"]
    counted = np.array(stm.counted_layers(plain) + stm.counted_layers(split))
    wrong = np.count_nonzero(parts[["weights", "biases"]].to_numpy() != counted)
    plain_formula = stm.parameters(channels, 1, bottleneck, block[-1])
    split_formula = stm.parameters(*block)
    how = "Sum of numel() over module.parameters() of a live module"
    source = "p4/parameters.csv"
    return [
        theorem(
            "p4-plain-count",
            f"The plain construction has {plain_formula:,} trainable parameters, as the formula says.",
            stm.trainable(plain),
            "=",
            plain_formula,
            method=how,
            source=source,
        ),
        theorem(
            "p4-split-count",
            f"The split construction has {split_formula:,} trainable parameters, as the formula says.",
            stm.trainable(split),
            "=",
            split_formula,
            method=how,
            source=source,
        ),
        theorem(
            "p4-layers",
            "The weights and the biases of each layer are those that the table lists.",
            int(wrong),
            "=",
            0,
            method="Entries of the table that differ from a count over the Conv2d modules of the live constructions",
            source=source,
        ),
    ]


def saving_claims(savings, plain, split, channels, bottleneck, block):
    """The saving with B g = m: the identity, where it comes from, its maximum and its sign."""
    _, branches, width, kernel = block
    count, here = stm.trainable(plain), stm.trainable(plain) - stm.trainable(split)
    b, saved = savings["branches"], savings["saving"]
    unsplit = savings.iloc[0]
    parts_differ = (
        (savings["pointwise_weights"] != unsplit["pointwise_weights"])
        | (savings["kernel_weights"] * b != unsplit["kernel_weights"])
        | (savings["biases"] - unsplit["biases"] != (b - 1) * channels)
    )
    edge = stm.break_even(channels, bottleneck, kernel)
    per_branch = kernel**2 * bottleneck**2 / branches - channels
    source = "p4/savings.csv"
    return [
        theorem(
            "p4-saving",
            "For every divisor $B$ of $m$, the plain construction has $(B-1)(k^2m^2/B - C)$ more parameters.",
            int(np.count_nonzero(saved != stm.saving(channels, bottleneck, b, kernel))),
            "=",
            0,
            method="Divisors B at which the counts of two live modules differ by anything else",
            source=source,
        ),
        theorem(
            "p4-saving-parts",
            "The 1×1 weights stay the same, the $k×k$ weights fall by the factor $B$, the biases grow by $(B-1)C$.",
            int(parts_differ.sum()),
            "=",
            0,
            method="Divisors B of m at which the live modules' weights and biases do anything else",
            source=source,
        ),
        finding(
            "p4-saving-here",
            f"Here $Bg = m$, and the saving is {branches - 1} · {per_branch:,.6g} = {here:,} parameters, "
            f"{100 * here / count:.1f}\u202f% of the plain construction.",
            here if branches * width == bottleneck else f"Bg = {branches * width}",
            "=",
            stm.saving(channels, bottleneck, branches, kernel),
            method="Difference of the counts of the two live modules, with Bg = m",
            source="p4/optimum.csv",
        ),
        theorem(
            "p4-largest-saving",
            "No divisor of $m$ saves more than $(km - \\sqrt{C})^2$ parameters.",
            int(saved.max()),
            "<=",
            round(stm.largest_saving(channels, bottleneck, kernel), 6),
            method="Largest difference of the counts of two live modules over the divisors of m",
            source=source,
        ),
        finding(
            "p4-best-divisor",
            f"No split with $Bg = m$ saves more parameters than the configured {branches} branches of width {width}.",
            here,
            ">=",
            int(saved.max()),
            method="Saving of the configured block beside the largest one over all divisors of m, on live modules",
            source=source,
        ),
        theorem(
            "p4-break-even",
            "A divisor $B > 1$ of $m$ saves parameters exactly if $B < k^2m^2/C$.",
            int(np.count_nonzero((saved > 0) != ((b > 1) & (b < edge)))),
            "=",
            0,
            method="Divisors of m at which the sign of the live modules' difference says otherwise",
            source=source,
        ),
    ]


def cost_claims(layers, costs):
    """What the counter of PyTorch and the hooks measure, beside the weights and the channels of the table."""
    total = layers[layers["layer"] == "total"]["weights"].to_numpy()
    parts = layers[layers["layer"] != "total"]
    outputs = (parts["copies"] * parts["out_channels"]).groupby(parts["construction"], sort=False).sum().to_numpy()
    return [
        theorem(
            "p4-multiply-adds",
            "Each construction spends as many multiply–adds per output pixel as it has weights.",
            int(np.abs(costs["multiply_adds_per_pixel"].to_numpy() - total).max()),
            "=",
            0,
            method="Counter of torch.utils.flop_counter on a forward pass: largest distance from the sum of weights",
            source="p4/costs.csv",
        ),
        theorem(
            "p4-activations",
            "The convolutions put out $2m + C$ numbers per pixel in the plain construction, "
            "$B(2g + C)$ in the split one.",
            int(np.abs(costs["activations_per_pixel"].to_numpy() - outputs).max()),
            "=",
            0,
            method="Forward hooks on every Conv2d: largest distance from the formula",
            source="p4/costs.csv",
        ),
    ]


def function_claims(block, image_size, seed):
    """The module against its definition, its grouped form, the ResNeXt order, and its gradients."""
    channels, branches = block[:2]
    rng = np.random.default_rng([seed, 1])
    split = stm.fill(stm.SplitTransformMerge(*block), rng.standard_normal)
    image = rng.standard_normal((channels, image_size, image_size))
    batch = torch.from_numpy(image)[None]
    with torch.no_grad():
        output = split(batch)[0].numpy()
        grouped = stm.grouped_from(split)(batch)[0].numpy()
        late = stm.sum_before_relu(split, batch)[0].numpy()
    naive = stm.naive_output(split, image)
    scale = max(1.0, float(np.abs(naive).max()))
    excess = np.max(late - output) / scale
    share = float(np.mean(output - late > 1e-9 * scale))
    source = "p4/claims.csv"
    return [
        theorem(
            "p4-naive",
            "The module computes what the sheet defines.",
            stays_under(np.max(np.abs(output - naive)) / scale, ROUNDING),
            "<=",
            ROUNDING,
            method="Largest relative difference from loops over branches and pixels in NumPy, one random image",
            source=source,
        ),
        theorem(
            "p4-grouped",
            "Three grouped convolutions with the same parameters, then a sum over the groups, give the same output.",
            stays_under(np.max(np.abs(output - grouped)) / scale, ROUNDING),
            "<=",
            ROUNDING,
            method="Largest relative difference of the two modules' outputs on one random image",
            source=source,
        ),
        theorem(
            "p4-nonnegative",
            "No output is negative, so that one more ReLU after the sum would change nothing.",
            float(output.min()) if output.min() < 0 else 0.0,
            ">=",
            0.0,
            method="The lesser of 0 and the smallest output of the module on one random image",
            source=source,
        ),
        theorem(
            "p4-relu-order",
            "Summing before the last ReLU never gives a larger output.",
            stays_under(excess, ROUNDING),
            "<=",
            ROUNDING,
            method="Largest relative excess over the module's output on one random image",
            source=source,
        ),
        finding(
            "p4-relu-order-matters",
            f"On a random image the two orders differ in {100 * share:.3g}\u202f% of the outputs.",
            share,
            ">",
            0.0,
            method=f"Share of the outputs that differ by more than rounding, {branches} random branches",
            source=source,
        ),
        theorem(
            "p4-gradients",
            "With every ReLU open, gradients reach every single parameter.",
            unreached_parameters(block, image_size, np.random.default_rng([seed, 2])),
            "=",
            0,
            method="Registered parameters without a non-zero gradient, with positive inputs and parameters",
            source=source,
        ),
    ]


def unreached_parameters(block, image_size, rng):
    """Scalars that a backward pass leaves without a gradient, though all inputs and parameters are positive.

    The image is at least as large as the kernel: otherwise some of the kernel would only ever see padding.
    """
    channels, *_, kernel = block
    side = max(image_size, kernel)
    split = stm.fill(stm.SplitTransformMerge(*block), lambda shape: rng.uniform(0.5, 1.5, shape))
    split(torch.from_numpy(rng.uniform(0.5, 1.5, (1, channels, side, side)))).sum().backward()
    reached = sum(int(torch.count_nonzero(p.grad)) for p in split.parameters() if p.grad is not None)
    return stm.parameters(*block) - reached


def registration_claims(registered, block):
    """The two classic mistakes, on live modules."""
    count = registered.set_index("branches_kept_in")["trainable"]
    channels, _, width, kernel = block
    return [
        theorem(
            "p4-python-list",
            "With the branches in a plain Python list, PyTorch registers no parameter at all.",
            int(count["python_list"]),
            "=",
            0,
            method="Sum of numel() over module.parameters() of a live module",
            source="p4/registered.csv",
        ),
        theorem(
            "p4-repeated-branch",
            "With one branch repeated, only the parameters of one branch are registered.",
            int(count["repeated_branch"]),
            "=",
            stm.parameters(channels, 1, width, kernel),
            method="Sum of numel() over module.parameters() of a live module",
            source="p4/registered.csv",
        ),
    ]


if __name__ == "__main__":
    with job_log(snakemake):
        for name, table in study(**snakemake.params.study).items():
            write_table(table, snakemake.output[name])
