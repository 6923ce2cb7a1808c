"""The errors of the state API."""

from __future__ import annotations


class RayStateApiException(Exception):
    """The node could not be asked, or did not answer in time."""


class ServerUnavailable(RayStateApiException):
    """Ray's dashboard cannot be reached: never raised, as there is none."""


class InvalidQuery(RayStateApiException, ValueError):
    """A question that makes no sense: an unknown column, comparison, state or id. Says what is valid."""
