from typing import Any

class Kernel:
    active_ns: Any
    def calling_thread(self, *args: Any, **kwargs: Any) -> Any: ...
    def check_thread(self, *args: Any, **kwargs: Any) -> Any: ...
    def close(self, *args: Any, **kwargs: Any) -> Any: ...
    elapsed_s: Any
    explain: Any
    failure: Any
    faults: Any
    in_task: Any
    interrupted: Any
    make_script: Any
    n_handled: Any
    now_ns: Any
    outside: Any
    def pass_time(self, *args: Any, **kwargs: Any) -> Any: ...
    patience_ns: Any
    recorder: Any
    def seconds(self, *args: Any, **kwargs: Any) -> Any: ...
    seed: Any
    def set_alarm(self, *args: Any, **kwargs: Any) -> Any: ...
    def settle(self, *args: Any, **kwargs: Any) -> Any: ...
    def sleep(self, *args: Any, **kwargs: Any) -> Any: ...
    start_ns: Any
    thread: Any
    def unwind(self, *args: Any, **kwargs: Any) -> Any: ...
    virtual_time: Any
    def work(self, *args: Any, **kwargs: Any) -> Any: ...

class Process:
    busy: Any
    client: Any
    doomed: Any
    def end(self, *args: Any, **kwargs: Any) -> Any: ...
    def end_code(self, *args: Any, **kwargs: Any) -> Any: ...
    ended: Any
    environment: Any
    gpus: Any
    is_driver: Any
    kernel: Any
    def let_go(self, *args: Any, **kwargs: Any) -> Any: ...
    lost: Any
    main: Any
    node: Any
    number: Any
    on_message: Any
    pid: Any
    def spend(self, *args: Any, **kwargs: Any) -> Any: ...
    def spend_on_item(self, *args: Any, **kwargs: Any) -> Any: ...
    def start_thread(self, *args: Any, **kwargs: Any) -> Any: ...
    started: Any
    worker: Any

class Thread:
    frame: Any
    def go_on(self, *args: Any, **kwargs: Any) -> Any: ...
    kernel: Any
    n_costs: Any
    n_waits: Any
    process: Any
    task: Any

class Script:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
