"""An actor serves a policy to clients while another one trains it and pushes new weights: no answer has to wait.

The policy chooses one of four actions for what it observes. The trainer tries actions and learns from their rewards
(REINFORCE); the clients see the share of right answers rise, while questions and weights reach the same actor.

    python examples/policy_serving.py --seconds 10 --clients 4
"""

import argparse
import time

import numpy as np

import raylite

FEATURES, ACTIONS, BATCH, RATE, REPORT_S = 16, 4, 64, 0.1, 0.5
TRUTH = np.random.default_rng(0).normal(size=(FEATURES, ACTIONS))  # what the trainer does not know


def sample(scores, rng):
    """Actions by the softmax of their scores, and the chances of all."""
    chances = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    return (scores + rng.gumbel(size=scores.shape)).argmax(axis=-1), chances


@raylite.remote
class Policy:
    def __init__(self):
        self.weights, self.version, self.rng = np.zeros((FEATURES, ACTIONS)), 0, np.random.default_rng(2)

    def act(self, observation):
        return sample(observation @ self.weights, self.rng)[0], self.version

    def set_weights(self, weights):
        self.weights, self.version = weights, self.version + 1


@raylite.remote
class Trainer:
    def train(self, policy, seconds):
        weights, rng, end = np.zeros((FEATURES, ACTIONS)), np.random.default_rng(1), time.perf_counter() + seconds
        while time.perf_counter() < end:
            observations = rng.normal(size=(BATCH, FEATURES))
            actions, chances = sample(observations @ weights, rng)
            rewards = actions == (observations @ TRUTH).argmax(axis=1)
            surprise = np.eye(ACTIONS)[actions] - chances
            weights = weights + RATE * observations.T @ (surprise * (rewards - rewards.mean())[:, None]) / BATCH
            raylite.get(policy.set_weights.remote(weights))  # no more than one on its way


@raylite.remote(num_cpus=0)  # it waits more than it works
def client(policy, seed, reports):
    """Ask the policy; yield at times how many answers came, how many were right, the version, and the slowest."""
    rng = np.random.default_rng(seed)
    for _ in range(reports):
        answers, right, slowest_s, end = 0, 0, 0.0, time.perf_counter() + REPORT_S
        while (asked := time.perf_counter()) < end or not answers:
            action, version = raylite.get(policy.act.remote(observation := rng.normal(size=FEATURES)))
            slowest_s = max(slowest_s, time.perf_counter() - asked)
            answers, right = answers + 1, right + int(action == (observation @ TRUTH).argmax())
        yield answers, right, version, slowest_s


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="default: %(default)s")
    parser.add_argument("--clients", type=int, default=2, help="default: %(default)s")
    args = parser.parse_args()
    if args.clients < 1 or not REPORT_S <= args.seconds < np.inf:
        parser.error(f"it takes a client, and {REPORT_S} seconds")

    policy, reports, total, pushed = Policy.remote(), int(args.seconds / REPORT_S), 0, 0
    clients = [client.remote(policy, seed, reports) for seed in range(args.clients)]
    training = Trainer.remote().train.remote(policy, args.seconds)
    print(" second   answers/s   weights/s   slowest answer   right")
    for number in range(1, reports + 1):
        answers, right, versions, slowest_s = zip(*raylite.get([next(each) for each in clients]), strict=True)
        print(f"{number * REPORT_S:7.1f} {sum(answers) / REPORT_S:11,.0f}", end="")
        print(f"{(max(versions) - pushed) / REPORT_S:12,.0f} {1000 * max(slowest_s):13.1f} ms", end="")
        total, pushed, share = total + sum(answers), max(versions), sum(right) / sum(answers)
        print(f"{share:8.0%}  {'#' * round(30 * share)}", flush=True)
    raylite.get(training)
    print(f"{total:,} answers while the weights changed {pushed:,} times")


if __name__ == "__main__":
    main()
