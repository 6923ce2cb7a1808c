"""Programs that ask for the state of what they did, which must be the same on every host (see programs)."""

from __future__ import annotations

from raylite.util import state

PROGRAMS = []


def program(function):
    PROGRAMS.append(function)
    return function


def short(name):
    return name.rpartition("<locals>.")[2]


@program
def lists_and_counts(raylite):
    @raylite.remote
    def half(x):
        return x / 2

    @raylite.remote
    def fails():
        raise ValueError("no")

    @raylite.remote
    class Counter:
        def add(self):
            return 1

    counter = Counter.options(name="counter").remote()
    group = raylite.util.placement_group([{"CPU": 1}], name="group")
    refs = [half.options(name=f"half {i}", num_cpus=0.5).remote(i) for i in range(3)]
    raylite.get([*refs, counter.add.remote(), group.ready()])
    raylite.wait([fails.remote()])
    kept = raylite.put(bytes(1000))
    tasks = state.list_tasks(detail=True)
    job, node = state.list_jobs(detail=True)[0], state.list_nodes(detail=True)[0]
    return (
        sorted((row.name, short(row.func_or_class_name), row.type, row.state, str(row.error_type), str(row.required_resources),
          (row.error_message or "").count("ValueError: no"), [event["state"] for event in row.events])
         for row in tasks if "half" in row.name or "fails" in row.name or row.actor_id),
        all(row.creation_time_ms <= row.start_time_ms <= row.end_time_ms for row in tasks),
        [(row.name, short(row.class_name), row.state, row.ray_namespace) for row in state.list_actors()],
        [(row.object_size, row.task_status, row.reference_type, row.type) for row in state.get_objects(kept)],
        [row.worker_type for row in state.list_workers(filters=[("is_alive", "=", "true")], limit=1)],
        [(row.name, row.state) for row in state.list_placement_groups()],
        (job.job_id, job.status, node.state, node.resources_total["CPU"], node.end_time_ms),
        {short(name): group["state_counts"] for name, group in state.summarize_tasks()["cluster"]["summary"].items()},
        state.summarize_actors()["cluster"]["total_actors"],
        state.summarize_objects()["cluster"]["total_objects"] > 4,
    )  # fmt: skip


@program
def draws_the_lineage(raylite):
    @raylite.remote
    def make(i):
        return i

    @raylite.remote
    def parent(x):
        return raylite.get(make.options(name="child").remote(x))

    @raylite.remote
    class Sum:
        def add(self, x):
            return x

    total = Sum.remote()
    first = make.options(name="first").remote(1)
    calls = [total.add.options(name=f"call {i}").remote(first) for i in range(3)]
    last = parent.options(name="last").remote(calls[2])
    raylite.get([last, *calls])

    def shape(graph):
        names = {id: short(node.name) for id, node in graph.nodes.items()}
        made = {id: f"{names.get(id[:32], '?')}: {names[id]}" if len(id) > 32 else names[id] for id in graph.nodes}
        return (
            sorted((made[id], node.kind, node.state, node.attempt) for id, node in graph.nodes.items()),
            sorted((edge.kind, made[edge.source], made[edge.target]) for edge in graph.edges),
        )

    graphs = [state.task_graph(), state.task_graph(task=calls[1]), state.task_graph(actor=total)]
    return [shape(graph) for graph in graphs], [graph.to_dot().count("->") for graph in graphs]


@program
def asks_from_within_a_task(raylite):
    @raylite.remote
    def look():
        own = state.get_task(raylite.get_runtime_context().get_task_id())
        return own.name, own.state, len(state.task_graph(task=own.task_id).edges), state.list_jobs()[0].job_id

    return raylite.get(look.options(name="looks").remote())
