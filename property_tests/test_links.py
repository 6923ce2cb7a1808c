"""Two to four parties over a network that does what it likes, and that restart or are declared dead at any time.

Whatever happens: what an incarnation hears from another is a gapless run, in each lane, of what that sent, once and in
order; a message reaches one incarnation of its target at most; what was given back was meant for an incarnation that
has ended, which alone may have got it. Once the network is whole again, all that a living party said was delivered or
given back, in bounded time.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from raylite._core.links.party import Recorder
from tests.core.packets import DATA, PARTY_NODE, Packet, party

MOST_PARTIES = 4
LATENCY_NS = 1_000_000
SETTLED_IN_NS = 10_000_000_000
pick = st.integers(0, 1 << 16)
party_number = st.integers(0, MOST_PARTIES - 1)


class Links(RuleBasedStateMachine):
    @initialize(n_parties=st.integers(2, MOST_PARTIES))
    def start(self, n_parties):
        self.now_ns = 1
        self.network = []  # packets that are on their way
        self.cut = set()  # pairs of addresses of which nothing arrives
        self.addresses = [party(PARTY_NODE, n) for n in range(n_parties)]
        self.parties = {address: Recorder(address, 1) for address in self.addresses}
        self.said = defaultdict(list)  # by (source, incarnation), target and lane: bodies in order
        self.heard = defaultdict(list)  # by the same and the target's incarnation
        self.given_back = {}  # body to the target's incarnation
        self.gone = set()  # (who, incarnation, of whom, incarnation)
        self.latest = {}  # by listener and speaker: the incarnation last heard

    def address(self, number):
        return self.addresses[number % len(self.addresses)]

    # ---- what parties and the network do

    @rule(speaker=party_number, listener=party_number, count=st.integers(1, 5), bulk=st.booleans())
    def say(self, speaker, listener, count, bulk):
        speaker, target = self.parties[self.address(speaker)], self.address(listener)
        for _ in range(count):
            said = self.said[speaker.address, speaker.incarnation, target, bulk]
            body = repr((speaker.address, speaker.incarnation, target, bulk, len(said))).encode()
            if not speaker.fenced:
                said.append(body)
            speaker.say(self.now_ns, target, DATA, body, bulk=bulk)
        self.listen(speaker)

    @rule(picks=st.lists(pick, min_size=1, max_size=8), repeat=st.booleans())
    def arrive(self, picks, repeat):
        for each in picks:
            if self.network:
                at = each % len(self.network)
                self.carry(self.network[at] if repeat else self.network.pop(at))

    @rule(picks=st.lists(pick, min_size=1, max_size=4))
    def lose(self, picks):
        for each in picks:
            if self.network:
                self.network.pop(each % len(self.network))

    @rule(ns=st.sampled_from([1, LATENCY_NS, 10 * LATENCY_NS, 150 * LATENCY_NS, 2000 * LATENCY_NS]))
    def wait(self, ns):
        self.now_ns += ns
        for each in self.parties.values():
            if 0 < each.deadline() <= self.now_ns:
                each.pass_time(self.now_ns)
                self.listen(each)

    @rule(number=party_number)
    def restart(self, number):
        old = self.parties[self.address(number)]
        self.parties[old.address] = Recorder(old.address, old.incarnation + 1)

    @rule(listener=party_number, dead=party_number, announce=st.booleans())
    def declare_dead(self, listener, dead, announce):
        """A listener hears that a party has died, though it may live, or of its latest start."""
        listener, subject = self.parties[self.address(listener)], self.parties[self.address(dead)]
        if announce:
            listener.hear_of(self.now_ns, subject.address, subject.incarnation)
        else:
            listener.hear_death(self.now_ns, subject.address, subject.incarnation)
        self.listen(listener)

    @rule(speaker=party_number, listener=party_number)
    def cut_or_heal(self, speaker, listener):
        self.cut ^= {(self.address(speaker), self.address(listener))}

    # ---- what follows

    def carry(self, data):
        packet = Packet.unpack(data)
        if (packet.source[0], packet.target[0]) not in self.cut:
            listener = self.parties[packet.target[0]]
            listener.take_in(self.now_ns, data)
            self.listen(listener)

    def listen(self, listener):
        self.network += listener.take_packets()
        for what, *more in listener.take_told():
            getattr(self, f"on_{what}")(listener, *more)

    def on_delivered(self, listener, source, kind, body):
        speaker, incarnation, target, bulk, _ = eval(body)
        assert kind == DATA and speaker == source and target == listener.address
        assert self.latest.get((listener.address, listener.incarnation, speaker), 0) <= incarnation
        assert (listener.address, listener.incarnation, speaker, incarnation) not in self.gone
        self.latest[listener.address, listener.incarnation, speaker] = incarnation
        heard = self.heard[speaker, incarnation, target, bulk, listener.incarnation]
        heard.append(body)
        said = self.said[speaker, incarnation, target, bulk]
        first = said.index(heard[0])
        assert heard == said[first : first + len(heard)]

    def on_returned(self, speaker, target, incarnation, kind, body):
        assert body in self.said[speaker.address, speaker.incarnation, target, eval(body)[3]]
        assert body not in self.given_back and kind == DATA
        self.given_back[body] = incarnation

    def on_gone(self, listener, source, incarnation):
        end = (listener.address, listener.incarnation, source, incarnation)
        assert end not in self.gone
        self.gone.add(end)

    def on_fenced(self, party):
        assert party.fenced and not party.take_packets()

    @invariant()
    def tables_agree(self):
        for each in self.parties.values() if hasattr(self, "parties") else ():
            each.check_invariants()

    @invariant()
    def a_message_reaches_one_incarnation(self):
        if hasattr(self, "parties"):
            times = Counter(body for heard in self.heard.values() for body in heard)
            assert not times or max(times.values()) == 1
            for key, heard in self.heard.items():
                assert all(self.given_back.get(body, key[-1]) == key[-1] for body in heard)

    def teardown(self):
        if not hasattr(self, "parties"):
            return
        self.cut.clear()
        self.settle()
        heard = {body for bodies in self.heard.values() for body in bodies}
        for (source, incarnation, *_), bodies in self.said.items():
            if self.parties[source].incarnation == incarnation:
                assert [body for body in bodies if body not in heard and body not in self.given_back] == []
        self.tables_agree()
        self.a_message_reaches_one_incarnation()

    def settle(self):
        """The network is whole: until nobody has anything to do. Who was fenced starts anew."""
        until_ns = self.now_ns + SETTLED_IN_NS
        while self.network or any(each.deadline() or each.fenced for each in self.parties.values()):
            self.now_ns += LATENCY_NS
            assert self.now_ns < until_ns
            arriving, self.network = self.network, []
            for data in arriving:
                self.carry(data)
            self.wait(0)
            for address, each in self.parties.items():
                if each.fenced:
                    self.parties[address] = Recorder(address, each.incarnation + 1)


TestLinks = Links.TestCase
