"""A grid search: every combination of hyperparameters is a task, and the results are shown as they come.

Each task fits a smooth curve through noisy points by kernel ridge regression and measures its error on points that it
has not seen. The data are put once; all tasks read them in shared memory.

    python examples/grid_search.py --points 1000
"""

import argparse
import itertools
import time

import numpy as np

import raylite

WIDTHS = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
RIDGES = [1e-6, 1e-4, 1e-2, 1.0, 100.0]
SHADES = "@%#*+=-:."


def noisy_curve(points, rng):
    x = np.sort(rng.uniform(-3, 3, points))
    return x, np.sin(3 * x) + 0.5 * x + rng.normal(scale=0.3, size=points)


def kernel(a, b, width):
    return np.exp(-((a[:, None] - b) ** 2) / (2 * width**2))


@raylite.remote
def validation_error(training, validation, width, ridge):
    """Root of the mean squared error on points that were not trained on."""
    (x, y), (new_x, new_y) = training, validation
    weights = np.linalg.solve(kernel(x, x, width) + ridge * np.eye(len(x)), y)
    return float(np.sqrt(np.mean((kernel(new_x, x, width) @ weights - new_y) ** 2)))


def draw(errors):
    """The grid as a picture: the darkest is the best, dots are twice its error and more."""
    best = min(errors.values())
    print(f"\n{'width':>12}" + "".join(f"{width:>7g}" for width in WIDTHS))
    for ridge in RIDGES:
        shades = [
            SHADES[min(int((errors[width, ridge] / best - 1) * len(SHADES)), len(SHADES) - 1)] for width in WIDTHS
        ]
        print(f"ridge {ridge:<6g}" + "".join(f"{shade * 5:>7}" for shade in shades))


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=positive, default=600, help="to train on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rng, started = np.random.default_rng(args.seed), time.perf_counter()
    training, validation = raylite.put(noisy_curve(args.points, rng)), raylite.put(noisy_curve(args.points, rng))
    grid = list(itertools.product(WIDTHS, RIDGES))
    running = {validation_error.remote(training, validation, *parameters): parameters for parameters in grid}
    errors = {}
    while running:
        (ref,), _ = raylite.wait(list(running))
        parameters, error = running.pop(ref), raylite.get(ref)
        if error < min(errors.values(), default=np.inf):
            print(f"{len(errors) + 1:3}/{len(grid)}  width {parameters[0]:<6g} ridge {parameters[1]:<6g} {error:.4f}")
        errors[parameters] = error

    draw(errors)
    (width, ridge), seconds = min(errors, key=errors.get), time.perf_counter() - started
    print(f"\nbest of {len(errors)}: width {width:g}, ridge {ridge:g}, error {errors[width, ridge]:.4f} (noise is 0.3)")
    print(f"{seconds:.2f} s, {len(errors) / seconds:.0f} models a second")


if __name__ == "__main__":
    main()
