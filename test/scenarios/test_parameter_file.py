"""The user's parameter file: which values reach which node, and what is refused before a node starts."""

import pytest

from il_ros.scenarios import SCENARIOS, parameter_file
from il_ros.scenarios.graph import command, warnings_of
from il_ros.scenarios.parameter_file import ParameterFileError, Started, applies, values_for


def nodes(tmp_path, text, scenario="record", pushed="", **given):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    specs = SCENARIOS[scenario].nodes({"params_file": str(path), **given}, pushed)
    return {spec.name: spec for spec in specs}, warnings_of(specs)


def test_a_given_argument_overrides_the_file_and_the_file_overrides_a_default(tmp_path):
    text = "recorder: {ros__parameters: {operator: ada, root: mine, sync_s: 2}}"
    specs, _ = nodes(tmp_path, text)
    assert (specs["recorder"].parameters["operator"], specs["recorder"].parameters["root"]) == ("ada", "mine")
    assert specs["recorder"].parameters["sync_s"] == 2
    specs, _ = nodes(tmp_path, text, operator="", root="episodes")  # given, with the defaults' values
    assert (specs["recorder"].parameters["operator"], specs["recorder"].parameters["root"]) == (
        "",
        "episodes",
    )


def test_an_argument_of_another_name_is_given_too(tmp_path):
    text = "/**: {ros__parameters: {dagger.beta: 'step:3', gated: {per_hour: 7}, promotion.root: a, checkpoint: c}}"
    specs, _ = nodes(tmp_path, text, "dagger")
    supervisor, policy, trainer = (
        specs[name].parameters for name in ("dagger_supervisor", "policy_server", "trainer")
    )
    assert (supervisor["dagger.beta"], supervisor["gated.per_hour"]) == ("step:3", 7)
    assert (policy["promotion.root"], policy["checkpoint"], trainer["checkpoint"]) == ("a", "c", "c")
    given = {"beta": "step:1", "per_hour": "9", "root": "r", "policies": "p"}
    specs, _ = nodes(tmp_path, text, "dagger", **given)
    supervisor, policy, trainer = (
        specs[name].parameters for name in ("dagger_supervisor", "policy_server", "trainer")
    )
    assert (supervisor["dagger.beta"], supervisor["gated.per_hour"]) == ("step:1", 9)
    assert (policy["promotion.root"], policy["checkpoint"], trainer["checkpoint"]) == ("r", "c", "p")


def test_what_the_scenario_needs_stays_with_a_warning(tmp_path):
    specs, warned = nodes(tmp_path, "sim:\n  ros__parameters:\n    lockstep: true\n    speed: 2.0\n")
    assert (specs["sim"].parameters["lockstep"], specs["sim"].parameters["speed"]) == (False, 2.0)
    assert warned == (f"{tmp_path}/mine.yaml:3: node /sim: lockstep stays False, as the scenario needs",)


def test_without_a_simulator_the_file_sets_simulated_time(tmp_path):
    text = "/**: {ros__parameters: {use_sim_time: true}}"
    given = {"sim": "false", "expert": "none"}
    assert nodes(tmp_path, text, **given)[0]["recorder"].parameters["use_sim_time"] is True
    given["use_sim_time"] = "false"
    assert nodes(tmp_path, text, **given)[0]["recorder"].parameters["use_sim_time"] is False
    assert nodes(tmp_path, text)[0]["sim"].parameters["use_sim_time"] is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "recorder:\n  ros__parameters:\n    opertor: ada",
            "mine.yaml:3: node /recorder: there is no parameter opertor; is operator meant?",
        ),
        (
            "/**:\n  ros__parameters:\n    opertor: ada",
            "mine.yaml:3: section /**: there is no parameter opertor; is operator meant?",
        ),
        (
            "/**:\n  ros__parameters:\n    gated:\n      per_hours: 3",
            "mine.yaml:4: section /**: there is no parameter gated.per_hours; is gated.per_hour meant?",
        ),
        (
            "/**:\n  ros__parameters:\n    operator: 12",
            "mine.yaml:3: node /recorder: operator is 12; it must be a text",
        ),
        (
            "recorder:\n  ros__parameters:\n    chunk_bytes: 1.5",
            "mine.yaml:3: node /recorder: chunk_bytes is 1.5; it must be a whole number",
        ),
        (
            "recorder:\n  ros__parameters:\n    extra_topics: map",
            "mine.yaml:3: node /recorder: extra_topics is 'map'; it must be a list, of which each is a text",
        ),
        (
            "recorder:\n  ros__parameters:\n    checksums: 1",
            "mine.yaml:3: node /recorder: checksums is 1; it must be true or false",
        ),
        (
            "recoder:\n  ros__parameters:\n    operator: ada",
            "mine.yaml:3: section recoder: there is no node recoder; is recorder meant?",
        ),
        (
            "recorder:\n  operator: ada",
            "mine.yaml:2: recorder.operator: parameters stand under ros__parameters",
        ),
        ("recorder: 3", "mine.yaml:1: recorder: must be a mapping"),
        ("recorder:\n  ros__parameters:\n    operator:", "mine.yaml:3: has no value"),
        ("- a", "mine.yaml: must be a mapping"),
        ("recorder: {ros__parameters: {task: a}}\nrecorder: {ros__parameters: {task: b}}", "given twice"),
        ("a: [1", "mine.yaml"),
    ],
)
def test_a_wrong_file_is_an_error_with_line_and_node(tmp_path, text, message):
    with pytest.raises(ParameterFileError) as error:
        nodes(tmp_path, text)
    assert message in str(error.value)


def test_other_names_are_warned_of_once_and_other_nodes_are_let_be(tmp_path):
    text = """
/**:
  ros__parameters:
    wheel_base: 0.3        # of no node of ours
    warm_s: 10.0           # of the trainer, which `record` does not start
recorder:
  ros__parameters:
    my_note: hello
    qos_overrides./tf.subscription.depth: 5
controller_server:
  ros__parameters:
    operator: 12
trainer:
  ros__parameters:
    watch: true
"""
    _, warned = nodes(tmp_path, text)
    assert warned == (
        f"{tmp_path}/mine.yaml:4: section /**: no node of il_ros has a parameter wheel_base",
        f"{tmp_path}/mine.yaml:8: node /recorder: no node of il_ros has a parameter my_note",
    )


def test_a_section_applies_in_the_namespace_it_names(tmp_path):
    in_left = {"namespace": "left"}
    for section in ("/left/recorder", "/**/recorder", "/*/recorder", "left: {recorder", "/**"):
        text = f"{section}: {{ros__parameters: {{operator: ada}}}}" + ("}" if "{" in section else "")
        assert nodes(tmp_path, text, **in_left)[0]["recorder"].parameters["operator"] == "ada"
    pushed = nodes(tmp_path, "/a/left/recorder: {ros__parameters: {operator: ada}}", pushed="/a", **in_left)
    assert pushed[0]["recorder"].parameters["operator"] == "ada"
    with pytest.raises(
        ParameterFileError, match="section recorder is not for node /left/recorder: write /left/rec"
    ):
        nodes(tmp_path, "recorder: {ros__parameters: {operator: ada}}", **in_left)


def test_the_last_section_that_applies_counts(tmp_path):
    text = "recorder: {ros__parameters: {operator: ada}}\n/**: {ros__parameters: {operator: bob}}"
    assert nodes(tmp_path, text)[0]["recorder"].parameters["operator"] == "bob"


@pytest.mark.parametrize(
    ("section", "name", "does"),
    [
        ("/**", "/a/b/c", True),
        ("/**/c", "/a/b/c", True),
        ("/**/c", "/c", True),
        ("/*/c", "/c", False),
        ("/*/c", "/a/c", True),
        ("/a/**", "/a/b/c", True),
        ("c", "/c", True),
        ("c", "/a/c", False),
        ("/a.c", "/abc", False),
        ("/**" * 300 + "/c", "/a/b/c", True),
        ("/**" * 300 + "/x", "/a/b/c", False),  # matching it once took minutes
    ],
)
def test_wildcards_in_sections(section, name, does):
    assert applies(section, name) is does


def test_unquoted_words_are_read_as_ros_reads_them(tmp_path):
    path = tmp_path / "values.yaml"
    words = [
        "1e-3",
        "2026-01-01",
        "12:30",
        "yes",
        "n",
        "0x10",
        "010",
        "1_000",
        "-.5",
        "'12'",
        "~",
        "[1.0, 2e0]",
    ]
    path.write_text(
        "n: {ros__parameters: {" + ", ".join(f"p{i}: {word}" for i, word in enumerate(words)) + "}}"
    )
    read = [entry.value for entry in values_for(parameter_file.read(path), "/n").values()]
    wanted = [0.001, "2026-01-01", "12:30", True, False, 16, 8, "1_000", -0.5, "12", "~", [1.0, 2.0]]
    assert read == wanted
    assert [type(value) for value in read] == [type(value) for value in wanted]


def test_parameters_of_a_named_source_are_known():
    where = "f.yaml:1"
    sources = parameter_file.ParameterEntry("/**", "sources", ["policy", "vr"], where)
    own = parameter_file.ParameterEntry("/**", "vr.timeout_s", 0.5, where)
    supervisor = Started("dagger_supervisor", "/dagger_supervisor")
    assert parameter_file.check([sources, own], [supervisor]) == ()
    wrong = parameter_file.ParameterEntry("/**", "vr.timeout_s", "long", where)
    with pytest.raises(ParameterFileError, match=r"vr\.timeout_s is 'long'; it must be a number"):
        parameter_file.check([sources, wrong], [supervisor])


def test_the_former_argument_says_the_new_one():
    with pytest.raises(ValueError, match="parameters:= is called params_file:= now"):
        SCENARIOS["record"].nodes({"parameters": "mine.yaml"})


def test_autostart_and_log_level_reach_the_nodes():
    specs = SCENARIOS["deploy"].nodes({"autostart": "false", "log_level": "debug", "session": "false"})
    given = {spec.name: spec.parameters.get("autostart") for spec in specs}
    assert given == {"sim": None, "policy_server": False, "dagger_supervisor": False, "recorder": False}
    words = command(specs[0])
    assert words[words.index("--log-level") + 1] == "debug"


def test_with_use_respawn_all_but_the_supervisor_the_simulator_and_the_run_itself_come_back():
    specs = SCENARIOS["dagger"].nodes({"use_respawn": "true", "episodes": "3"})
    back = {spec.name for spec in specs if spec.respawn}
    assert back == {"policy_server", "expert", "recorder", "trainer"}
    assert not any(spec.respawn for spec in SCENARIOS["dagger"].nodes({}))
