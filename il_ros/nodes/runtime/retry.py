"""Service calls: which requests may be repeated when a response is lost, and what a response means.

The response to a client that the service's node has not discovered within 0.1 s is lost. Idempotent requests
(SetBool, SetParameters) are therefore repeated until a response arrives, and so are others that the caller
allows to be repeated. For a request that must happen only once, create its client before the client of an
idempotent service of the same node, and call that service first: clients are announced in order, so its
response shows that the node has discovered all clients created before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rcl_interfaces.srv import SetParameters
from std_srvs.srv import SetBool

AGAIN_S = 2.0


def waits_s(request: Any, timeout_s: float, *, again: bool = False) -> Iterator[float]:
    """Yield the time to wait for a response, once per attempt; the sum is `timeout_s`.

    There is one attempt, unless the request is idempotent or `again` allows to repeat it.
    """
    each_s = AGAIN_S if again or isinstance(request, SetBool.Request | SetParameters.Request) else timeout_s
    left_s = timeout_s
    while left_s > 0:
        yield min(each_s, left_s)
        left_s -= each_s


def refusal(response: Any) -> str | None:
    """Return the reason when a service refused, else None."""
    if getattr(response, "success", True) is False:
        return str(response.message)
    refused = [result.reason for result in getattr(response, "results", ()) if not result.successful]
    return "; ".join(refused) if refused else None
