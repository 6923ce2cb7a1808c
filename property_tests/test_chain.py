"""Chains of replicas in a virtual network that loses, repeats and delays, under crashes, restarts and partitions.

Clients write keys, each once, and read them. Whatever happened, as long as one replica of each shard's chain was there, alive or on its disk:
an answered write is read afterwards, each request was applied once, each was answered once and in order, and all replicas
have equal tables in the end.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.core import store_protocol as sp
from tests.core.store_world import MS, World

N_SHARDS = 2
pick = st.integers(0, 1 << 16)


class Client:
    """What one endpoint asked for, and what it was answered; knows nothing of how."""

    def __init__(self) -> None:
        self.asked: list[list[tuple[int, str, bytes | None]]] = [[] for _ in range(N_SHARDS)]  # token, key, value
        self.n_answered = [0] * N_SHARDS


class ChainMachine(RuleBasedStateMachine):
    world: World

    @initialize(seed=pick, loss=st.sampled_from([0.0, 0.02, 0.1]), journals=st.booleans(), n_spare=st.integers(0, 2))
    def start(self, seed, loss, journals, n_spare):
        self.world = World(seed, n_shards=N_SHARDS, n_replicas=3, n_spare=n_spare, n_nodes=2, journals_first=journals)
        self.world.run_until(self.world.is_formed)
        self.world.loss, self.world.repeats = loss, loss / 2
        self.written: dict[str, bytes] = {}  # by answered writes
        self.clients = {node: Client() for node in self.world.nodes}
        self.isolated: set[int] = set()
        self.plans = self.world.master().chains()
        self.n_keys = self.n_tokens = 0

    # ---- what clients do ----

    def ask(self, node, kind, key, value=None):
        self.n_tokens += 1
        item = sp.key_value(kind, key, value, token=self.n_tokens)
        shard = sp.shard_of(item.object, N_SHARDS)
        self.clients[node].asked[shard].append((self.n_tokens, key, value))
        self.world.ask(node, item)

    @rule(number=pick, n_writes=st.integers(1, 4))
    def write(self, number, n_writes):
        for _ in range(n_writes):
            self.n_keys += 1
            self.ask(self.world.nodes[number % 2], sp.OP_KV_PUT, f"key {self.n_keys}", b"value %d" % self.n_keys)

    @precondition(lambda self: self.written)
    @rule(number=pick)
    def read(self, number):
        keys = list(self.written)
        self.ask(self.world.nodes[number % 2], sp.OP_KV_GET, keys[number % len(keys)])

    @rule(time_ms=st.sampled_from([1, 3, 10, 50, 300]))
    def pass_time(self, time_ms):
        self.world.run(time_ms * MS)
        self.look()

    def look(self):
        """Every answer is the next one that this client waits for of that shard, and right."""
        for node, client in self.clients.items():
            for entry in self.world.entries(node):
                assert entry.kind == sp.ENTRY_ANSWER
                shard = sp.shard_of(entry.object[:16], N_SHARDS)
                token, key, value = client.asked[shard][client.n_answered[shard]]
                client.n_answered[shard] += 1
                assert entry.token == token, "an answer is missing, comes twice or out of order"
                assert entry.flags == sp.STORE_OK, f"{key}: {entry.flags}"
                if value is None:
                    assert entry.body == self.written[key]
                else:
                    self.written[key] = value
        if sp.MASTER in self.world.parties:
            self.plans = self.world.master().chains()

    # ---- faults ----

    def is_safe_without(self, replica):
        """Whether each chain has a member that can be reached, were this replica gone."""
        world = self.world
        for plan in self.plans:
            here = [address for address, incarnation in plan["members"] if address != replica
                    and address not in self.isolated and address in world.parties
                    and world.parties[address].incarnation == incarnation]  # fmt: skip
            if not here:
                return False
        return True

    def has_everything_without(self, replica):
        """Whether a member that lives has, of each chain, whatever was exposed."""
        world = self.world
        if sp.MASTER not in world.parties:
            return False
        for shard, plan in enumerate(world.master().chains()):
            states = {each: world.parties[each].shards().get(shard) for each in world.replicas if each in world.parties}
            applied = [state["applied"] for state in states.values() if state and state["has_state"]]
            kept = [states[address]["applied"] for address, incarnation in plan["members"]
                    if address != replica and address not in self.isolated and states.get(address)
                    and states[address]["has_state"] and world.parties[address].incarnation == incarnation
                    and states[address]["epoch"] == plan["epoch"]]  # fmt: skip
            if not kept or max(kept) < max(applied):
                return False
        return True

    @rule(number=pick)
    def crash_replica(self, number):
        replica = self.world.replicas[number % len(self.world.replicas)]
        self.look()
        if self.world.journals_first or self.is_safe_without(replica):
            self.world.crash(replica)

    @precondition(lambda self: self.world.journals_first)
    @rule(number=pick)
    def lose_disk(self, number):
        """A replica is gone for good. What comes back in its place knows nothing, and must not be taken for it."""
        replica = self.world.replicas[number % len(self.world.replicas)]
        self.look()
        if self.is_safe_without(replica) and self.has_everything_without(replica):
            self.world.crash(replica)
            self.world.lose_disk(replica)

    @rule(number=pick)
    def start_replica(self, number):
        replica = self.world.replicas[number % len(self.world.replicas)]
        if replica not in self.world.parties:
            self.world.start(replica)

    @rule()
    def crash_master(self):
        self.world.crash(sp.MASTER)

    @rule()
    def start_master(self):
        if sp.MASTER not in self.world.parties:
            self.world.start(sp.MASTER)

    @rule(number=pick, from_whom=st.sampled_from(["all", "master", "replicas", "clients"]))
    def isolate(self, number, from_whom):
        world = self.world
        replica = world.replicas[number % len(world.replicas)]
        self.look()
        if not self.is_safe_without(replica):
            return
        others = {"all": [sp.MASTER, *world.replicas, *world.nodes], "master": [sp.MASTER],
                  "replicas": world.replicas, "clients": world.nodes}[from_whom]  # fmt: skip
        self.isolated.add(replica)
        world.partition([replica], [each for each in others if each != replica])

    @rule()
    def reconnect(self):
        self.world.cut.clear()
        self.isolated.clear()

    # ---- in the end ----

    def teardown(self):
        if not hasattr(self, "world"):
            return
        world = self.world
        world.heal()
        for address in (sp.MASTER, *world.replicas):
            if address not in world.parties:
                world.start(address)
        world.settle()
        self.look()
        for client in self.clients.values():
            assert client.n_answered == [len(asked) for asked in client.asked], "a request was never answered"
        for key in self.written:
            self.ask(world.nodes[0], sp.OP_KV_GET, key)
        world.settle()
        self.look()
        assert sum(world.sizes(shard)["values"] for shard in range(N_SHARDS)) == self.n_keys
        for shard in range(N_SHARDS):
            assert world.sizes(shard)["letters"] == 0


TestChain = ChainMachine.TestCase
TestChain.settings = settings(max_examples=settings.default.max_examples * 3 // 10, stateful_step_count=30)
