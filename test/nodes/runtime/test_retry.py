"""Which service requests are repeated without a response, how often, and what a response means."""

import pytest
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from std_srvs.srv import SetBool, Trigger

from il_ros.nodes.runtime.retry import refusal, waits_s


@pytest.mark.parametrize("state", [SetBool.Request(), SetParameters.Request()], ids=["bool", "parameters"])
def test_an_idempotent_request_is_repeated_until_the_time_out(state):
    assert list(waits_s(state, 5.0)) == [2.0, 2.0, 1.0]
    assert list(waits_s(state, 2.0)) == [2.0]
    assert list(waits_s(state, 0.5)) == [0.5]


def test_another_request_is_made_once_unless_its_caller_allows_repeats():
    assert list(waits_s(Trigger.Request(), 5.0)) == [5.0]
    assert list(waits_s(Trigger.Request(), 5.0, again=True)) == [2.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Trigger.Response(success=True, message="v3"), None),
        (Trigger.Response(success=False, message="it trains already"), "it trains already"),
        (SetBool.Response(success=False), ""),
        (SetParameters.Response(results=[SetParametersResult(successful=True)]), None),
        (
            SetParameters.Response(
                results=[
                    SetParametersResult(successful=False, reason="seed is an integer"),
                    SetParametersResult(successful=True),
                    SetParametersResult(successful=False, reason="speed is not below 0"),
                ]
            ),
            "seed is an integer; speed is not below 0",
        ),
    ],
)
def test_a_refusal_is_the_services_own_message(response, reason):
    assert refusal(response) == reason
