"""A parameter server: one actor holds the weights of a model, others compute gradients on their share of the data.

Updates are asynchronous. Whoever has a gradient hands it in and goes on with the weights that come back; nobody waits
for the slowest. The driver only passes references on: gradients and weights go from process to process.

    python examples/parameter_server.py --workers 4 --updates 2000
"""

import argparse
import time

import numpy as np

import raylite

FEATURES, ROWS, BATCH, RATE = 50, 20_000, 256, 0.1


@raylite.remote
class ParameterServer:
    def __init__(self):
        self.weights = np.random.default_rng(0).normal(scale=0.01, size=FEATURES)
        self.updates = 0

    def update(self, gradient):
        self.weights = self.weights - RATE * gradient
        self.updates += 1
        return self.weights

    def state(self):
        return self.weights, self.updates


@raylite.remote
class Worker:
    def __init__(self, seed, truth):
        self.rng = np.random.default_rng(seed)
        self.data = self.rng.normal(size=(ROWS, FEATURES))
        self.labels = np.sign(self.data @ truth + self.rng.normal(size=ROWS))

    def gradient(self, weights):
        rows = self.rng.integers(ROWS, size=BATCH)
        data, labels = self.data[rows], self.labels[rows]
        return -(labels / (1 + np.exp(labels * (data @ weights)))) @ data / BATCH

    def evaluate(self, weights):
        """Mean logistic loss, and the share of labels, -1 or 1, that are right."""
        margins = self.labels * (self.data @ weights)
        return float(np.logaddexp(0, -margins).mean()), float((margins > 0).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="actors that compute gradients (default: %(default)s)")
    parser.add_argument("--updates", type=int, default=3000, help="gradients in all (default: %(default)s)")
    args = parser.parse_args()
    if not 1 <= args.workers <= args.updates:
        parser.error("there must be a worker, and an update for each")

    truth = np.random.default_rng(1).normal(size=FEATURES)
    server = ParameterServer.remote()
    workers = [Worker.remote(seed, truth) for seed in range(2, args.workers + 2)]
    weights, _ = raylite.get(server.state.remote())
    handed_in, started = [0] * args.workers, time.perf_counter()
    computing = {worker.gradient.remote(weights): number for number, worker in enumerate(workers)}
    for update in range(args.updates + 1):
        if update % max(1, args.updates // 10) == 0:
            weights, _ = raylite.get(server.state.remote())
            loss, right = np.mean(raylite.get([worker.evaluate.remote(weights) for worker in workers]), axis=0)
            print(f"{update:6} updates   loss {loss:.4f}   {right:6.1%} right   {'#' * round(60 * loss)}", flush=True)
        if not computing:
            break
        (gradient,), _ = raylite.wait(list(computing))  # whoever is first
        number = computing.pop(gradient)
        handed_in[number] += 1
        new_weights = server.update.remote(gradient)
        if update + args.workers < args.updates:
            computing[workers[number].gradient.remote(new_weights)] = number

    seconds, (_, updates) = time.perf_counter() - started, raylite.get(server.state.remote())
    print(f"{updates} updates in {seconds:.2f} s, {updates / seconds:,.0f} a second; by worker: {handed_in}")


if __name__ == "__main__":
    main()
