"""Monte Carlo tree search plays Connect Four, by tasks that create tasks from the results of others.

A search with many simulations to spend gives each move an equal share of them, as a task of its own. From what these
return it keeps the better half of the moves and gives them a larger share, and so on (sequential halving). Each task
does the same one move deeper, until its share is small enough to grow one tree in place, by UCT. Where the tasks go
is known only while they run, yet one seed gives one answer: nothing depends on who finishes first.
"""

import argparse
import math
import random
import time

import raylite

GRAIN = 400  # simulations that one task does by itself: about 20 ms
WIDTH, HEIGHT = 7, 6
BOTTOMS = [1 << (HEIGHT + 1) * column for column in range(WIDTH)]  # a column is HEIGHT bits and an empty one on top
TOPS = [bottom << HEIGHT - 1 for bottom in BOTTOMS]
FULL = sum(bottom * ((1 << HEIGHT) - 1) for bottom in BOTTOMS)
START = (0, 0)  # a position: the stones of the player to move, and all stones


def moves(position):
    return [column for column in range(WIDTH) if not position[1] & TOPS[column]]


def drop(position, column):
    mine, taken = position
    return taken ^ mine, taken | (taken + BOTTOMS[column])


def outcome(position):
    """For the player to move: -1 if the other one has four in a row, 0 if the board is full, None if the game is on."""
    mine, taken = position
    theirs = mine ^ taken
    for shift in (1, HEIGHT, HEIGHT + 1, HEIGHT + 2):
        pairs = theirs & theirs >> shift
        if pairs & pairs >> 2 * shift:
            return -1
    return 0 if taken == FULL else None


class Node:
    """A position in a tree, with the sum of the results for the player to move there."""

    def __init__(self, position):
        self.position, self.outcome = position, outcome(position)
        self.visits, self.score, self.children = 0, 0, {}

    def simulate(self, rng):
        """One simulation from here: go where it looks best, add a node, play on at random; returns the result."""
        if self.outcome is not None:
            result = self.outcome
        elif self.visits == 0:
            result = play_randomly(self.position, rng)
        else:
            if not self.children:
                self.children = {column: Node(drop(self.position, column)) for column in moves(self.position)}
            result = -max(self.children.values(), key=self.promise).simulate(rng)
        self.visits += 1
        self.score += result
        return result

    def promise(self, child):
        if not child.visits:
            return math.inf
        return math.sqrt(2 * math.log(self.visits) / child.visits) - child.score / child.visits


def play_randomly(position, rng):
    sign = 1
    while (result := outcome(position)) is None:
        position, sign = drop(position, rng.choice(moves(position))), -sign
    return sign * result


def best(worth):
    """The most visited move; of equals the one that scored most, then the leftmost."""
    return max(worth, key=lambda column: worth[column])


@raylite.remote
def search(position, simulations, seed):
    """What each move is worth to the player to move, as {column: (visits, score)}, and how many tasks found it."""
    if simulations <= GRAIN:
        root, rng = Node(position), random.Random(str(seed))
        for _ in range(1 + simulations):  # the first one is the root's own
            root.simulate(rng)
        return {column: (child.visits, -child.score) for column, child in root.children.items()}, 1
    left, tasks = moves(position), 1
    worth, rounds = dict.fromkeys(left, (0, 0.0)), max(1, math.ceil(math.log2(len(left))))
    for number in range(rounds):
        share, means, pending = simulations // (rounds * len(left)), {}, {}
        for column in left:
            child = drop(position, column)
            if (result := outcome(child)) is not None:
                means[column] = -result
            else:
                pending[search.remote(child, share, (*seed, number, column))] = column
        while pending:
            (ref,), _ = raylite.wait(list(pending))
            column, (replies, more_tasks) = pending.pop(ref), raylite.get(ref)
            visits, score = replies[best(replies)]
            means[column], tasks = -score / visits, tasks + more_tasks
        for column in left:
            visits, score = worth[column]
            worth[column] = visits + share, score + share * means[column]
        left = sorted(left, key=lambda column: worth[column], reverse=True)[: math.ceil(len(left) / 2)]
    return worth, tasks


@raylite.remote
def play_against_random(simulations, seed):
    """One game, which the search opens if the seed's last number is even: 1 if the search wins, -1 if it loses."""
    position, rng, turn = START, random.Random(str(seed)), seed[-1]
    while (result := outcome(position)) is None:
        if turn % 2 == 0:
            worth, _ = raylite.get(search.remote(position, simulations, (*seed, turn)))
            column = best(worth)
        else:
            column = rng.choice(moves(position))
        position, turn = drop(position, column), turn + 1
    return result if turn % 2 == 0 else -result


def show(position, stones):
    mine, taken = position
    for row in reversed(range(HEIGHT)):
        cells = [bottom << row for bottom in BOTTOMS]
        print(" ", *(stones[bool(mine & cell)] if taken & cell else "." for cell in cells))
    print(" ", *range(1, WIDTH + 1))


def position_after(text):
    """Argument type: the columns played so far."""
    position = START
    for column in text:
        if outcome(position) is not None or not column.isdigit() or int(column) - 1 not in moves(position):
            raise argparse.ArgumentTypeError(f"{column!r} is no possible move in {text!r}")
        position = drop(position, int(column) - 1)
    if outcome(position) is not None:
        raise argparse.ArgumentTypeError(f"the game is over after {text!r}")
    return position


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def main():
    parser = argparse.ArgumentParser(description="Choose a move in Connect Four by parallel Monte Carlo tree search.")
    parser.add_argument("--moves", type=position_after, default="4433", help="columns played so far, as in %(default)s")
    parser.add_argument("--simulations", type=positive, default=100_000, help="for one move (default: %(default)s)")
    parser.add_argument("--games", type=positive, help="instead, play so many games against a random player")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=positive, help="default: one per core")
    args = parser.parse_args()

    with raylite.init(num_cpus=args.workers):
        started = time.perf_counter()
        if args.games:
            refs = [play_against_random.remote(args.simulations, (args.seed, game)) for game in range(args.games)]
            results = raylite.get(refs)
            won, drawn, lost, seconds = *map(results.count, (1, 0, -1)), time.perf_counter() - started
            print(f"against a random player: {won} won, {drawn} drawn, {lost} lost, in {seconds:.1f} s")
            return
        worth, tasks = raylite.get(search.remote(args.moves, args.simulations, (args.seed,)))
        seconds, visits = time.perf_counter() - started, sum(visits for visits, _ in worth.values())
    stones = ("o", "x") if args.moves[1].bit_count() % 2 == 0 else ("x", "o")
    show(args.moves, stones)
    print("\ncolumn   visits   expected result, from -1 to 1")
    for column, (count, score) in sorted(worth.items(), key=lambda item: item[1], reverse=True):
        print(f"{column + 1:6} {count:8,}   {score / max(count, 1):+.2f}")
    print(f"\n{stones[1]} plays column {best(worth) + 1}: {visits:,} simulations by {tasks} tasks in {seconds:.2f} s")


if __name__ == "__main__":
    main()
