"""Remote functions: what `@raylite.remote` makes of a function."""

from raylite.demand import Demand
from raylite.functions import pack_function
from raylite.options import (
    TASK_OPTIONS,
    UNITS_PER_ONE,
    resolve_num_returns,
    to_resource_demand,
    validate_task_options,
)
from raylite.signature import Signature

STREAMING = -1


class RemoteFunction:
    """A function that runs as a task when called by `.remote()`.

    Args: function: the function; options: validated task options, as given; signature: of the function.
    Raises ValueError for an `async def`.
    """

    def __init__(self, function, options, signature):
        if signature.is_coroutine:
            raise ValueError(
                "An 'async def' cannot be a task: nothing would run it. Make it a plain function that calls "
                "asyncio.run, or a method of an actor."
            )
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        self.__module__ = getattr(function, "__module__", None)
        self.__doc__ = getattr(function, "__doc__", None)
        self._function = self.__wrapped__ = function
        self._options = options
        self._signature = signature
        self._call = CallOptions(options, signature.is_generator, self.__name__)
        self._exports = {}  # what to retry on -> (client, reference), once workers can have it

    def __call__(self, *args, **kwargs):
        raise TypeError(
            f"Remote functions cannot be called directly. Instead of running '{self.__name__}()', "
            f"try '{self.__name__}.remote()'."
        )

    def remote(self, *args, **kwargs):
        """Run the function as a task, with these arguments; references among them become their values.

        Returns a reference to the result; a list of them if num_returns is more than one; None if it is 0; an
        ObjectRefGenerator for a generator. Raises TypeError if the function does not take these arguments.
        """
        if self._signature is None:
            self._look_again()
        return self._submit(args, kwargs, self._call)

    def options(self, **options):
        """The same function with other options; see `remote`. Raises ValueError or TypeError for a wrong one."""
        if self._signature is None:
            self._look_again()
        is_generator = self._signature.is_generator
        checked = validate_task_options(options, in_options=True, is_generator=is_generator)
        return BoundOptions(self, CallOptions({**self._options, **checked}, is_generator, self.__name__))

    def bind(self, *args, **kwargs):
        raise AttributeError("raylite has no lazy DAGs (bind); call .remote(), whose references make the graph")

    def _submit(self, args, kwargs, call):
        from raylite.api import client_or_init

        self._signature.check(args, kwargs)
        client = client_or_init()
        export = self._exports.get(call.retry_on)
        if export is None or export[0] is not client:
            export = self._export(client, call.retry_on)
        demand = call.demand.bytes_for(client)
        try:
            refs = client.submit(
                export[1],
                args,
                kwargs,
                call.n_returns,
                call.max_retries,
                call.retries,
                demand,
                call.name,
                call.backpressure,
                call.retry_delay_ms,
                call.retry_jitter,
            )
        except Exception as error:
            from raylite.exceptions import RayError
            from raylite.pickling_errors import refuse_arguments

            if isinstance(error, RayError):
                raise
            refuse_arguments(self.__name__, args, kwargs, error)
            raise
        if call.n_returns == 1:
            return refs[0]
        if call.n_returns == STREAMING:
            from raylite.generator import ObjectRefGenerator

            return ObjectRefGenerator(refs[0], client)
        return refs or None

    def _export(self, client, retry_on):
        name = self.__qualname__.rpartition("<locals>.")[2]
        export = client, client.register_function(pack_function(self._function, name, retry_on), name)
        self._exports[retry_on] = export
        return export

    def __reduce__(self):
        names = self.__name__, self.__qualname__, self.__module__, self.__doc__
        return blank, (), (self._function, self._options, names)

    def __setstate__(self, state):
        self._function, self._options, names = state
        self.__name__, self.__qualname__, self.__module__, self.__doc__ = names
        self.__wrapped__ = self._function
        self._signature = self._call = None
        self._exports = {}

    def _look_again(self):
        """After unpickling, not while: a function that refers to itself has no defaults yet then."""
        signature = Signature(self._function)
        self._call = CallOptions(self._options, signature.is_generator, self.__name__)
        self._signature = signature

    def __repr__(self):
        return f"<RemoteFunction {self.__qualname__}>"


def blank():
    """A RemoteFunction to be filled by __setstate__: so that a function may refer to itself."""
    return RemoteFunction.__new__(RemoteFunction)


class CallOptions:
    """Options in the form that submitting takes them."""

    __slots__ = (
        "backpressure",
        "demand",
        "max_retries",
        "n_returns",
        "name",
        "retries",
        "retry_delay_ms",
        "retry_jitter",
        "retry_on",
    )

    def __init__(self, options, is_generator, what):
        num_returns = resolve_num_returns(options.get("num_returns"), is_generator)
        self.n_returns = STREAMING if num_returns in ("streaming", "dynamic") else num_returns
        retries = options.get("max_retries")
        self.max_retries = TASK_OPTIONS["max_retries"].default if retries is None else retries
        retry_on = options.get("retry_exceptions")
        self.retries = bool(retry_on)
        self.retry_on = retry_on if retry_on and isinstance(retry_on, tuple) else None
        self.retry_delay_ms = round((options.get("retry_delay_s") or 0) * 1000)
        self.retry_jitter = round((options.get("retry_jitter") or 0) * UNITS_PER_ONE)
        self.name = (options.get("name") or "").encode()
        self.backpressure = max(options.get("_generator_backpressure_num_objects") or 0, 0)
        self.demand = Demand(options, to_resource_demand(options), what)


class BoundOptions:
    """A remote function with options of its own: what `.options()` returns."""

    def __init__(self, function, call):
        self._function = function
        self._call = call

    def remote(self, *args, **kwargs):
        """As RemoteFunction.remote."""
        if self._function._signature is None:
            self._function._look_again()
        return self._function._submit(args, kwargs, self._call)

    def bind(self, *args, **kwargs):
        return self._function.bind()
