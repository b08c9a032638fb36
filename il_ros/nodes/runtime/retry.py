"""Asking a service: what may be asked again when its answer is lost, and what an answer says.

The answer to a client that the service's node has not discovered within 0.1 s is lost. Therefore a request
that names a state (SetBool, SetParameters) is made again while no answer comes, and so is any other that the
caller lets be repeated. Of what may happen only once make the client before that of a state, of the same
node, and ask for the state first: its answer shows that the node knows all clients made before; they are
announced in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rcl_interfaces.srv import SetParameters
from std_srvs.srv import SetBool

AGAIN_S = 2.0


def waits_s(request: Any, timeout_s: float, *, again: bool = False) -> Iterator[float]:
    """Yield, for each time that a request is made, how long its answer is waited for; `timeout_s` in all.

    A request is made once, unless it names a state or may be made `again`.
    """
    each_s = AGAIN_S if again or isinstance(request, SetBool.Request | SetParameters.Request) else timeout_s
    left_s = timeout_s
    while left_s > 0:
        yield min(each_s, left_s)
        left_s -= each_s


def refusal(response: Any) -> str | None:
    """Return why a service said no, in its own words; None when it did not."""
    if getattr(response, "success", True) is False:
        return str(response.message)
    refused = [result.reason for result in getattr(response, "results", ()) if not result.successful]
    return "; ".join(refused) if refused else None
