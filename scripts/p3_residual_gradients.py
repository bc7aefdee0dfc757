"""Problem 3: the derivatives checked by two independent methods, and what breaking a layer does to the gradients."""

import itertools

import numpy as np
import pandas as pd
import torch

from hw6 import residual
from pipeline.claims import claims_table, finding, stays_under, theorem
from pipeline.display import formatted
from pipeline.jobs import job_log
from pipeline.tables import write_table

CHECKED = ("tanh", "softplus", "sigmoid", "sine", "relu")
CAUSES = ("zero_weight", "zero_slope")
ROUNDING = 1e-12
STANDARD_ERRORS = 6.0  # at most 122 comparisons with a nearly normal mean: fails by chance with probability about 1e-7
CHECK, EXPERIMENT, GROWTH = range(3)  # streams of random numbers

SIGMA = {
    "tanh": torch.tanh,
    "softplus": lambda z: torch.logaddexp(z, torch.zeros_like(z)),
    "sigmoid": torch.sigmoid,
    "sine": torch.sin,
    "relu": torch.relu,
    "squared_relu": lambda z: torch.relu(z) ** 2,
}


def study(input_dim, width, depth, samples, growth_width, growth_layers, replicates, seed):
    """The tables of problem 3; keyword arguments are the keys of ``residual`` in the configuration."""
    torch.set_num_threads(1)
    errors = derivative_errors(input_dim, width, depth, samples, seed)
    experiment = drawn_experiment(np.random.default_rng([seed, EXPERIMENT]), input_dim, width, depth)
    tables = {
        "gradient_check": check_table(errors),
        "gradient_summary": summary_table(errors),
        "vanishing": vanishing_table(*experiment),
        "paths": path_table(*experiment),
        "exceptions": exception_table(*experiment),
        "growth": growth_table(growth_width, growth_layers, replicates, seed),
    }
    tables["vanishing_summary"] = vanishing_summary(tables["vanishing"])
    tables["claims"] = claims_table(
        derivative_claims(errors)
        + breaking_claims(tables["vanishing"], removal_error(*experiment), tables["exceptions"])
        + path_claims(tables["paths"])
        + growth_claims(tables["growth"])
    )
    return tables


def autograd(net, x):
    """Reverse-mode derivatives by torch, as (dy, db, dA, dL): dy[l] = dy_l/dy_{l-1} for l >= 2, dL[l] = dy_L/dy_l.

    The forward pass is written here anew, so that it shares nothing with the formulas.
    """
    A = [None, *(torch.tensor(weight, requires_grad=True) for weight in net.A[1:])]
    b = [None, *(torch.tensor(bias, requires_grad=True) for bias in net.b[1:])]
    last = len(A) - 1
    y = [torch.tensor(x), SIGMA[net.activation](A[1] @ torch.tensor(x) + b[1])]
    for ell in range(2, last):
        branch = SIGMA[net.activation](A[ell] @ y[-1] + b[ell])
        y.append(branch + y[-1] if net.residual else branch)
    y.append(A[last] @ y[-1] + b[last])
    dy = [None, None, *(_rows(y[ell], y[ell - 1]) for ell in range(2, last + 1))]
    found = torch.autograd.grad(y[last], [*b[1:], *A[1:], *y[1:]])
    db, dA, dL = ([None, *(part.numpy() for part in found[k * last : (k + 1) * last])] for k in range(3))
    return dy, db, dA, dL


def derivative_errors(input_dim, width, depth, samples, seed):
    """One row for each derivative of each random network: its error against both methods, and its number of entries.

    An error is the largest over the entries, relative to the largest entry or to dy_L/db_L = 1, whichever is larger.
    """
    rows = []
    for kind, activation in enumerate(CHECKED):
        rng = np.random.default_rng([seed, CHECK, kind])
        for layers, sample in itertools.product(range(2, depth + 1), range(samples)):
            n, m = rng.integers(1, [input_dim, width], endpoint=True)
            net, x = residual.random_network(rng, n, m, layers, activation)
            z = residual.forward(net, x)[1]
            jacobians = [None, None, *(residual.layer_jacobian(net, ell, z) for ell in range(2, layers + 1))]
            methods = zip(
                ("dy_dy", "dy_db", "dy_dA"),
                (jacobians, *residual.gradients(net, x)),
                autograd(net, x)[:3],
                residual.complex_step(net, x),
                strict=True,
            )
            for derivative, formula, reverse, complex_step in methods:
                for ell in range(2 if derivative == "dy_dy" else 1, layers + 1):
                    by_torch, by_step = _error(formula[ell], reverse[ell]), _error(formula[ell], complex_step[ell])
                    rows.append((activation, layers, sample, derivative, ell, formula[ell].size, by_torch, by_step))
    names = "activation depth sample derivative layer entries autograd_error complex_step_error"
    return pd.DataFrame(rows, columns=names.split())


def check_table(errors):
    """The power of ten that both errors stay under, for each activation, depth, derivative and layer."""
    keys = ["activation", "depth", "derivative", "layer"]
    table = errors.groupby(keys, sort=False)[["autograd_error", "complex_step_error"]].max()
    worst = table.max(axis=1).map(_power)
    return worst.rename("relative_error_below").reset_index()


def summary_table(errors):
    """For each activation: networks, entries compared, and the power of ten that each method's error stays under."""
    groups = errors.groupby("activation", sort=False)
    return pd.DataFrame(
        {
            "networks": groups[["depth", "sample"]].apply(lambda rows: len(rows.drop_duplicates())),
            "entries": groups["entries"].sum(),
            "autograd_below": groups["autograd_error"].max().map(_power),
            "complex_step_below": groups["complex_step_error"].max().map(_power),
        }
    ).reset_index()


def drawn_experiment(rng, input_dim, width, depth):
    """Input, weights of variance 1/fan-in, and pre-activations in (1/4, 3/4), where sigma' = 2z lies in (1/2, 3/2)."""
    sizes = [input_dim] + [width] * (depth - 1) + [1]
    x = rng.standard_normal(input_dim)
    A = [None, *(rng.standard_normal((q, p)) / np.sqrt(p) for p, q in itertools.pairwise(sizes))]
    targets = [None, *(rng.uniform(0.25, 0.75, q) for q in sizes[1:])]
    return x, A, targets


def breakages(A, targets):
    """(cause, j, weights, pre-activations) for the intact network (j = 0) and for each layer broken in both ways."""
    yield "none", 0, A, targets
    for cause, j in itertools.product(CAUSES, range(2, len(A) - 1)):
        yield cause, j, *residual.break_layer(A, targets, j, cause)


def vanishing_table(x, A, targets):
    """Norms of dy_L/dA_l and dy_L/db_l, measured by reverse-mode differentiation, for each broken layer."""
    rows = []
    for skips, (cause, j, weights, aims) in itertools.product((True, False), breakages(A, targets)):
        _, db, dA, _ = autograd(residual.pinned_network(x, weights, aims, residual=skips), x)
        for ell in range(1, len(A)):
            norms = np.linalg.norm(dA[ell]), np.linalg.norm(db[ell])
            rows.append(("residual" if skips else "plain", cause, j, ell, *norms))
    return pd.DataFrame(rows, columns=["network", "cause", "broken_layer", "layer", "norm_dA", "norm_db"])


def vanishing_summary(vanishing):
    """Smallest residual and largest plain norm in the layers below each broken layer, over both causes."""
    below = vanishing[vanishing["layer"] < vanishing["broken_layer"]]
    residual_norms, plain_norms = (
        below[below["network"] == name].groupby("broken_layer")[["norm_db", "norm_dA"]]
        for name in ("residual", "plain")
    )
    smallest = residual_norms.min().add_prefix("residual_smallest_")
    smallest["residual_smallest"] = smallest.min(axis=1)
    return smallest.join(plain_norms.max().add_prefix("plain_largest_")).reset_index()


def removal_error(x, A, targets):
    """Largest error between the gradients below a broken layer j and those of the network of depth L-1 without it."""
    errors = []
    for _, j, weights, aims in itertools.islice(breakages(A, targets), 1, None):
        broken = residual.gradients(residual.pinned_network(x, weights, aims), x)
        shorter = autograd(residual.pinned_network(x, *residual.remove_layer(A, targets, j)), x)[1:3]
        errors += [_error(new[i], old[i]) for new, old in zip(broken, shorter, strict=True) for i in range(1, j)]
    return max(errors, default=0.0)


def path_table(x, A, targets):
    """All paths from layer i to the output: how many vanish, and whether the terms add up to autograd's dy_L/dy_i."""
    rows = []
    for cause, j, weights, aims in breakages(A, targets):
        net = residual.pinned_network(x, weights, aims)
        z, down = residual.forward(net, x)[1], autograd(net, x)[3]
        for i in range(1, j if j else net.depth):
            terms = residual.path_terms(net, z, i)
            gone = ~terms.any(axis=-1)
            through = gone.take(1, axis=j - i - 1).sum() if j else 0
            error = stays_under(_error(terms.reshape(-1, terms.shape[-1]).sum(axis=0), down[i]), ROUNDING)
            rows.append((cause, j, i, gone.size, through, gone.sum() - through, (~gone).sum(), error))
    names = "cause broken_layer layer paths vanished_through vanished_beside surviving sum_error_below"
    return pd.DataFrame(rows, columns=names.split())


def exception_table(x, A, targets):
    """What "need not vanish" leaves out: the largest gradient norm in each case, relative to the intact network's."""
    depth = len(A) - 1
    inner = range(1, depth)
    negative = {i: residual.replaced(targets, i, -targets[i]) for i in inner}
    opposite = {j: residual.replaced(A, j, -np.diag(1 / (2 * targets[j]))) for j in inner[1:]}  # I + D_j A_j = 0
    norms = {
        "output_weight": largest_norm(x, residual.replaced(A, depth, 0 * A[depth]), targets, inner),
        "own_slope": max(largest_norm(x, A, aims, [i]) for i, aims in negative.items()),
    }
    if opposite:  # with L = 2 no layer has a skip
        singular = (largest_norm(x, weights, targets, range(1, j)) for j, weights in opposite.items())
        norms["singular_factor"] = max(singular)
    intact = largest_norm(x, A, targets, range(1, depth + 1))
    return pd.DataFrame({"exception": norms.keys(), "norm_below": [_power(norm / intact) for norm in norms.values()]})


def largest_norm(x, A, targets, layers):
    """The largest norm of the gradients by the given layers' biases and weights, by reverse-mode differentiation."""
    _, db, dA, _ = autograd(residual.pinned_network(x, A, targets), x)
    return max(np.linalg.norm(part[ell]) for part in (db, dA) for ell in layers)


def growth_table(width, layers, replicates, seed):
    """Mean squared gradient at distance k from the last layer: theory and simulation; each layer's factor likewise."""
    parts = []
    for skips in (True, False):
        rng = np.random.default_rng([seed, GROWTH, int(skips)])
        squares = residual.simulate_growth(rng, width, layers, replicates, skips)
        k = np.arange(layers + 1)
        factors = squares / np.vstack([np.ones(replicates), squares[:-1]])  # dy_L/dy_L = 1
        theory = residual.mean_square_gradient(k, skips)
        with_skip = skips & (k > 0)
        parts.append(
            pd.DataFrame(
                {
                    "network": "residual" if skips else "plain",
                    "distance": k,
                    "square_theory": theory,
                    "square_simulated": squares.mean(axis=1),
                    "square_se": squares.std(axis=1, ddof=1) / np.sqrt(replicates),
                    "factor_theory": theory / np.append(1.0, theory[:-1]),
                    "factor_simulated": factors.mean(axis=1),
                    "factor_se": residual.factor_standard_error(width, replicates, with_skip),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def derivative_claims(errors):
    """The three formulas against autograd and complex steps."""
    sentences = {
        "dy_dy": ("layer-jacobian", "The formula for $\\partial y_\\ell/\\partial y_{\\ell-1}$"),
        "dy_db": ("bias-gradient", "The formula for $\\partial y_L/\\partial b_\\ell$"),
        "dy_dA": ("weight-gradient", "The formula for $\\partial y_L/\\partial A_\\ell$"),
    }
    worst = errors.groupby("derivative")[["autograd_error", "complex_step_error"]].max().max(axis=1)
    return [
        theorem(
            f"p3-{name}",
            f"{subject} agrees with reverse-mode and with complex-step differentiation in every random network.",
            stays_under(worst[derivative], ROUNDING),
            "<=",
            ROUNDING,
            method="Largest error of the formula against torch.autograd and against NumPy complex steps",
            source="p3/gradient_check.csv",
        )
        for derivative, (name, subject) in sentences.items()
    ]


def breaking_claims(vanishing, removal, exceptions):
    """What the experiment shows about broken layers; with L = 2 there is none, and these claims say nothing false."""
    below = vanishing[vanishing["layer"] < vanishing["broken_layer"]]
    plain, kept = (below.loc[below["network"] == name, ["norm_db", "norm_dA"]] for name in ("plain", "residual"))
    return [
        theorem(
            "p3-plain-vanishes",
            "Below a broken layer every gradient of the plain network is exactly zero.",
            float(np.max(plain.to_numpy(), initial=0.0)),
            "=",
            0.0,
            method="Largest norm by torch.autograd over all broken layers, both causes, all layers below",
            source="p3/vanishing.csv",
        ),
        theorem(
            "p3-residual-survives",
            "Below a broken layer no gradient of the residual network is zero.",
            float(np.min(kept.to_numpy(), initial=np.inf)),
            ">",
            0.0,
            method="Smallest norm by torch.autograd over all broken layers, both causes, all layers below",
            source="p3/vanishing.csv",
        ),
        theorem(
            "p3-removal",
            "Below a broken layer the gradients are those of the network without that layer.",
            stays_under(removal, ROUNDING),
            "<=",
            ROUNDING,
            method="Formulas on the broken network against torch.autograd on a network of one layer less",
            source="p3/vanishing.csv",
        ),
        theorem(
            "p3-exceptions",
            "With $A_L = 0$, with $D_i = 0$, or with $I + D_jA_j = 0$ the gradients of the residual network do vanish.",
            float(exceptions["norm_below"].max()),
            "<=",
            ROUNDING,
            method="Largest norm by torch.autograd in networks built for each exception, relative to the intact one's",
            source="p3/exceptions.csv",
        ),
    ]


def path_claims(paths):
    """The sum over paths, and which of them a broken layer deletes."""
    broken = paths[paths["broken_layer"] > 0]
    strays = (2 * broken["vanished_through"] != broken["paths"]).sum() + paths["vanished_beside"].sum()
    return [
        theorem(
            "p3-path-sum",
            "The terms of all paths add up to $\\partial y_L/\\partial y_i$.",
            float(paths["sum_error_below"].max()),
            "<=",
            ROUNDING,
            method="Sum over all enumerated paths against torch.autograd, intact and broken networks",
            source="p3/paths.csv",
        ),
        theorem(
            "p3-path-half",
            "Breaking layer $j$ deletes exactly the paths through its weights, half of all.",
            int(strays),
            "=",
            0,
            method="Counts of deleted paths that differ from half of them, and deleted paths that avoid layer j",
            source="p3/paths.csv",
        ),
    ]


def growth_claims(growth):
    """The factor of each layer, and the growth of the mean square over all of them."""
    skips = (growth["network"] == "residual") & (growth["distance"] > 0)
    away = (growth["factor_simulated"] - growth["factor_theory"]).abs() / growth["factor_se"]
    off = (growth["square_simulated"] - growth["square_theory"]).abs() / growth["square_se"]
    last = growth[growth["distance"] == growth["distance"].max()].set_index("network")["square_simulated"]
    layers = int(growth["distance"].max())
    sentences = {
        "residual": (
            "A layer with skip multiplies the mean squared norm by $4/3$ at the default initialisation.",
            skips,
        ),
        "plain": ("A layer without skip divides the mean squared norm by $3$ at the default initialisation.", ~skips),
    }
    factors = [
        theorem(
            f"p3-{network}-factor",
            sentence,
            float(away[rows].max()),
            "<=",
            STANDARD_ERRORS,
            method="Largest distance of a layer's simulated mean factor from the theory, in standard errors",
            source="p3/growth.csv",
        )
        for network, (sentence, rows) in sentences.items()
    ]
    return [
        *factors,
        finding(
            "p3-growth",
            f"After {layers} layers the simulated mean square is {formatted(last['residual'], '.3g')} with skips "
            f"and {formatted(last['plain'], '.3g')} without, and at every depth it lies within 4 standard errors of "
            "the theory.",
            float(off.max()),
            "<=",
            4.0,
            method="Largest distance of the simulated mean square from the theory over both networks and all depths",
            source="p3/growth.csv",
        ),
    ]


def _rows(output, point):
    """d output / d point by reverse mode, row by row."""
    rows = [torch.autograd.grad(entry, point, retain_graph=True)[0] for entry in output]
    return torch.stack(rows).numpy()


def _error(value, reference):
    return np.abs(value - reference).max() / max(1.0, np.abs(reference).max())


def _power(error):
    return stays_under(error, ROUNDING)


if __name__ == "__main__":
    with job_log(snakemake):
        for name, table in study(**snakemake.params.study).items():
            write_table(table, snakemake.output[name])
