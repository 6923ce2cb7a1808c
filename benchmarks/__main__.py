"""The command line: choose rows and libraries, measure, show."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence

from benchmarks import bars, machine, processes, report
from benchmarks.adapters import LIBRARIES, OURS, can_do, is_installed
from benchmarks.limits import LIMITS
from benchmarks.measure import RowResult, contestants_of, run_workload
from benchmarks.plan import Plan, iterations_per_millisecond, quick_plan
from benchmarks.rows import REGISTRY, select

_TOOLS = ("numpy", "cloudpickle")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        selected = select(arguments.only)
        libraries = choose_libraries(arguments.peers)
        cpus = _cpus(arguments.cpus)
    except ValueError as error:
        print(f"python -m benchmarks: {error}", file=sys.stderr)
        return 2
    processes.adopt_orphans()
    os.sched_setaffinity(0, cpus)  # inherited by everything that is measured
    plan = _plan(arguments, cpus)
    facts = machine.describe(cpus, [*(d for name in libraries for d in LIBRARIES[name].distributions), *_TOOLS])
    _print_heading(facts, plan)

    results: list[RowResult] = []
    interrupted = False
    try:
        for workload, rows in selected:
            able = [name for name in libraries if can_do(name, workload)]
            results += run_workload(workload, rows, contestants_of(workload, able, LIMITS), plan, _progress())
    except KeyboardInterrupt:
        interrupted = True
    _progress()("")

    verdicts = bars.judge({result.row.name: result for result in results})
    _print_results(results, verdicts, libraries, plan)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(report.as_json(results, verdicts, plan, facts), file, indent=1, allow_nan=False)
    if arguments.plot and results:
        _plot(results, libraries, arguments.plot, facts)
    if interrupted:
        return 130
    return 1 if arguments.check and not all_hold(results, verdicts) else 0


def _parser() -> argparse.ArgumentParser:
    rows = ", ".join(row.name for row in REGISTRY.rows())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="raylite measured beside other libraries and the machine's own limits, all in turns in one run.",
        epilog=f"rows: {rows}",
    )
    parser.add_argument("--only", type=_names, metavar="ROW[,ROW]", help="measure these rows; see the list below")
    parser.add_argument(
        "--peers", type=_names, metavar="NAME[,NAME]", help=f"of {','.join(LIBRARIES)}; those installed by default"
    )
    parser.add_argument("--runs", type=int, metavar="N", help=f"samples of each figure, {Plan.runs} by default")
    parser.add_argument("--quick", action="store_true", help="short samples, few of them: no figures to quote")
    parser.add_argument("--cpus", type=_names, metavar="CPU,CPU", help="run on these; the first two allowed by default")
    parser.add_argument("--json", metavar="FILE", help="write all samples and what they come to")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the rows (needs matplotlib)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bar is missed or raylite fails on a row")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def choose_libraries(wanted: list[str] | None) -> list[str]:
    """The libraries to measure; asked for by name, one that is missing is an error."""
    if wanted is None:
        return [name for name in LIBRARIES if is_installed(name)]
    if unknown := [name for name in wanted if name not in LIBRARIES]:
        raise ValueError(f"no library named {', '.join(unknown)}; there are: {', '.join(LIBRARIES)}")
    if missing := [name for name in wanted if not is_installed(name)]:
        raise ValueError(f"not installed: {', '.join(missing)} (pip install 'raylite[bench]')")
    return [name for name in LIBRARIES if name in wanted]


def _cpus(wanted: list[str] | None) -> tuple[int, ...]:
    allowed = sorted(os.sched_getaffinity(0))
    if wanted is None:
        return tuple(allowed[: Plan.workers])
    if not wanted or not all(cpu.isdigit() and int(cpu) in allowed for cpu in wanted):
        raise ValueError(f"--cpus takes some of {', '.join(map(str, allowed))}")
    return tuple(dict.fromkeys(map(int, wanted)))


def _plan(arguments: argparse.Namespace, cpus: tuple[int, ...]) -> Plan:
    settings = {"cpus": cpus, "work_iterations": iterations_per_millisecond()}
    if arguments.runs is not None:
        settings["runs"] = max(1, arguments.runs)
    return quick_plan(**settings) if arguments.quick else Plan(**settings)


def _progress() -> Callable[[str], None]:
    """Shows what is going on, on one line of a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        return lambda _what: None
    return lambda what: print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


def _print_heading(facts: dict, plan: Plan) -> None:
    print(
        f"{facts['cpu_model']}, Linux {facts['kernel']}{', virtual machine' if facts['virtual'] else ''}; "
        f"CPUs {','.join(map(str, plan.cpus))} of {facts['cores']}, {plan.workers} workers\n"
        f"{_versions(facts)}\n"
        f"medians of {plan.runs} interleaved rounds, ± half of the full range; x: times better than\n",
        flush=True,
    )


def _print_results(results: list[RowResult], verdicts: list[bars.Verdict], libraries: list[str], plan: Plan) -> None:
    parts = [report.table(results, libraries), report.limits_table(results)]
    if OURS in libraries:
        parts.append(report.verdicts_table(verdicts))
    parts.append("\n".join(f"note: {line}" for line in report.notes(results, plan)))
    print("\n\n".join(filter(None, parts)), flush=True)


def _plot(results: list[RowResult], libraries: list[str], path: str, facts: dict) -> None:
    try:
        from benchmarks.plot import draw

        draw(results, libraries, path, f"{facts['cpu_model']}, {_versions(facts)}")
    except ModuleNotFoundError as error:
        print(f"no picture: {error} (pip install 'raylite[bench]')", file=sys.stderr)


def _versions(facts: dict) -> str:
    return ", ".join(f"{name} {version}" for name, version in {"Python": facts["python"], **facts["versions"]}.items())


def all_hold(results: list[RowResult], verdicts: list[bars.Verdict]) -> bool:
    """What `--check` asks: no bar is missed, and raylite failed on no row."""
    missed = any(verdict.state == bars.MISS for verdict in verdicts)
    failed = any(result.figures[OURS].error for result in results if OURS in result.figures)
    return not missed and not failed


if __name__ == "__main__":
    sys.exit(main())
