"""Remote functions: what `@raylite.remote` makes of a function."""

from raylite.functions import pack_function
from raylite.options import TASK_OPTIONS, resolve_num_returns, to_resource_demand, validate_task_options
from raylite.signature import Signature

STREAMING = -1


class RemoteFunction:
    """A function that runs as a task when called by `.remote()`.

    Args: function: the function; options: validated task options, as given.
    """

    def __init__(self, function, options):
        self._function = function
        self._options = options
        self._set_up()
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        self.__doc__ = getattr(function, "__doc__", None)
        self.__module__ = getattr(function, "__module__", None)
        self.__wrapped__ = function

    def _set_up(self):
        self._signature = Signature(self._function)
        self._call = CallOptions(self._options, self._signature.is_generator)
        self._exported = None  # (client, reference) once workers can have it
        if self._signature.is_coroutine:
            raise ValueError("'async def' should not be used for remote tasks. You can wrap the async function with "
                             "`asyncio.get_event_loop.run_until(f())`, or make it a method of an actor.")

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
        return self._submit(args, kwargs, self._call)

    def options(self, **options):
        """The same function with other options; see `remote`. Raises ValueError or TypeError for a wrong one."""
        checked = validate_task_options(options, in_options=True, is_generator=self._signature.is_generator)
        return BoundOptions(self, CallOptions({**self._options, **checked}, self._signature.is_generator))

    def bind(self, *args, **kwargs):
        raise AttributeError("raylite has no lazy DAGs (bind); call .remote(), whose references make the graph")

    def _submit(self, args, kwargs, call):
        from raylite.api import client_or_init

        client = client_or_init()
        self._signature.check(args, kwargs)
        exported = self._exported
        if exported is None or exported[0] is not client:
            exported = self._export(client)
        try:
            refs = client.submit(
                exported[1], args, kwargs, call.n_returns, call.max_retries, call.retries, call.demand, call.name
            )
        except Exception as error:
            from raylite.pickling_errors import refuse_arguments

            refuse_arguments(self.__name__, args, kwargs, error)
            raise
        if call.n_returns == 1:
            return refs[0]
        if call.n_returns == STREAMING:
            from raylite.generator import ObjectRefGenerator

            return ObjectRefGenerator(refs[0], client)
        return refs or None

    def _export(self, client):
        packed = pack_function(self._function, self.__qualname__.rpartition("<locals>.")[2], self._call.retry_kinds)
        self._exported = (client, client.register_function(packed, self.__qualname__.rpartition("<locals>.")[2]))
        return self._exported

    def __reduce__(self):
        return blank, (), {"function": self._function, "options": self._options}

    def __setstate__(self, state):
        self.__init__(state["function"], state["options"])

    def __repr__(self):
        return f"<RemoteFunction {self.__qualname__}>"


def blank():
    """A RemoteFunction to be filled by __setstate__: so that a function may refer to itself."""
    return RemoteFunction.__new__(RemoteFunction)


class CallOptions:
    """Options in the form that submitting takes them."""

    __slots__ = ("demand", "max_retries", "n_returns", "name", "retries", "retry_kinds")

    def __init__(self, options, is_generator):
        num_returns = resolve_num_returns(options.get("num_returns"), is_generator)
        self.n_returns = STREAMING if num_returns in ("streaming", "dynamic") else num_returns
        retries = options.get("max_retries")
        self.max_retries = TASK_OPTIONS["max_retries"].default if retries is None else retries
        kinds = options.get("retry_exceptions") or False
        self.retries = bool(kinds)
        self.retry_kinds = tuple(kinds) if isinstance(kinds, (list, tuple)) else None
        self.name = (options.get("name") or "").encode()
        self.demand = pack_demand(to_resource_demand(options))


class BoundOptions:
    """A remote function with options of its own: what `.options()` returns."""

    def __init__(self, function, call):
        self._function = function
        self._call = call

    def remote(self, *args, **kwargs):
        """As RemoteFunction.remote."""
        return self._function._submit(args, kwargs, self._call)

    def bind(self, *args, **kwargs):
        return self._function.bind()


def pack_demand(amounts, environment=0):
    """Resource amounts (in 1/10000) as the bytes that a submission carries; see _core/resources.pxd."""
    out = [environment.to_bytes(8, "little"), len(amounts).to_bytes(8, "little")]
    for name, amount in sorted(amounts.items()):
        data = name.encode()
        out.append(amount.to_bytes(8, "little") + len(data).to_bytes(8, "little") + data + bytes(-len(data) % 8))
    return b"".join(out)
