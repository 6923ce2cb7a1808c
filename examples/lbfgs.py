"""L-BFGS of SciPy, with the gradient computed by actors: each keeps a shard of the data, and only weights travel.

The optimizer runs in the driver as it is; what it minimizes asks all shards at once and adds up their answers. The
model tells ten kinds of points apart (softmax regression). At the end the same gradient is computed in one process.

    python examples/lbfgs.py --rows 100000 --shards 4
"""

import argparse
import time

import numpy as np

import raylite

try:
    from scipy.optimize import minimize
except ImportError:
    minimize = None

FEATURES, KINDS, PENALTY = 40, 10, 1e-4


class Shard:
    """A share of the data: made by a seed where it is used, never sent."""

    def __init__(self, seed, rows):
        rng = np.random.default_rng([seed, 1])
        centers = np.random.default_rng(0).normal(size=(KINDS, FEATURES))
        self.kinds = rng.integers(KINDS, size=rows)
        self.data = (centers[self.kinds] + rng.normal(scale=2, size=(rows, FEATURES))) * np.logspace(
            -0.5, 0.5, FEATURES
        )

    def loss_and_gradient(self, weights):
        """The sum of the loss over the shard's rows, and its gradient."""
        scores = self.data @ weights.reshape(FEATURES, KINDS)
        scores -= scores.max(axis=1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        errors = np.exp(logs)
        errors[np.arange(len(self.kinds)), self.kinds] -= 1
        return -np.take_along_axis(logs, self.kinds[:, None], 1).sum(), (self.data.T @ errors).ravel()

    def right(self, weights):
        return int(((self.data @ weights.reshape(FEATURES, KINDS)).argmax(axis=1) == self.kinds).sum())


def total(parts, weights, rows):
    """The mean loss of all shards, and its gradient, with a penalty on large weights."""
    losses, gradients = zip(*parts, strict=True)
    return sum(losses) / rows + PENALTY * weights @ weights, sum(gradients) / rows + 2 * PENALTY * weights


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000, help="of data, in all (default: %(default)s)")
    parser.add_argument("--shards", type=int, default=2, help="actors that share them (default: %(default)s)")
    args = parser.parse_args()
    if minimize is None:
        parser.exit(2, "this example needs scipy: pip install scipy\n")
    if args.shards < 1 or args.rows < args.shards:
        parser.error("there must be a shard, and a row for each")

    plans = [(seed, (args.rows + seed) // args.shards) for seed in range(args.shards)]
    shards = [raylite.remote(Shard).remote(*plan) for plan in plans]
    evaluations = []

    def objective(weights):
        ref = raylite.put(weights)  # once, for all shards
        parts = raylite.get([shard.loss_and_gradient.remote(ref) for shard in shards])
        loss, gradient = total(parts, weights, args.rows)
        evaluations.append(loss)
        if len(evaluations) % 10 == 1:
            print(f"evaluation {len(evaluations):3}   loss {loss:.5f}   {'#' * round(25 * loss)}", flush=True)
        return loss, gradient

    started = time.perf_counter()
    found = minimize(objective, np.zeros(FEATURES * KINDS), jac=True, method="L-BFGS-B")
    seconds, right = time.perf_counter() - started, sum(raylite.get([each.right.remote(found.x) for each in shards]))
    print(f"loss {found.fun:.5f} after {found.nit} iterations, {len(evaluations)} evaluations in {seconds:.2f} s")
    print(f"{right / args.rows:.1%} of {args.rows:,} rows are told apart, in {args.shards} shards")

    _, here = total([Shard(*plan).loss_and_gradient(found.x) for plan in plans], found.x, args.rows)
    agrees = np.allclose(here, found.jac, rtol=0, atol=1e-9)
    print(f"the gradient is {'the same' if agrees else 'NOT the same'} as that of one process")


if __name__ == "__main__":
    main()
