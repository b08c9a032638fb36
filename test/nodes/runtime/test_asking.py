"""What of a service may be asked again while no answer comes, how often, and what an answer says."""

import pytest
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from std_srvs.srv import SetBool, Trigger

from il_ros.nodes.runtime.retry import refusal, waits_s


@pytest.mark.parametrize("state", [SetBool.Request(), SetParameters.Request()], ids=["bool", "parameters"])
def test_what_names_a_state_is_asked_again_until_the_time_is_over(state):
    assert list(waits_s(state, 5.0)) == [2.0, 2.0, 1.0]
    assert list(waits_s(state, 2.0)) == [2.0]
    assert list(waits_s(state, 0.5)) == [0.5]


def test_what_may_happen_only_once_is_asked_once_unless_its_caller_knows_better():
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
def test_a_no_is_told_in_the_services_own_words(response, reason):
    assert refusal(response) == reason
