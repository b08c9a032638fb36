"""remote.yaml: every wrong value is named with its line; observations and actions are translated as it says."""

import cv2
import numpy as np
import policy_servers
import pytest

from il_ros.core import contract
from il_ros.policies.checkpoint import CheckpointError
from il_ros.policies.lineage import find_policy
from il_ros.policies.loading import load_policy
from il_ros.policies.protocol import PolicyError
from il_ros.policies.remote import mapping, translation
from il_ros.policies.remote.mapping import MappingError

TEXT = """
name: arm
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b, gripper], max_age_s: 1}
  force: {topic: wrench, type: geometry_msgs/msg/WrenchStamped, fields: [force], max_age_s: 1}
  camera: {topic: camera, type: sensor_msgs/msg/Image, image: {width: 8, height: 4}, max_age_s: 1}
  depth: {topic: depth, type: sensor_msgs/msg/Image, image: {width: 4, height: 2, encoding: depth}, max_age_s: 1}
  order: {topic: order, type: std_msgs/msg/String, max_age_s: 1}
actions:
  arm: {topic: arm, type: std_msgs/msg/Float64MultiArray, names: [a, b], reference: joints,
        limits: {lower: -3, upper: 3, speed: 1}}
  base: {topic: base, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {speed: 1}}
"""
SEEN = {
    "joints": np.array([0.1, 0.2, 0.04]),
    "force": np.array([1.0, 2.0, 3.0]),
    "camera": np.arange(4 * 8 * 3, dtype=np.uint8).reshape(4, 8, 3),
    "depth": np.full((2, 4, 1), 1.5, np.float32),
    "order": np.array("lift"),
}


@pytest.fixture
def write(tmp_path):
    (tmp_path / "contract.yaml").write_text(TEXT)

    def write(*lines, **options):
        policy_servers.mapping(tmp_path, 8000, *lines, **options)
        return tmp_path

    return write


def spec_of(folder):
    return mapping.read(folder)


def test_without_more_keys_every_observation_goes_under_its_key_as_it_is(write):
    spec = spec_of(write("horizon: 2"))
    made = translation.request(spec, [SEEN])
    assert set(made) == set(SEEN)
    for key in ("joints", "force", "camera", "depth"):
        assert made[key].dtype == SEEN[key].dtype
        np.testing.assert_array_equal(made[key], SEEN[key])
    assert made["order"] == "lift"
    answer = {"actions": [[1.0, 2.0, 0.5], [1.5, 2.5, 0.0]]}
    np.testing.assert_array_equal(translation.commands(spec, answer, SEEN), answer["actions"])


def test_numbers_are_joined_chosen_and_scaled(write):
    spec = spec_of(
        write(
            "horizon: 1",
            "observations:",
            "  observation/state:",
            "    {from: [joints, force], columns: [2, 0, 5], scale: [-12.5, 1, 2], offset: [1, 0, 0.5]}",
            "  prompt: {text: fold it}",
            "  order: {from: [order]}",
        )
    )
    made = translation.request(spec, [SEEN])
    assert made["prompt"] == "fold it"
    assert made["order"] == "lift"
    # 1 - 12.5 * 0.04, 0.1, 0.5 + 2 * 3
    np.testing.assert_allclose(made["observation/state"], [0.5, 0.1, 6.5])


def test_a_path_leads_into_nested_mappings(write):
    spec = spec_of(
        write(
            "horizon: 1",
            "observations:",
            "  high: {from: [camera], path: [images, cam_high], layout: chw}",
            "  low: {from: [camera], path: [images, cam_low], encoding: bgr8}",
        )
    )
    made = translation.request(spec, [SEEN])
    np.testing.assert_array_equal(made["images"]["cam_high"], SEEN["camera"].transpose(2, 0, 1))
    np.testing.assert_array_equal(made["images"]["cam_low"], SEEN["camera"][..., ::-1])


def picture(write, options, key="camera"):
    spec = spec_of(write("horizon: 1", "observations:", f"  image: {{from: [{key}], {options}}}"))
    return translation.request(spec, [SEEN])["image"]


def test_pad_keeps_the_aspect_ratio_and_adds_black(write):
    found = picture(write, "width: 4, height: 4, fit: pad")
    assert found.shape == (4, 4, 3)
    assert (found[[0, 3]] == 0).all()  # 8x4 becomes 4x2, in the middle
    np.testing.assert_array_equal(
        found[1:3], cv2.resize(SEEN["camera"], (4, 2), interpolation=cv2.INTER_AREA)
    )


def test_crop_and_stretch_fill_the_picture(write):
    middle = picture(write, "width: 4, height: 4, fit: crop")
    np.testing.assert_array_equal(middle, SEEN["camera"][:, 2:6])
    assert picture(write, "width: 4, height: 4").shape == (4, 4, 3)


def test_encodings_of_a_picture(write):
    floats = picture(write, "encoding: float")
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats * 255, SEEN["camera"], atol=1e-4)
    png = cv2.imdecode(np.frombuffer(picture(write, "encoding: png"), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(png[..., ::-1], SEEN["camera"])
    assert picture(write, "encoding: jpeg")[:2] == b"\xff\xd8"
    depth = picture(write, "width: 2, height: 2, fit: pad", "depth")
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth[..., 0], [[1.5, 1.5], [0.0, 0.0]])  # 4x2 becomes 2x1


def test_with_a_history_every_value_has_the_ticks_that_exist(write):
    spec = spec_of(write("horizon: 1", "history: 3"))
    second = SEEN | {"joints": SEEN["joints"] + 1, "order": np.array("drop")}
    made = translation.request(spec, [SEEN, second])
    np.testing.assert_array_equal(made["joints"], [SEEN["joints"], second["joints"]])
    assert made["camera"].shape == (2, 4, 8, 3)
    assert made["order"] == ["lift", "drop"]
    assert len(translation.request(spec, [SEEN] * 5)["joints"]) == 3


def test_columns_scale_offset_and_delta_give_absolute_commands(write):
    spec = spec_of(
        write(
            "horizon: 2",
            "actions: {key: a, size: 5, columns: [4, 0, 1], scale: [0.5, 1, 2], offset: [0, 0, 1], delta: [arm]}",
        )
    )
    answer = {"a": np.array([[1, 2, 9, 9, 4], [0, 0, 9, 9, 0]], np.float32)}
    found = translation.commands(spec, answer, SEEN)
    # a: 0.1 + 0.5 * 4, b: 0.2 + 1, linear.x: 1 + 2 * 2
    np.testing.assert_allclose(found, [[2.1, 1.2, 5.0], [0.1, 0.2, 1.0]])


def test_one_step_may_come_without_its_axis(write):
    spec = spec_of(write("horizon: 1"))
    assert translation.commands(spec, {"actions": [1, 2, 3]}, SEEN).tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"action": [[0] * 3] * 2}, "the answer has no 'actions'; it has: action"),
        ({"actions": [[0] * 3] * 3}, r"'actions' of the answer is \(3, 3\); \(2, 3\) is required"),
        ({"actions": [[0] * 2] * 2}, r"is \(2, 2\); \(2, 3\) is required"),
        ({"actions": np.zeros((1, 2, 3))}, r"is \(1, 2, 3\)"),
        ({"actions": []}, r"is \(0,\)"),
        ({"actions": "up"}, "is 'up'; an array of numbers is needed"),
        ({"actions": [[0, 0, 0], [0, float("nan"), 0]]}, "arm/b is nan at step 1 of the answer"),
        ({"actions": [[0, 0, float("inf")], [0, 0, 0]]}, "base/linear.x is inf at step 0"),
    ],
)
def test_a_wrong_answer_is_named(write, answer, words):
    spec = spec_of(write("horizon: 2"))
    with pytest.raises(PolicyError, match=words):
        translation.commands(spec, answer, SEEN)


@pytest.mark.parametrize("value", [-0.1, float("nan"), [1, 2], "x"])
def test_a_wrong_uncertainty_is_refused(write, value):
    spec = spec_of(write("horizon: 2"))
    assert translation.uncertainty(spec, {"uncertainty": np.float32(0.5)}) == 0.5
    assert translation.uncertainty(spec, {}) is None
    with pytest.raises(PolicyError, match="'uncertainty' of the answer"):
        translation.uncertainty(spec, {"uncertainty": value})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"joints": np.array([0.1, np.nan, 0])}, "observation 'joints': position/b is nan"),
        ({"joints": np.zeros(2)}, r"observation 'joints' is \(2,\); \(3,\) is required"),
        ({"camera": np.zeros((4, 8, 3))}, r"observation 'camera' is \(4, 8, 3\) float64"),
    ],
)
def test_a_wrong_observation_is_named(write, changed, words):
    spec = spec_of(write("horizon: 2"))
    with pytest.raises(PolicyError, match=words):
        translation.request(spec, [SEEN | changed])
    with pytest.raises(PolicyError, match="observation 'joints' is missing"):
        translation.request(spec, [{key: value for key, value in SEEN.items() if key != "joints"}])


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), r"remote.yaml:\d+: horizon: missing"),
        (("horizon: 0",), r"horizon: must be a whole number of at least 1, not 0"),
        (("horizon: 1000000",), "horizon: 1000000 is above 4096"),
        (("horizon: 1", "horizont: 2"), r"remote.yaml:4: horizont: unknown key; did you mean 'horizon'\?"),
        (("horizon: 1", "timeout_s: -1"), "timeout_s: must be above 0"),
        (("horizon: 1", "retry_s: .inf"), "retry_s: inf s is above 600 s"),
        (("horizon: 1", "history: 1000"), "history: 1000 is above 256"),
        (("horizon: 1", "observations: {}"), "observations: is empty"),
        (
            ("horizon: 1", "observations: {s: {from: [joint]}}"),
            "s.from: contract 'arm' has no observation 'joint'",
        ),
        (("horizon: 1", "observations: {s: {from: [joints, camera]}}"), "a camera or a text is sent alone"),
        (
            ("horizon: 1", "observations: {s: {from: [joints], columns: [3]}}"),
            "columns: 3 is not among 0 to 2",
        ),
        (("horizon: 1", "observations: {s: {from: [joints], columns: [a]}}"), "a list of whole numbers"),
        (
            ("horizon: 1", "observations: {s: {from: [joints], scale: [1, 2]}}"),
            "scale: has 2 values; needed: 3",
        ),
        (("horizon: 1", "observations: {s: {from: [joints], scale: .inf}}"), "scale: must be finite numbers"),
        (("horizon: 1", "observations: {s: {from: [joints], width: 4}}"), "width: unknown key"),
        (
            ("horizon: 1", "observations: {s: {from: [camera], width: 99999}}"),
            "width: 99999 is above 4096 pixels",
        ),
        (
            ("horizon: 1", "observations: {s: {from: [camera], fit: pat}}"),
            "fit: 'pat' is not known; did you mean 'pad'",
        ),
        (
            ("horizon: 1", "observations: {s: {from: [camera], encoding: jpeg, layout: chw}}"),
            "a jpeg has no layout",
        ),
        (
            ("horizon: 1", "observations: {s: {from: [depth], encoding: jpeg}}"),
            "depth is sent as float32 metres",
        ),
        (("horizon: 1", "observations: {a: {text: x}, b: {text: y, path: [a, c]}}"), "a/c is given twice"),
        (("horizon: 1", "actions: {size: 4}"), "actions.columns: is needed: an answer has 4 columns"),
        (
            ("horizon: 1", "actions: {columns: [0, 1]}"),
            "has 2 numbers; 3 are needed, one for each of: arm/a, arm/b",
        ),
        (
            ("horizon: 1", "actions: {delta: [base]}"),
            "'base' is no position of joints that an observation measures",
        ),
        (
            ("horizon: 1", "actions: {delta: [leg]}"),
            "contract 'arm' has no action 'leg'; there are: arm, base",
        ),
        (("horizon: 1", "ca_file: x.pem"), "ca_file: is for wss:// only"),
        (("horizon: 1", "token_file: nothing"), "token_file: .*nothing: cannot be read: No such file"),
        (("horizon: 1", "token_in_clear: perhaps"), "token_in_clear: must be true or false"),
    ],
)
def test_a_wrong_file_is_named_with_line_key_and_value(write, lines, words):
    with pytest.raises(MappingError, match=words):
        spec_of(write(*lines))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://robot:8000", "must be ws://HOST:PORT or wss://HOST:PORT"),
        ("ws://", "must be ws://HOST:PORT"),
        ("ws://user:secret@robot:8000", "must have no user, query or fragment"),
        ("ws://robot:8000/?token=secret", "a token belongs into token_file"),
        ("ws://robot:99999", "is no address"),
    ],
)
def test_a_wrong_url_is_refused(tmp_path, url, words):
    (tmp_path / "contract.yaml").write_text(TEXT)
    (tmp_path / "remote.yaml").write_text(f"url: {url}\ncontract: contract.yaml\nhorizon: 1\n")
    with pytest.raises(MappingError, match=words):
        spec_of(tmp_path)


def token(folder, text="a-token-that-nobody-must-see", mode=0o600):
    (folder / "token").write_text(text + "\n")
    (folder / "token").chmod(mode)


def test_a_token_stays_out_of_sight(write, tmp_path):
    token(tmp_path)
    spec = spec_of(write("horizon: 1", "token_file: token"))
    assert spec.endpoint.token == "a-token-that-nobody-must-see"
    assert "nobody" not in repr(spec)
    token(tmp_path, mode=0o644)
    with pytest.raises(MappingError, match=r"others may read it \(mode 644\); type: chmod 600"):
        spec_of(tmp_path)
    token(tmp_path, "short")
    with pytest.raises(MappingError, match="at least 16 printable ASCII characters") as raised:
        spec_of(tmp_path)
    assert "short" not in str(raised.value)
    token(tmp_path, "two words with spaces in between")
    with pytest.raises(MappingError, match="one word"):
        spec_of(tmp_path)


def test_a_token_does_not_pass_the_network_in_clear_unless_asked(write, tmp_path):
    token(tmp_path)
    for host in ("localhost", "127.0.0.1", "127.1.2.3"):
        spec_of(write("horizon: 1", "token_file: token", host=host))
    spec_of(write("horizon: 1", "token_file: token", host="[::1]"))
    spec_of(write("horizon: 1", "token_file: token", scheme="wss", host="robot"))
    with pytest.raises(MappingError, match="would pass the network to robot in clear"):
        spec_of(write("horizon: 1", "token_file: token", host="robot"))
    spec_of(write("horizon: 1", "token_file: token", "token_in_clear: true", host="robot"))


def test_the_folder_takes_the_place_of_a_checkpoint(write, tmp_path):
    folder = write("horizon: 1")
    assert find_policy(folder) == folder
    policy = load_policy(folder)
    assert policy.waits
    assert (policy.family, policy.horizon, policy.history, policy.contract.name) == ("remote", 1, 1, "arm")
    assert load_policy(folder, contract.parse(TEXT, "same")).version == policy.version
    assert load_policy(write("horizon: 2")).version != policy.version
    other = contract.parse(TEXT.replace("rate_hz: 20", "rate_hz: 10"), "other")
    with pytest.raises(CheckpointError, match=r"names another contract[\s\S]*rate_hz"):
        load_policy(folder, other)
    write("horizont: 1")
    with pytest.raises(CheckpointError, match="horizon: missing"):
        load_policy(folder)


def test_a_missing_package_is_said_with_the_command_that_installs_it(write, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "msgpack" else found(name, *rest)
    )
    with pytest.raises(
        CheckpointError, match=r"remote policies need msgpack: pip install 'msgpack' 'websockets>=14'"
    ):
        load_policy(write("horizon: 1"))
