"""Shards of the control store whose endpoints say and hear what the test wants; letters between shards are carried."""

from __future__ import annotations

from raylite._core.store.shard import Shard
from tests.core import store_protocol as sp

A, B, C = sp.node(0), sp.node(1), sp.node(2)


class Shards:
    """As many shards as there are, and three nodes that the master has told them of."""

    def __init__(self, n_shards: int = 1, *, flushes: bool = True) -> None:
        self.shards = [Shard(i, n_shards, flushes=flushes, debug=True) for i in range(n_shards)]
        self.sent: dict[tuple[int, int], int] = {}
        self.heard: dict[tuple[int, int], int] = {}
        self.incarnations = {A: 1, B: 1, C: 1, sp.MASTER: 1}
        self.held_back: set[tuple[int, int]] = set()  # pairs of shards whose letters wait
        for shard in range(n_shards):
            self.say(sp.MASTER, *(sp.about_node(sp.OP_NODE_ALIVE, node) for node in (A, B, C)), shard=shard)

    def shard_for(self, item: sp.Item) -> int:
        return sp.shard_of(item.object, len(self.shards))

    def say(self, endpoint: int, *items: sp.Item, shard: int | None = None) -> None:
        """A letter of an endpoint to the shard that its operations are for, and what follows between shards."""
        shard = self.shard_for(items[0]) if shard is None else shard
        number = self.sent[endpoint, shard] = self.sent.get((endpoint, shard), 0) + 1
        letter = sp.letter(endpoint, shard, number, items, incarnation=self.incarnations[endpoint],
                           acknowledged=self.heard.get((endpoint, shard), 0))  # fmt: skip
        assert self.shards[shard].apply(letter) == sp.LETTER_NEW
        self.carry()

    def restart(self, endpoint: int) -> None:
        """Another start of an endpoint, whose streams begin anew."""
        self.incarnations[endpoint] += 1
        for shard in range(len(self.shards)):
            self.sent.pop((endpoint, shard), None)
            self.heard.pop((endpoint, shard), None)

    def everywhere(self, endpoint: int, *items: sp.Item) -> None:
        for shard in range(len(self.shards)):
            self.say(endpoint, *items, shard=shard)

    def carry(self) -> None:
        """Take the shards' letters to each other, and their acknowledgements, until there are none."""
        carried = True
        while carried:
            carried = False
            for a, source in enumerate(self.shards):
                for b, target in enumerate(self.shards):
                    if a == b or (a, b) in self.held_back:
                        continue
                    for letter in source.letters(sp.party(sp.PARTY_SHARD, b)):
                        carried |= target.apply(letter) == sp.LETTER_NEW
                        number = sp.read_letter(letter).number
                        back = sp.letter(sp.party(sp.PARTY_SHARD, b), a, 0, [], incarnation=0, acknowledged=number)
                        carried |= source.apply(back) == sp.LETTER_NEW

    def hears(self, endpoint: int, shard: int = 0) -> list[sp.Item]:
        """What has come for an endpoint since the last time."""
        letters = [sp.read_letter(each) for each in
                   self.shards[shard].letters(endpoint, self.incarnations[endpoint])]  # fmt: skip
        new = [each for each in letters if each.number > self.heard.get((endpoint, shard), 0)]
        if new:
            self.heard[endpoint, shard] = new[-1].number
        return [item for letter in new for item in letter.items]

    def sizes(self, shard: int = 0) -> dict[str, int]:
        return self.shards[shard].sizes()

    def is_empty(self) -> bool:
        tables = ("objects", "tasks", "actors", "names", "answers")
        return not any(shard.sizes()[name] for shard in self.shards for name in tables)
