"""Executable `recorder`: writes one rosbag2 folder per episode, messages unchanged.

Lifecycle: configure reads the contract, activate subscribes (the pre-roll begins), deactivate ends a running
episode. Services (Trigger): `~/start ~/stop ~/discard ~/mark_success ~/mark_failure`; discard and the marks
apply to the running episode, else to the last one. `~/status` (String, JSON, latched) reports the state.
With `judge_topic`, an episode of whose success a model is sure ends as one; ~/mark_failure then takes that back.
`il_ros.episodes.recording.record` does the recording.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import Trigger

from il_ros.core.contract import Contract
from il_ros.core.tables import shown
from il_ros.episodes.layout import StreamInfo
from il_ros.episodes.recording.disk import DiskLeft
from il_ros.episodes.recording.record import EpisodeRecorder, Event, RecordError
from il_ros.nodes.recorder import parameters as parameters
from il_ros.nodes.recorder.streams import RecorderStreams
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.contracts import load_contract
from il_ros.nodes.runtime.diagnostics import ERROR, OK, WARN, Status
from il_ros.nodes.runtime.parameters import value
from il_ros.nodes.runtime.publishers import OtherPublishers, publisher_names
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.records import rating
from il_ros.records.outcomes import OUTCOMES

POLL_S = 0.05  # how soon a full disk or the duration limit ends an episode
STATUS_S = 0.5  # how often the status is published while recording
IDLE_STATUS_S = 5.0  # how often it is published otherwise: the disk may fill by other programs
FAULT_SHOWN_S = 30.0  # how long the diagnostics show a fault

STATUS = "~/status"


class Recorder(managed.ManagedNode):
    """Records episodes of the contract's streams; see the module."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("recorder", **kwargs)
        parameters.declare_all(self)
        self._others = OtherPublishers(self, "only one node may record, or every take exists twice")
        self._contract: Contract | None = None
        self._recorder: EpisodeRecorder | None = None
        self._streams: RecorderStreams | None = None
        self._timer: Any = None
        self._ratings: Any = None
        self._fault: tuple[float, str] | None = None
        self._published_s = 0.0
        self._last: dict[str, Any] = {}
        self._warnings: list[str] = []
        self._status_publisher = self.create_publisher(String, STATUS, LATCHED)
        self.add_on_set_parameters_callback(self._on_parameters)
        for name, action in {
            "start": self._start,
            "stop": lambda recorder: recorder.stop(),
            "discard": lambda recorder: recorder.discard(),
            "mark_success": lambda recorder: recorder.mark("success"),
            "mark_failure": lambda recorder: recorder.mark("failure"),
        }.items():
            self._serve(name, action)

    def configure(self) -> None:
        """Read the contract and the parameters; raises Refusal when they are invalid."""
        self._contract = load_contract(value(self, "contract"))
        try:
            parameters.options(self, self._contract)
            parameters.wanted(self, self._contract)
        except ValueError as error:
            raise managed.Refusal(str(error)) from error
        for warning in (*self._contract.expiry_warnings, *self._contract.unit_warnings):
            self.get_logger().warning(shown(warning))

    def activate(self) -> None:
        """Subscribe, which fills the pre-roll and allows starts; raises Refusal beside another recorder."""
        other = self._others.before_publishing([STATUS], ours=1)
        if other:
            raise managed.Refusal(other)
        clock = self.get_clock()
        simulated = value(self, "use_sim_time")
        self._recorder = EpisodeRecorder(
            parameters.options(self, self._contract),
            self._contract,
            lambda: clock.now().nanoseconds,
            steady_ns=None if simulated else time.monotonic_ns,
        )
        self._recorder.watch.publishers = partial(publisher_names, self)
        self._recorder.two_clocks = self.simulated_time.twice
        try:
            wanted = parameters.wanted(self, self._contract)
            self._streams = RecorderStreams(self, self._recorder, wanted)
        except ValueError as error:
            raise managed.Refusal(str(error)) from error
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(POLL_S, self._poll, clock=steady)
        if topic := value(self, "judge_topic"):
            self._ratings = self.create_subscription(String, topic, self._on_rating, 10)
        self._publish_status()

    def deactivate(self) -> None:
        """End a running episode, wait until it is saved, and unsubscribe."""
        if self._streams is not None:
            self._streams.close()
        if self._timer is not None:
            self.destroy_timer(self._timer)
        if self._ratings is not None:
            self.destroy_subscription(self._ratings)
        if self._recorder is not None:
            try:
                self._recorder.close()
            finally:
                self._poll()
        self._streams = self._timer = self._recorder = self._ratings = None
        self._publish_status()

    def cleanup(self) -> None:
        """Deactivate and drop the contract."""
        self.deactivate()
        self._contract = None

    def status(self) -> Status:
        """Return the running episode, and rate, losses and age of each stream in the last second."""
        recorder = self._recorder
        if recorder is None:
            return Status(WARN, f"{self.state}: not receiving")
        silent, wrong = recorder.watch.silent(), recorder.watch.wrong_clocks()
        writer = recorder.writer
        values: dict[str, Any] = {
            "root": recorder.options.root,
            "episodes saved": recorder.saved,
            "being saved": ", ".join(recorder.saving),
            "waiting for the disk (bytes)": writer.backlog_bytes if writer else 0,
        }
        values |= _disk_values(recorder.disk.left)
        values |= {info.topic: _words(info) for info in recorder.live()}
        if self._fault and time.monotonic() - self._fault[0] < FAULT_SHOWN_S:
            return Status(ERROR, self._fault[1], values)
        problems = [*([f"silent: {'; '.join(silent)}"] if silent else []), *wrong, *recorder.watch.problems()]
        without = recorder.watch.silent(optional=True)
        if without and not problems:
            state = f"recording {writer.info.name}" if writer else "ready"
            return Status(WARN, f"{state}, without optional streams: {'; '.join(without)}", values)
        problems += list(self._streams.refused.values()) if self._streams is not None else []
        full = recorder.disk.warning(recorder.options.disk_warning_s)
        if full and not problems:
            return Status(WARN, full, values)
        if problems:
            return Status(ERROR if writer or wrong else WARN, "; ".join(problems), values)
        return Status(OK, f"recording {writer.info.name}" if writer else "ready", values)

    def _start(self, recorder: EpisodeRecorder) -> str:
        if value(self, "use_sim_time") and self.get_clock().now().nanoseconds == 0:
            raise RecordError("not started, use_sim_time is set and there is no /clock yet")
        twice = self.simulated_time.twice()
        if twice:
            raise RecordError(f"not started, {twice}")
        name = recorder.start(parameters.label(self))
        self.set_parameters([Parameter("outcome", value="unmarked")])
        return name

    def _serve(self, name: str, action: Callable[[EpisodeRecorder], str]) -> None:
        """Offer `~/name`; the answer's message is the episode's name, or why not."""

        def answer(_request: Any, response: Any) -> Any:
            try:
                if self._recorder is None:
                    raise RecordError(f"the recorder is {self.state}; activate it first")
                response.success, response.message = True, action(self._recorder)
            except RecordError as error:
                self.get_logger().warning(shown(f"{name}: {error}"))
                response.success, response.message = False, str(error)
            self._poll()
            self._publish_status()
            return response

        self.create_service(Trigger, f"~/{name}", answer)

    def _on_parameters(self, changed: list[Parameter]) -> SetParametersResult:
        """Mark the running episode with `outcome`; other parameters are read when needed."""
        for parameter in changed:
            running = self._recorder is not None and self._recorder.writer is not None
            if parameter.name == "outcome" and parameter.value in OUTCOMES and running:
                self._recorder.mark(parameter.value)
                self._publish_status()
        return SetParametersResult(successful=True)

    def _on_rating(self, message: String) -> None:
        """End the running episode if a model is sure that it is a success."""
        said = rating.from_json(message.data)
        if self._recorder is not None and self._recorder.end_as_judged(said):
            self._poll()
            self._publish_status()

    def _poll(self) -> None:
        if self._recorder is None:
            return
        now_s, writer = time.monotonic(), self._recorder.writer
        self._recorder.disk.look(now_s, None if writer is None else writer.written)
        events = self._recorder.poll()
        for event in events:
            self._report(event)
        wait_s = STATUS_S if self._recorder.writer is not None else IDLE_STATUS_S
        if events or now_s - self._published_s > wait_s:
            self._publish_status()

    def _report(self, event: Event) -> None:
        sentence = f"{event.episode}: {event.text}"
        if event.kind == "fault":
            self.get_logger().error(shown(sentence))
            self._fault = (time.monotonic(), sentence)
        elif event.kind == "warning":
            self.get_logger().warning(shown(sentence))
            self._warnings.append(sentence)
        else:
            self.get_logger().info(shown(sentence))
        if event.kind == "started":
            self._warnings = []
        last = self._recorder.last
        if last is not None and last.done.is_set() and last.info.name == event.episode:
            info = last.info
            self._last = {
                "episode": info.name,
                "outcome": info.outcome,
                "outcome_by": info.outcome_by,
                "complete": info.complete,
                "grade": info.grade.level if info.grade else None,
                "reasons": list(info.grade.reasons) if info.grade else [],
                "duration_s": info.duration_s,
            }

    def _publish_status(self) -> None:
        """Publish `~/status`."""
        self._published_s = time.monotonic()
        recorder = self._recorder
        writer = recorder.writer if recorder else None
        last = recorder.last if recorder else None
        if self._last and last and last.info.name == self._last["episode"]:
            self._last |= {
                "outcome": last.info.outcome,
                "outcome_by": last.info.outcome_by,
                "discarded": last.discarded,
            }
        status = {
            "state": "recording" if writer else "idle" if recorder else self.state,
            "episode": writer.info.name if writer else None,
            "duration_s": recorder.duration_s() if recorder else 0.0,
            "bytes": writer.written_bytes if writer else 0,
            "outcome": writer.info.outcome if writer else None,
            "saving": recorder.saving if recorder else [],
            "count": recorder.saved if recorder else 0,
            "last": self._last or None,
            "warnings": self._warnings,
            "disk": _disk(recorder.disk.left) if recorder else None,
        }
        self._status_publisher.publish(String(data=json.dumps(status)))


def _disk(left: DiskLeft) -> dict[str, Any]:
    """Return what is left of the disk, for the status."""
    return {"free_bytes": left.free_bytes, "bytes_per_s": left.bytes_per_s, "hours": left.hours}


def _disk_values(left: DiskLeft) -> dict[str, Any]:
    """Return what is left of the disk, for the diagnostics; what is unknown is left out."""
    values = {
        "disk left (bytes)": left.free_bytes,
        "disk rate (bytes/s)": None if left.bytes_per_s is None else round(left.bytes_per_s),
        "disk left [h]": left.hours,
    }
    return {name: value for name, value in values.items() if value is not None}


def _words(info: StreamInfo) -> str:
    """Describe the last second of a stream."""
    if not info.messages:
        return "silent"
    rate = "" if info.rate_hz is None else f"{info.rate_hz:.1f} Hz, "
    ages = (("p50", info.age_p50_s), ("p99", info.age_p99_s))
    age = "".join(f", age {name} {1000 * age_s:.1f} ms" for name, age_s in ages if age_s is not None)
    ahead = f", {info.ahead} stamped more than 1 s ahead" if info.ahead else ""
    return f"{rate}{info.lost} lost{age}{ahead}"


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return managed.main(Recorder, args)


if __name__ == "__main__":
    sys.exit(main())
