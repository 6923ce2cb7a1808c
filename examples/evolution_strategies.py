"""Evolution Strategies: a small neural network learns to balance a pole, on all cores.

In every generation tasks play episodes with the policy's weights pushed a little along random directions, both ways.
The directions are slices of one table of noise, put into the object store once and read by every task without a copy,
so the result of a rollout is a handful of numbers. Results are taken as they come, and other tasks combine them.

Sums over rollouts are exact (every term is a multiple of 2**-18), so the order in which rollouts finish changes
nothing: one seed, one policy, for any number of workers. The serial run at the end checks that to the bit.
"""

import argparse
import itertools
import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import raylite

try:
    import gymnasium
except ImportError:
    gymnasium = None

HIDDEN_UNITS = 32
PUSH = 0.1  # standard deviation of the noise added to the weights
LEARNING_RATE = 0.03
NOISE_LENGTH = 4_000_000  # 16 MB
ROLLOUT_TASKS, PAIRS_PER_TASK = 96, 2  # a pair: two episodes, pushed one way and the other, 1 to 10 ms on CartPole
RESULTS_PER_COMBINE = 8
EVALUATION_TASKS, EPISODES_PER_EVALUATION = 4, 5
EPISODES = ROLLOUT_TASKS * PAIRS_PER_TASK * 2 + EVALUATION_TASKS * EPISODES_PER_EVALUATION  # in one generation
STEP_LIMIT = 1000  # of an episode, where the environment sets none
SERIAL_S = 3  # about how long the serial run lasts
environments = {}  # by name, made when a process first plays one


def environment(name):
    if name not in environments:
        environments[name] = gymnasium.make(name, disable_env_checker=True)
    return environments[name]


def layer_sizes(env):
    """How many numbers the network sees, and how many it answers with."""
    actions = env.action_space
    if not isinstance(actions, (gymnasium.spaces.Discrete, gymnasium.spaces.Box)):
        raise TypeError(f"its actions are {actions}, neither Discrete nor Box")
    outputs = actions.n if isinstance(actions, gymnasium.spaces.Discrete) else math.prod(actions.shape)
    return gymnasium.spaces.flatdim(env.observation_space), int(outputs)


def policy(weights, env):
    """The network with these weights, as a function from an observation to an action."""
    inputs, outputs = layer_sizes(env)
    ends = np.cumsum([inputs * HIDDEN_UNITS, HIDDEN_UNITS, HIDDEN_UNITS * outputs])
    hidden, hidden_bias, out, out_bias = np.split(weights, ends)
    hidden, out = hidden.reshape(inputs, HIDDEN_UNITS), out.reshape(HIDDEN_UNITS, outputs)
    flatten, observations, actions = gymnasium.spaces.flatten, env.observation_space, env.action_space

    def answer(observation):
        return np.tanh(flatten(observations, observation) @ hidden + hidden_bias) @ out + out_bias

    if isinstance(actions, gymnasium.spaces.Discrete):
        return lambda observation: actions.start + answer(observation).argmax()
    low, high, shape = actions.low, actions.high, actions.shape
    reach = np.where(np.isfinite(high), high, 1)
    return lambda observation: np.clip(reach * answer(observation).reshape(shape), low, high).astype(actions.dtype)


def play(weights, env, seed):
    """The summed reward of one episode, rounded to 1/64."""
    act, score = policy(weights, env), 0.0
    observation, _ = env.reset(seed=seed)
    for _ in range(env.spec.max_episode_steps or STEP_LIMIT):
        observation, reward, terminated, truncated, _ = env.step(act(observation))
        score += float(reward)
        if terminated or truncated:
            break
    return round(score * 64) / 64


def rollouts(weights, noise, env_name, seed):
    """A few pairs of episodes: for each where its noise starts, and the scores with it added and subtracted."""
    env, rng, pairs = environment(env_name), np.random.default_rng(seed), []
    for _ in range(PAIRS_PER_TASK):
        start, episode = int(rng.integers(noise.size - weights.size)), int(rng.integers(2**31))
        push = PUSH * noise[start : start + weights.size]
        pairs.append((start, play(weights + push, env, episode), play(weights - push, env, episode)))
    return pairs


def evaluate(weights, env_name, seed):
    env, rng = environment(env_name), np.random.default_rng(seed)
    return [play(weights, env, int(rng.integers(2**31))) for _ in range(EPISODES_PER_EVALUATION)]


def combine(size, noise, *results):
    """What some rollouts say: the sum of their directions, each times what it gained, and all their scores."""
    pairs = [pair for result in results for pair in result]
    direction = sum((plus - minus) * noise[start : start + size].astype(np.float64) for start, plus, minus in pairs)
    return direction, [score for _, *scores in pairs for score in scores]


def update(weights, *combined):
    """The weights of the next generation."""
    scores = np.sort(np.concatenate([scores for _, scores in combined]))
    scale = LEARNING_RATE / (max(scores.std(), 1e-8) * len(scores) / 2)
    return (weights + scale * sum(direction for direction, _ in combined)).astype(np.float32)


rollouts_task, evaluate_task, combine_task, update_task = map(raylite.remote, (rollouts, evaluate, combine, update))


class Generation(NamedTuple):
    number: int
    weights: raylite.ObjectRef
    next_weights: raylite.ObjectRef
    rollout_mean: float
    evaluation_mean: float
    duration_s: float


def start_evaluation(weights, args, *tag):
    return [evaluate_task.remote(weights, args.env, (args.seed, *tag, task)) for task in range(EVALUATION_TASKS)]


def generations(weights, size, noise, args, show):
    """Train for as long as asked. `weights` and `noise` are references; the next weights are one before they exist."""
    reward = None
    for number in itertools.count(1):
        started, evaluations = time.perf_counter(), start_evaluation(weights, args, number, 1)
        seeds = [(args.seed, number, 0, task) for task in range(ROLLOUT_TASKS)]
        pending = evaluations + [rollouts_task.remote(weights, noise, args.env, seed) for seed in seeds]
        finished, combined, rollout_scores, evaluation_scores = [], [], [], []
        while pending:
            (ref,), pending = raylite.wait(pending)
            if ref in evaluations:
                evaluation_scores += raylite.get(ref)
            else:
                rollout_scores += [score for _, *scores in raylite.get(ref) for score in scores]
                finished.append(ref)
            if len(finished) == RESULTS_PER_COMBINE:
                combined.append(combine_task.remote(size, noise, *finished))
                finished = []
            reward = np.mean(evaluation_scores) if evaluation_scores else reward
            if reward is not None:
                show(number, reward)
        next_weights = update_task.remote(weights, *combined)
        means = np.mean(rollout_scores), np.mean(evaluation_scores)
        yield Generation(number, weights, next_weights, *means, time.perf_counter() - started)
        weights = next_weights


def progress_bar(goal, args):
    """A function that shows where the run is, on stderr: one line that moves on a terminal, else a line a second."""
    terminal, started, shown, first = sys.stderr.isatty(), time.perf_counter(), 0.0, None

    def show(number, reward, last=False):
        nonlocal shown, first
        now, first = time.perf_counter(), reward if first is None else first
        if last or now - shown >= (0.1 if terminal else 1):
            shown, seconds = now, now - started
            part = seconds / args.seconds if goal is None else (reward - first) / max(goal - first, 1e-8)
            bar = "#" * round(24 * min(max(part, 0), 1))
            line = f"{args.env} [{bar:.<24}] mean reward {reward:.1f}, generation {number}, {seconds:.0f} s"
            start, end = ("\r", "\x1b[K\n" if last else "\x1b[K") if terminal else ("", "\n")
            print(start + line, end=end, file=sys.stderr, flush=True)

    return show


def train(weights, size, noise, goal, args):
    """The history up to the goal or a limit, and the mean reward of its last weights over 20 more episodes."""
    history, started, show = [], time.perf_counter(), progress_bar(goal, args)
    for generation in generations(weights, size, noise, args, show):
        history.append(generation)
        spent = time.perf_counter() - started > args.seconds or len(history) == args.generations
        if spent or (goal is not None and generation.evaluation_mean >= goal):
            reward = np.mean(raylite.get(start_evaluation(generation.weights, args, generation.number, 2)))
            if spent or reward >= goal:
                show(generation.number, reward, last=True)
                return history, reward


def play_serially(generation, noise, args):
    """One generation again, by plain calls of the same functions; returns the next weights."""
    weights, seed = raylite.get(generation.weights), (args.seed, generation.number)
    for task in range(EVALUATION_TASKS):
        evaluate(weights, args.env, (*seed, 1, task))
    results = [rollouts(weights, noise, args.env, (*seed, 0, task)) for task in range(ROLLOUT_TASKS)]
    groups = [results[i : i + RESULTS_PER_COMBINE] for i in range(0, ROLLOUT_TASKS, RESULTS_PER_COMBINE)]
    return update(weights, *[combine(weights.size, noise, *group) for group in groups])


def compare_with_serial(history, noise, args):
    """Rollouts per second, in parallel and serially, over the same generations (the very first was a warm-up)."""
    history = history[1:] or history
    stride = math.ceil(sum(generation.duration_s for generation in history) * args.workers / SERIAL_S)
    sample, serial_s, same = history[::stride], 0.0, True
    for generation in sample:
        started = time.perf_counter()
        weights = play_serially(generation, noise, args)
        serial_s += time.perf_counter() - started
        same = same and np.array_equal(weights, raylite.get(generation.next_weights))
    parallel = len(sample) * EPISODES / sum(generation.duration_s for generation in sample)
    serial = len(sample) * EPISODES / serial_s
    outcome = "the same weights to the bit" if same else "BUT OTHER WEIGHTS"
    print(
        f"rollouts per second: {parallel:.0f} on {args.workers} workers, {serial:.0f} serially: "
        f"{parallel / serial:.2f} times, {outcome}"
    )


def write_learning_curve(history, goal, args):
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no learning curve: matplotlib is not installed (pip install matplotlib)")
        return
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="generation", ylabel="mean reward", title=f"Evolution Strategies on {args.env}")
    numbers = [generation.number for generation in history]
    rollouts, evaluations = zip(*((one.rollout_mean, one.evaluation_mean) for one in history), strict=True)
    axes.plot(numbers, rollouts, label="rollouts (weights pushed)", color="0.7")
    axes.plot(numbers, evaluations, label="evaluation", marker="o", markersize=3)
    if goal is not None:
        axes.axhline(goal, label=f"goal: {goal:g}", linestyle="--", linewidth=1, color="tab:green")
    axes.legend()
    figure.savefig(args.out, dpi=120, format="png")
    print(f"learning curve: {args.out}")


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def parse_arguments():
    """The arguments, the environment's goal if it has one, and the network's layer sizes."""
    parser = argparse.ArgumentParser(description="Train a policy by Evolution Strategies, on all cores.")
    parser.add_argument("--env", default="CartPole-v1", help="a gymnasium environment (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=positive, help="default: one per core")
    parser.add_argument("--seconds", type=positive, default=50, help="train no longer than this (default: %(default)s)")
    parser.add_argument("--generations", type=positive, help="train for at most so many")
    parser.add_argument("--out", type=Path, default="learning_curve.png", help="a PNG file (default: %(default)s)")
    args = parser.parse_args()
    if gymnasium is None:
        parser.exit(2, "this example needs gymnasium: pip install gymnasium\n")
    if args.seed < 0:
        parser.error("--seed must not be negative")
    if args.out.is_dir() or not args.out.parent.is_dir():
        parser.error(f"--out: cannot write a file {args.out}")
    try:
        env = gymnasium.make(args.env, disable_env_checker=True)
        return args, env.spec.reward_threshold, layer_sizes(env)
    except (gymnasium.error.Error, ImportError, TypeError, ValueError) as error:
        parser.exit(2, f"cannot play {args.env!r}: {error}\n")


def main():
    args, goal, (inputs, outputs) = parse_arguments()
    rng = np.random.default_rng(args.seed)
    hidden = rng.standard_normal(inputs * HIDDEN_UNITS) / math.sqrt(inputs)
    weights = np.append(hidden, np.zeros(HIDDEN_UNITS + HIDDEN_UNITS * outputs + outputs)).astype(np.float32)
    noise = rng.standard_normal(max(NOISE_LENGTH, 2 * weights.size), dtype=np.float32)
    with raylite.init(num_cpus=args.workers):
        args.workers = int(raylite.cluster_resources()["CPU"])
        started, noise_ref = time.perf_counter(), raylite.put(np.round(noise * 4096) / 4096)
        history, reward = train(raylite.put(weights), weights.size, noise_ref, goal, args)
        episodes, seconds = EVALUATION_TASKS * EPISODES_PER_EVALUATION, time.perf_counter() - started
        outcome = "no goal set" if goal is None else f"goal of {goal:g} {'reached' if reward >= goal else 'missed'}"
        print(f"mean reward {reward:.1f} over {episodes} evaluation episodes, {outcome}", end="; ")
        print(f"{history[0].evaluation_mean:.1f} before training")
        print(f"{len(history)} generations of {EPISODES} rollouts in {seconds:.1f} s")
        compare_with_serial(history, raylite.get(noise_ref), args)
    write_learning_curve(history, goal, args)


if __name__ == "__main__":
    main()
