"""config/foxglove: a layout of Foxglove and Lichtblick, whose topics and message paths exist on a real graph."""

import json
import re

import pytest

from il_ros.core import contract, messages, share
from il_ros.core.messages import fields
from il_ros.nodes.recorder.node import Recorder
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.records.scalars import SCALARS, TOPICS

LAYOUT = json.loads(share.path("config", "foxglove", "il_ros.json").read_text())
TITLES = {"foxglovePanelTitle", "lichtblickPanelTitle"}
KEYS = {
    "Indicator": {"path", "style", "fallbackColor", "fallbackLabel", "rules"},
    "StateTransitions": {"isSynced", "paths"},
    "Plot": {
        *(
            "paths",
            "showLegend",
            "legendDisplay",
            "showPlotValuesInLegend",
            "showXAxisLabels",
            "showYAxisLabels",
        ),
        *("isSynced", "xAxisVal", "followingViewWidth", "sidebarDimension", "minYValue"),
    },
    "Image": {"imageMode"},
    "DiagnosticSummary": {"topicToRender", "minLevel", "pinnedIds", "hardwareIdFilter", "sortByLevel"},
    "RawMessages": {"topicPath", "diffEnabled", "diffMethod", "diffTopicPath", "showFullMessageForDiff"},
    "RosOut": {"searchTerms", "minLogLevel"},
}
"""The settings of each kind of panel, from the types in Lichtblick's sources (packages/suite-base/src/panels)."""
WORDS = {
    "style": {"bulb", "background"},
    "operator": {"=", "<", "<=", ">", ">="},
    "legendDisplay": {"floating", "top", "left", "none"},
    "xAxisVal": {"timestamp", "index", "custom", "currentCustom"},
    "timestampMethod": {"receiveTime", "headerStamp"},
    "diffMethod": {"custom", "previous message"},
}
TYPES = {
    **dict.fromkeys(("isSynced", "enabled", "showLine", "showLegend", "showPlotValuesInLegend"), bool),
    **dict.fromkeys(("showXAxisLabels", "showYAxisLabels", "sortByLevel", "diffEnabled"), bool),
    **dict.fromkeys(("showFullMessageForDiff",), bool),
    **dict.fromkeys(("lineSize", "followingViewWidth", "sidebarDimension", "minYValue"), (int, float)),
    **dict.fromkeys(("minLevel", "minLogLevel"), int),
    **dict.fromkeys(("path", "value", "label", "color", "fallbackColor", "fallbackLabel", "rawValue"), str),
    **dict.fromkeys(("topicToRender", "hardwareIdFilter", "topicPath", "diffTopicPath", "imageTopic"), str),
    **dict.fromkeys(("paths", "rules", "pinnedIds", "searchTerms"), list),
    **dict.fromkeys(("imageMode",), dict),
}
"""Their values, at Lichtblick's commit 66adecb9 of 2026-08-07."""
PLOTTED = re.compile(r"(/[A-Za-z0-9_/]+)\.(.+)")


def kind_of(panel):
    return panel.partition("!")[0]


def panels_of(tree):
    """The panels in a tree of splits, each of which has a direction, two parts and a share."""
    if isinstance(tree, str):
        return [tree]
    assert set(tree) == {"direction", "first", "second", "splitPercentage"}
    assert tree["direction"] in ("row", "column")
    assert 0 < tree["splitPercentage"] < 100
    return panels_of(tree["first"]) + panels_of(tree["second"])


def paths_of(panel, settings):
    """The message paths of a panel that shows numbers."""
    if kind_of(panel) == "Indicator":
        return [settings["path"]]
    return [each["value"] for each in settings.get("paths", ())]


def topics_of(settings):
    """The topics of a panel that shows whole messages."""
    found = [
        settings.get("topicPath"),
        settings.get("topicToRender"),
        settings.get("imageMode", {}).get("imageTopic"),
    ]
    return [topic for topic in found if topic]


def test_it_is_a_layout_with_every_panel_once():
    assert set(LAYOUT) == {"configById", "globalVariables", "userNodes", "playbackConfig", "layout"}
    assert sorted(panels_of(LAYOUT["layout"])) == sorted(LAYOUT["configById"])


@pytest.mark.parametrize("panel", LAYOUT["configById"])
def test_a_panel_has_settings_of_its_kind_only(panel):
    assert set(LAYOUT["configById"][panel]) - TITLES == KEYS[kind_of(panel)] & set(
        LAYOUT["configById"][panel]
    )


def values_of(settings):
    """Every setting of a panel with its value, also those inside others."""
    for key, value in settings.items():
        yield key, value
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                yield from values_of(inner)


@pytest.mark.parametrize("panel", LAYOUT["configById"])
def test_each_setting_has_a_value_that_its_panel_takes(panel):
    for key, value in values_of(LAYOUT["configById"][panel]):
        if key in WORDS:
            assert value in WORDS[key], key
        elif key not in TITLES:
            assert isinstance(value, TYPES[key]), key


def test_every_topic_and_message_path_exists(graph, tmp_path):
    name = "arm_push_images"
    own = contract.find(name)
    graph.start(DaggerSupervisor, contract=name, discovery_s=0.0)
    graph.start(Recorder, contract=name, root=str(tmp_path), discovery_s=0.0)
    published = {f"/{topic}": kind for topic, kind in own.topics.items()}  # the robot's

    def known():
        return {topic: kinds[0] for topic, kinds in graph.outside.get_topic_names_and_types()} | published

    graph.until(lambda: {"/recorder/status", "/diagnostics"} <= set(known()), "the nodes' topics")
    types = known()
    for panel, settings in LAYOUT["configById"].items():
        for topic in topics_of(settings):
            assert topic in published or graph.outside.count_publishers(topic), panel
        for path in paths_of(panel, settings):
            topic, field = PLOTTED.fullmatch(path).groups()
            assert topic in published or graph.outside.count_publishers(topic), f"{panel}: {path}"
            assert len(fields.select(types[topic], [field])) == 1, f"{panel}: {path}"
    joints = len(own.observation("joints").names)
    measured = [
        path for path in paths_of("Plot", LAYOUT["configById"]["Plot!joints"]) if ".position[" in path
    ]
    assert len(measured) == joints - 1  # all but the gripper, which has another unit


def test_every_plottable_number_is_shown():
    shown = {path for panel, settings in LAYOUT["configById"].items() for path in paths_of(panel, settings)}
    assert {f"/{TOPICS}/{scalar.name}.data" for scalar in SCALARS} <= shown
    assert all(messages.make(scalar.type).data == 0 for scalar in SCALARS)
