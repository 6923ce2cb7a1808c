"""Which rows are wanted: filters, checked at the call and applied as Ray applies them."""

from __future__ import annotations

from raylite.util.state.exception import InvalidQuery

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from raylite.util.state.common import StateSchema

    Filter = tuple[str, str, Any]

PREDICATES = ("=", "!=")


def checked_filters(filters: Any, rows: type[StateSchema]) -> list[Filter]:
    """Filters as (column, "=" or "!=", value). Raises TypeError or InvalidQuery naming what is valid."""
    if filters is None:
        return []
    if not isinstance(filters, (list, tuple)):
        raise TypeError(f'filters is a list of tuples as in [("state", "=", "RUNNING")], not {filters!r}')
    return [checked_filter(each, rows) for each in filters]


def checked_filter(each: Any, rows: type[StateSchema]) -> Filter:
    if not isinstance(each, (list, tuple)) or len(each) != 3:
        raise InvalidQuery(f'a filter has three parts, as in ("state", "=", "RUNNING"), not {each!r}')
    column, predicate, value = each
    if predicate not in PREDICATES:
        raise InvalidQuery(f"filters compare by '=' or '!=', not {predicate!r}, as in {each!r}")
    valid = rows.filterable_columns()
    if not isinstance(column, str) or column.lower() not in valid:
        raise InvalidQuery(f"{column!r} is no column that a {rows.__name__} is picked by: {', '.join(sorted(valid))}")
    if value is not None and not isinstance(value, (str, bool, int, float)):
        raise TypeError(f"the value of a filter is a string, number, True, False or None, not {value!r}")
    return column.lower(), predicate, value


def passes(row: StateSchema, filters: list[Filter]) -> bool:
    """Whether a row passes all of them."""
    return all(equal(row[column], value) == (predicate == "=") for column, predicate, value in filters)


def equal(found: Any, wanted: Any) -> bool:
    """Text is compared without regard to case, and may stand for a number or a truth value."""
    if isinstance(wanted, str) and found is not None:
        if isinstance(found, bool):
            return wanted.lower() in (("true", "1") if found else ("false", "0"))
        return str(found).lower() == wanted.lower()
    return (type(found) in (int, float, bool) and type(wanted) in (int, float, bool) and found == wanted) or (
        found is None and wanted is None
    )


def wanted_numbers(filters: list[Filter], column: str, numbers_of: Callable[[str], set[int]]) -> set[int] | None:
    """Which of the node's numbers can pass the filters by equality of a column; None for any."""
    wanted: set[int] | None = None
    for name, predicate, value in filters:
        if name == column and predicate == "=":
            numbers = numbers_of(str(value).upper())
            wanted = numbers if wanted is None else wanted & numbers
    return wanted
