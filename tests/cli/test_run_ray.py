"""Under `raylite run`, `import ray` is raylite: in the program, in its workers, in every Python that it starts."""

from __future__ import annotations

import re
import sys

from tests.cli.commands import ROOT, RUN, finished, ray_program, write

SAME = """
    import pickle
    import sys

    import ray
    import ray.util.debug
    import ray.exceptions as errors
    import raylite
    from ray import ObjectRef, remote
    from ray.exceptions import GetTimeoutError
    from ray.util import log_once
"""


def test_modules_and_what_is_in_them_are_the_same_objects(tmp_path):
    lines, errors = ray_program(
        tmp_path,
        SAME
        + """
    assert ray is raylite and errors is raylite.exceptions and ray.util.debug is raylite.util.debug
    for name in ("ray", "ray.util", "ray.util.debug", "ray.exceptions"):
        assert sys.modules[name] is sys.modules["raylite" + name[3:]], name
    assert raylite.util.__spec__.name == raylite.util.__name__ == "raylite.util"
    assert (ObjectRef, remote, log_once) == (raylite.ObjectRef, raylite.remote, raylite.util.log_once)
    assert pickle.loads(b"cray.exceptions\\nGetTimeoutError\\n.") is GetTimeoutError is raylite.exceptions.GetTimeoutError
    print("the same")
    """,
    )
    assert (lines, errors) == (["the same"], "")


def test_in_workers_and_below_them(tmp_path):
    lines, errors = ray_program(
        tmp_path,
        """
        import ray

        class Mine(Exception):
            pass

        class Point:
            def __init__(self, x):
                self.x = x

        def names():
            import ray as by_name, raylite
            from ray.util import log_once
            import ray.exceptions
            return by_name is raylite and ray.exceptions is raylite.exceptions

        @ray.remote
        def inner(point):
            assert isinstance(point, Point)
            return names(), Point(point.x + 1)

        @ray.remote
        def outer(point):
            assert names()
            return ray.get(inner.remote(point))

        @ray.remote
        def fails():
            raise Mine("no")

        ray.init(num_cpus=2)
        same, point = ray.get(outer.remote(Point(1)))
        print(same, isinstance(point, Point), point.x)
        try:
            ray.get(fails.remote())
        except Mine as error:
            print(isinstance(error, ray.exceptions.RayTaskError))
        """,
    )
    assert (lines, errors) == (["True True 2", "True"], "")


def test_in_programs_that_the_program_starts(tmp_path):
    write(tmp_path, {"other.py": "import ray, raylite, ray.util; print(ray is raylite, ray.util is raylite.util)"})
    lines, errors = ray_program(
        tmp_path,
        """
        import multiprocessing, subprocess, sys

        def spawned():
            import ray, raylite
            print(ray is raylite, flush=True)

        if __name__ == "__main__":
            subprocess.run([sys.executable, "other.py"], check=True)
            process = multiprocessing.get_context("spawn").Process(target=spawned)
            process.start()
            process.join()
        """,
    )
    assert (lines, errors) == (["True True", "True"], "")


def test_where_ray_itself_is_installed(tmp_path):
    write(
        tmp_path,
        {
            "installed/ray/__init__.py": "__version__ = '2.60.0'\n",
            "installed/ray/util/__init__.py": "",
            "program.py": "import ray; import ray.util; print(ray.__name__, ray.util.__name__)",
        },
    )
    path = f"{tmp_path / 'installed'}:{ROOT}"
    assert finished(tmp_path, sys.executable, "program.py", PYTHONPATH=path).stdout == "ray ray.util\n"
    lines, errors = ray_program(
        tmp_path, "import ray; import ray.util; print(ray.__name__, ray.util.__name__)", PYTHONPATH=path
    )
    assert (lines, errors) == (["raylite raylite.util"], "")


def test_where_raylite_was_found_in_the_working_folder_only(tmp_path):
    write(tmp_path, {"program.py": "import ray; print(ray.__name__, ray.get(ray.put(1)))"})
    done = finished(ROOT, *RUN, tmp_path / "program.py", PYTHONPATH="")
    assert (done.stdout, done.stderr) == ("raylite 1\n", "")


# ---- what is said at the end ----


def said(errors):
    """What of Ray's the program is said to have asked for in vain, each with the line and the reason."""
    first, *lines = errors.splitlines()
    assert first == "raylite run: this program asked for what is not there, or has no effect:"
    return [re.fullmatch(r"  (.*) \(.*?(\w+\.py):(\d+)\): (.*)", line).groups() for line in lines]


LIBRARY = "it is a library built on Ray, and needs Ray itself"


def test_what_is_not_there_is_refused_with_the_reason_where_it_is_used_and_said_at_the_end(tmp_path):
    lines, errors = ray_program(
        tmp_path,
        """\
        import ray
        def attempt(f):
            try:
                f()
            except Exception as error:
                print(type(error).__name__, error, sep=": ")
        def one(): import ray.data
        def two(): from ray import tune
        def three(): import ray.train.torch
        def four(): ray.serve
        def five(): ray.client("there")
        def six(): ray.whatever
        def seven(): from ray.util import collective
        for f in (one, two, three, four, five, six, seven, one): attempt(f)
        """,
    )
    client = "there is no Ray Client: a program runs its own runtime, raylite.init() starts it"
    assert lines == [
        f"ModuleNotFoundError: No module named 'ray.data': {LIBRARY}",
        f"ModuleNotFoundError: No module named 'ray.tune': {LIBRARY}",
        f"ModuleNotFoundError: No module named 'ray.train': {LIBRARY}",
        f"AttributeError: module 'raylite' has no attribute 'serve': {LIBRARY}",
        f"NotImplementedError: raylite.client: {client}.",
        "AttributeError: module 'raylite' has no attribute 'whatever'",
        f"ModuleNotFoundError: No module named 'ray.util.collective': {LIBRARY}",
        f"ModuleNotFoundError: No module named 'ray.data': {LIBRARY}",
    ]
    assert said(errors) == [
        ("ray.data", "program.py", "7", LIBRARY),
        ("ray.tune", "program.py", "8", LIBRARY),
        ("ray.train", "program.py", "9", LIBRARY),
        ("ray.serve", "program.py", "10", LIBRARY),
        ("ray.client()", "program.py", "11", client),
        ("ray.whatever", "program.py", "12", "raylite has no such name"),
        ("ray.util.collective", "program.py", "13", LIBRARY),
    ]


def test_an_import_that_fails_ends_the_program_with_the_reason_and_then_says_it(tmp_path):
    write(tmp_path, {"program.py": "from ray import tune"})
    done = finished(tmp_path, *RUN, "program.py")
    assert done.returncode == 1
    trace, _, end = done.stderr.partition("raylite run: ")
    assert trace.splitlines()[-1] == f"ModuleNotFoundError: No module named 'ray.tune': {LIBRARY}"
    assert said(f"raylite run: {end}") == [("ray.tune", "program.py", "1", LIBRARY)]


def test_options_without_effect_are_said(tmp_path):
    _, errors = ray_program(
        tmp_path,
        """\
        import ray
        ray.init(num_cpus=1, include_dashboard=True, dashboard_host=None)
        @ray.remote(max_calls=1, num_cpus=1, enable_task_events=True)
        def f(): pass
        """,
    )
    assert said(errors) == [
        ("argument include_dashboard of init", "program.py", "2", "no effect: there is no dashboard"),
        ("option max_calls=1", "program.py", "3", "no effect: not there yet"),
    ]


def test_what_workers_and_other_processes_asked_for_is_said_once_by_the_first(tmp_path):
    lines, errors = ray_program(
        tmp_path,
        """\
        import os, subprocess, sys
        import ray

        @ray.remote
        def ask(i):
            try:
                ray.data.range(1)
            except AttributeError:
                return ray.get(ask.remote(0)) if i else None

        ray.init(num_cpus=2)
        ray.get([ask.remote(i) for i in range(3)])
        code = "import ray\\ntry:\\n  import ray.tune\\nexcept ImportError:\\n  print('told', flush=True)"
        code += "\\ntry:\\n  ray.data\\nexcept AttributeError:\\n  pass"
        subprocess.run([sys.executable, "-c", code], check=True)
        ray.shutdown()  # and with it its threads: Python warns of forks beside threads
        if not (child := os.fork()):
            sys.exit()
        os.waitpid(child, 0)
        """,
    )
    assert lines == ["told"]
    assert [found[:3] for found in said(errors.replace("<string>", "string.py"))] == [
        ("ray.data", "program.py", "7"),
        ("ray.tune", "string.py", "3"),
    ]


def test_asking_whether_something_is_there_is_no_use_of_it(tmp_path):
    lines, errors = ray_program(
        tmp_path,
        """
        import importlib.util, pickle
        import ray, cloudpickle
        print(hasattr(ray, "data"), getattr(ray.util, "collective", None), importlib.util.find_spec("ray.tune"))
        print(importlib.util.find_spec("ray.util") is not None)
        from ray import lifecycle, util  # modules, which Python loads after it has asked for the name
        def named():
            def data(): pass
            data.__module__ = None
            return data
        cloudpickle.dumps(named())  # looks through every module for something of that name
        """,
    )
    assert (lines, errors) == (["False None None", "True"], "")


def test_a_file_of_the_program_s_is_no_place_for_notes(tmp_path):
    """A program may close what it has not opened (daemons do), and its own files get those numbers."""
    lines, errors = ray_program(
        tmp_path,
        """
        import os
        import ray
        os.closerange(3, 64)
        files = [open(f"file-{i}", "wb") for i in range(20)]
        try:
            ray.data
        except AttributeError:
            print(sum(os.path.getsize(file.name) for file in files))
        """,
    )
    assert (lines, errors) == (["0"], "")


def test_without_a_stderr_nothing_is_said(tmp_path):
    lines, errors = ray_program(
        tmp_path,
        """
        import sys
        import ray
        try:
            ray.data
        except AttributeError:
            print("told")
        sys.stderr = None
        """,
    )
    assert (lines, errors) == (["told"], "")
