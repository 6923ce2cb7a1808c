"""Word count as a stream: tasks that yield counts feed actors that add them up, while the reading goes on.

Each mapper, a generator, yields one part of the counts of a file for every reducer in turn, so that the driver knows
by the number of an item where it goes, and passes on its reference without looking at it. Mappers that get too far
ahead of the reducers wait (`_generator_backpressure_num_objects`). Counts the words of Python's own library:

    python examples/streaming_wordcount.py --mappers 4 --reducers 2 [FOLDER]
"""

import argparse
import re
import sysconfig
import time
import zlib
from collections import Counter
from pathlib import Path

import raylite


@raylite.remote(_generator_backpressure_num_objects=20)
def count_words(paths, reducers):
    for path in paths:
        parts = [Counter() for _ in range(reducers)]
        for word, count in Counter(re.findall(r"[^\W\d_]+", path.read_text(errors="replace").lower())).items():
            parts[zlib.crc32(word.encode()) % reducers][word] = count
        yield from parts


@raylite.remote
class Reducer:
    def __init__(self):
        self.counts = Counter()

    def add(self, counts):
        self.counts.update(counts)

    def top(self, number):
        """The most frequent words of this reducer's, how many there are in all, and how many different ones."""
        return self.counts.most_common(number), self.counts.total(), len(self.counts)


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=sysconfig.get_path("stdlib"), help="of text files")
    parser.add_argument("--pattern", default="*.py", help="of the files' names (default: %(default)s)")
    parser.add_argument("--mappers", type=positive, default=2, help="tasks that read (default: %(default)s)")
    parser.add_argument("--reducers", type=positive, default=2, help="actors that add up (default: %(default)s)")
    parser.add_argument("--top", type=positive, default=10, help="words to show (default: %(default)s)")
    args = parser.parse_args()
    paths, started = sorted(path for path in args.folder.glob(args.pattern) if path.is_file()), time.perf_counter()

    reducers = [Reducer.remote() for _ in range(args.reducers)]
    mappers = {count_words.remote(paths[n :: args.mappers], args.reducers): 0 for n in range(args.mappers)}
    items = 0
    while mappers:
        (mapper,), _ = raylite.wait(list(mappers))  # one whose next item is there, or that has ended
        counts = next(mapper, None)
        if counts is None:
            del mappers[mapper]
            continue
        reducers[mappers[mapper] % args.reducers].add.remote(counts)
        mappers[mapper] += 1
        items += 1
        if items % (100 * args.reducers) == 0:
            print(f"{items // args.reducers:5} of {len(paths)} files on their way", flush=True)

    results, seconds = raylite.get([each.top.remote(args.top) for each in reducers]), time.perf_counter() - started
    words = sorted((word for top, _, _ in results for word in top), key=lambda word: (-word[1], word[0]))[: args.top]
    total, different = (sum(result[place] for result in results) for place in (1, 2))
    for word, count in words:
        print(f"{word:>12} {count:8,}  {'#' * max(1, round(40 * count / words[0][1]))}")
    print(f"{total:,} words, {different:,} of them different, in {len(paths)} files: {seconds:.2f} s")


if __name__ == "__main__":
    main()
