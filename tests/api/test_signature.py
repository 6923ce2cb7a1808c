"""Arguments are accepted exactly where Python accepts them, and refused in its own words."""

import functools
import math
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylite.signature import Signature


def plain(a, b=2): ...


def nothing(): ...


def variadic(a, *rest): ...


def keywords(a, **rest): ...


def keyword_only(a, *, b, c=3): ...


def optional_keyword_only(a, *, c=3): ...


def positional_only(a, b=2, /, c=3, **rest): ...


def everything(a, b, /, c, d=4, *rest, e, f=6, **more): ...


FUNCTIONS = [
    plain,
    nothing,
    variadic,
    keywords,
    keyword_only,
    optional_keyword_only,
    positional_only,
    everything,
    lambda x, y=1: None,
]


class Thing:
    def __init__(self, size, *, colour="red"): ...

    def method(self, a, b=2): ...

    @classmethod
    def of_class(cls, a): ...

    @staticmethod
    def static(a): ...

    def __call__(self, a): ...


def said_by(call, *args, **kwargs):
    """What a call raises as a TypeError, or None."""
    try:
        call(*args, **kwargs)
    except TypeError as error:
        return str(error)
    return None


def check(function, *args, **kwargs):
    return said_by(Signature(function).check, args, kwargs)


@given(
    function=st.sampled_from(FUNCTIONS),
    n_args=st.integers(0, 8),
    names=st.sets(st.sampled_from(["a", "b", "c", "d", "e", "f", "x", "y", "rest", "more", "other"]), max_size=6),
)
def test_the_answer_and_the_words_are_pythons(function, n_args, names):
    args, kwargs = (0,) * n_args, dict.fromkeys(names)
    assert check(function, *args, **kwargs) == said_by(function, *args, **kwargs)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("n_args", range(8))
def test_arguments_by_position_alone(function, n_args):
    assert check(function, *(0,) * n_args) == said_by(function, *(0,) * n_args)


@pytest.mark.parametrize("args", [(), (1,), (1, 2), (1, 2, 3)])
@pytest.mark.parametrize("keywords", [{}, {"a": 1}, {"self": 1}, {"b": 1}])
@pytest.mark.parametrize(
    "callable_",
    [Thing(1).method, Thing.of_class, Thing.static, Thing(1), Thing.method],
    ids=["bound", "of_class", "static", "instance", "unbound"],
)
def test_methods_and_callable_objects(callable_, args, keywords):
    assert check(callable_, *args, **keywords) == said_by(callable_, *args, **keywords)


def test_function_that_will_be_a_method():
    signature = Signature(Thing.method, bound=True)
    assert (signature.n_required, signature.n_max) == (1, 2)
    assert said_by(signature.check, (1, 2, 3), {}) == said_by(Thing(1).method, 1, 2, 3)
    assert said_by(signature.check, (), {"b": 1}) == said_by(Thing(1).method, b=1)


class NoInit: ...


class Inherits(Thing): ...


class OnlyNew:
    def __new__(cls, a):
        return super().__new__(cls)


class NoSelf:
    def __init__(): ...


class Meta(type):
    def __call__(cls, *args): ...


class OfMeta(metaclass=Meta): ...


@pytest.mark.parametrize("args", [(), (1,), (1, 2)])
@pytest.mark.parametrize("keywords", [{}, {"colour": 1}, {"size": 1}])
@pytest.mark.parametrize("of", [Thing, NoInit, Inherits, OnlyNew, NoSelf, OfMeta])
def test_classes(of, args, keywords):
    assert said_by(Signature.of_class(of).check, args, keywords) == said_by(of, *args, **keywords)


def test_class_made_in_c_takes_anything():
    assert Signature.of_class(dict).accepts_any
    assert said_by(Signature.of_class(dict).check, (1, 2, 3), {"z": 4}) is None


@pytest.mark.parametrize(
    "function",
    [len, math.sqrt, functools.partial(plain, 1), print, int, object()],
    ids=["len", "sqrt", "partial", "print", "int", "object"],
)
def test_callables_whose_parameters_are_not_known_take_anything(function):
    signature = Signature(function)
    assert signature.accepts_any
    assert check(function) is None and check(function, 1, 2, 3, z=4) is None


def test_wrapper_is_asked_and_not_what_it_wraps():
    @functools.wraps(plain)
    def gives_the_first(b):
        return plain(1, b)

    assert check(gives_the_first, 2) is None
    assert check(gives_the_first, 1, 2) == "plain() takes 1 positional argument but 2 were given"


@pytest.mark.parametrize(
    "function, n_required, n_max, has_kwonly_required",
    [
        (nothing, 0, 0, False),
        (plain, 1, 2, False),
        (variadic, 1, sys.maxsize, False),
        (keyword_only, 1, 1, True),
        (optional_keyword_only, 1, 1, False),
        (everything, 3, sys.maxsize, True),
        (Thing(1).method, 1, 2, False),
        (len, 0, sys.maxsize, False),
    ],
)
def test_what_a_caller_in_c_reads(function, n_required, n_max, has_kwonly_required):
    signature = Signature(function)
    assert (signature.n_required, signature.n_max) == (n_required, n_max)
    assert signature.has_kwonly_required == has_kwonly_required


def test_no_keywords_may_be_none():
    Signature(plain).check((1,), None)
    assert said_by(Signature(plain).check, (), None) == said_by(plain)


def test_kinds_of_functions():
    def generator():
        yield

    async def coroutine(): ...

    async def async_generator():
        yield

    kinds = [(Signature(each).is_generator, Signature(each).is_coroutine) for each in (plain, generator, coroutine)]
    assert kinds == [(False, False), (True, False), (False, True)]
    assert Signature(async_generator).is_generator and not Signature(async_generator).is_coroutine
    assert Signature(functools.partial(generator)).is_generator


def test_the_message_names_the_function_and_ends_there():
    with pytest.raises(TypeError) as caught:
        Signature(plain).check((), {})
    assert str(caught.value) == "plain() missing 1 required positional argument: 'a'"
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_the_function_itself_is_never_called():
    called = []

    def f(a, *, b=2):
        called.append(a)

    assert check(f, 1, 2, 3) is not None and check(f, 1, b=3) is None and check(f, 1) is None
    assert called == []


def test_mangled_names():
    scope = {}
    exec(textwrap.dedent("class A:\n    def f(self, __x, *, __y=1): pass\n"), scope)
    f = scope["A"]().f
    assert check(f, _A__x=1, _A__y=2) is None and check(f) == said_by(f)
