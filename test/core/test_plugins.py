"""Plug-ins: found by the metadata of installed packages, imported when used, and named when they are broken."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from workspace import ROOT

from il_ros.core import codecs, contract, messages, plugins
from il_ros.core.plugins import PluginError, UnknownPluginError

SHIPPED_TASKS = ("reach", "push", "pick_place", "drive", "carry", "touch", "press")


class Installed:
    """A folder on the path in which packages are installed, as pip would: modules and their metadata."""

    def __init__(self, folder):
        self.folder = folder

    def package(self, name, entry_points, **modules):
        metadata = self.folder / f"{name}-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text(textwrap.dedent(entry_points))
        for module, text in modules.items():
            (self.folder / f"{module}.py").write_text(textwrap.dedent(text))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    plugins._registered.cache_clear()
    codecs.codec_of.cache_clear()
    yield Installed(tmp_path)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    plugins._registered.cache_clear()
    codecs.codec_of.cache_clear()


def load(group, name):
    return plugins.load(group, name, lambda loaded: "" if callable(loaded) else f"it is {loaded!r}")


def test_a_name_of_another_package_stands_after_our_own_and_loads(installed):
    installed.package("my_robot", "[il_ros.tasks]\nfold = my_tasks:Fold\n", my_tasks="class Fold: pass")
    assert plugins.names(plugins.TASKS) == (*SHIPPED_TASKS, "fold")
    assert load(plugins.TASKS, "fold").__module__ == "my_tasks"
    (plugin,) = plugins.registered(plugins.TASKS)["fold"]
    assert (plugin.package, plugin.version, plugin.target) == ("my_robot", "1.2", "my_tasks:Fold")


def test_names_import_nothing_and_a_module_that_raises_costs_only_its_users(installed):
    installed.package(
        "bad", "[il_ros.tasks]\nfold = bad_tasks:Fold\n", bad_tasks="raise RuntimeError('no arm')"
    )
    assert "fold" in plugins.names(plugins.TASKS)
    assert "bad_tasks" not in sys.modules
    assert load(plugins.TASKS, "push").__name__ == "Push"
    with pytest.raises(PluginError) as caught:
        load(plugins.TASKS, "fold")
    assert str(caught.value) == (
        "task 'fold' of package bad 1.2 (entry point 'fold = bad_tasks:Fold' in il_ros.tasks): importing bad_tasks "
        "fails: RuntimeError: no arm; correct or uninstall bad"
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "absent_module:Fold",
            "importing absent_module fails: ModuleNotFoundError: No module named 'absent_module'",
        ),
        ("my_tasks:Fould", "my_tasks has no 'Fould'; did you mean 'Fold'?"),
        ("my_tasks:NUMBER", "it is 7; it must be a class of tasks"),
        ("my_tasks", "an entry point is written 'name = module:object'"),
        ("my tasks:Fold", "an entry point is written 'name = module:object'"),
        ("", "an entry point is written 'name = module:object'"),
    ],
)
def test_a_broken_entry_point_is_named_with_its_package_and_what_would_be_right(installed, target, message):
    code = "NUMBER = 7\nclass Fold: pass"
    installed.package("my_robot", f"[il_ros.tasks]\nfold = {target}\n", my_tasks=code)
    with pytest.raises(PluginError) as caught:
        load(plugins.TASKS, "fold")
    assert "package my_robot 1.2 (entry point 'fold" in str(caught.value)
    assert message in str(caught.value)


def test_a_name_that_two_packages_register_is_an_error_that_names_both(installed):
    installed.package("one", "[il_ros.experts]\nfold = a:A\npush = a:A\n", a="class A: pass")
    installed.package("two", "[il_ros.experts]\nfold = b:B\n", b="class B: pass")
    for name, packages in (("fold", ("one 1.2", "two 1.2")), ("push", ("il_ros (checkout)", "one 1.2"))):
        with pytest.raises(PluginError) as caught:
            load(plugins.EXPERTS, name)
        assert all(f"package {package} (entry point" in str(caught.value) for package in packages)
        assert "rename it in one of them, or uninstall one" in str(caught.value)
    assert load(plugins.EXPERTS, "reach").__name__ == "ReachExpert"


def test_an_unknown_name_is_answered_with_the_nearest_or_with_all(installed):
    with pytest.raises(UnknownPluginError, match="task 'pusch' is not known; did you mean 'push'"):
        load(plugins.TASKS, "pusch")
    with pytest.raises(UnknownPluginError, match=r"reward model 'gial' is not known; did you mean 'gail'"):
        load(plugins.REWARDS, "gial")


def test_of_two_copies_of_a_package_the_first_on_the_path_counts(installed, tmp_path, monkeypatch):
    installed.package("my_robot", "[il_ros.tasks]\nfold = new:Fold\n", new="class Fold: pass")
    older = Installed(tmp_path / "older")
    older.folder.mkdir()
    older.package("My-Robot", "[il_ros.tasks]\nfold = old:Fold\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(older.folder)])
    assert [plugin.target for plugin in plugins.registered(plugins.TASKS)["fold"]] == ["new:Fold"]


def test_comments_extras_and_other_groups_are_passed_over(installed):
    text = """
        [console_scripts]
        fold = my_robot:main
        [il_ros.tasks]
        # fold = not:This
        fold = my_tasks:Fold [sim]
        [il_ros.unheard_of]
        x = y:Z
    """
    installed.package("my_robot", text)
    assert [plugin.target for plugin in plugins.registered(plugins.TASKS)["fold"]] == ["my_tasks:Fold"]


def test_a_reward_model_of_another_package_is_found_and_checked(installed):
    from il_ros.rewards.registry import reward_family

    code = """
        from dataclasses import dataclass
        from il_ros.rewards.protocol import RewardModel
        from il_ros.rewards.registry import RewardFamily, RewardSettings
        @dataclass(frozen=True)
        class Weight(RewardSettings):
            weight: float = 1.0
        class Sum(RewardModel):
            def __init__(self, settings, spec, seeds):
                super().__init__()
                self.weight = settings.weight
            def reward(self, transition): return self.weight * transition.action.sum(1)
        SUM = RewardFamily(Weight, Sum)
        STRANGE = RewardFamily(dict, Sum)
    """
    entries = "[il_ros.rewards]\nsum = my_rl:SUM\nbare = my_rl:Sum\nstrange = my_rl:STRANGE\n"
    installed.package("my_rl", entries, my_rl=code)
    assert reward_family("sum").network.__name__ == "Sum"
    with pytest.raises(PluginError, match=r"package my_rl 1\.2 .*Sum'>; it must be a RewardFamily"):
        reward_family("bare")
    with pytest.raises(PluginError, match="its settings <class 'dict'> are not derived from RewardSettings"):
        reward_family("strange")


CONTRACT = """
name: tank
rate_hz: 10
observations:
  level: {topic: level, type: std_msgs/msg/ColorRGBA, max_age_s: 1.0}
actions:
  base: {topic: cmd_vel, type: geometry_msgs/msg/Twist, limits: {speed: 1.0}}
"""
CODEC = """
import numpy as np
from il_ros.core.codecs.base import Codec, Selected
class Grey(Codec):
    observed = True
    def select(self, type_name, section):
        return Selected((), ("grey",), ("grey",))
    def decoder(self, spec):
        return lambda message: np.array([(message.r + message.g + message.b) / 3])
"""


def test_a_codec_of_another_package_reads_its_part_of_the_contract_and_the_message(installed):
    entry = "[il_ros.codecs]\nstd_msgs/msg/ColorRGBA = grey:Grey\n"
    installed.package("tank", entry, grey=CODEC)
    (spec,) = contract.parse(CONTRACT, "tank.yaml").observations
    colour = messages.make("std_msgs/msg/ColorRGBA", r=0.2, g=0.4, b=0.9, a=1.0)
    np.testing.assert_allclose(codecs.decode(spec, colour), [0.5])
    assert spec.elements == ("grey",)


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("grey:Grey", "import nothing_of_this_name", "importing grey fails: ModuleNotFoundError"),
        ("grey:Grey", "import sys; sys.exit()", "importing grey fails: SystemExit"),
        ("grey:Grey", "class Grey: pass", "it must be a Codec"),
        ("grey:Grey", f"{CODEC}\n    def __init__(self, size): pass", "cannot be made: TypeError: "),
    ],
)
def test_a_broken_codec_is_an_error_of_the_contracts_that_name_its_type(installed, target, code, message):
    installed.package("tank", f"[il_ros.codecs]\nstd_msgs/msg/ColorRGBA = {target}\n", grey=code)
    with pytest.raises(contract.ContractError) as caught:
        contract.parse(CONTRACT, "tank.yaml")
    assert str(caught.value).startswith(
        "tank.yaml:5: observations.level.type: codec 'std_msgs/msg/ColorRGBA' of package tank"
    )
    assert message in str(caught.value)
    contract.find("drive")  # another contract


def test_a_codec_that_returns_another_shape_is_refused_at_the_message(installed):
    wrong = CODEC.replace("np.array([(message.r + message.g + message.b) / 3])", "np.zeros(3)")
    installed.package("tank", "[il_ros.codecs]\nstd_msgs/msg/ColorRGBA = grey:Grey\n", grey=wrong)
    (spec,) = contract.parse(CONTRACT, "tank.yaml").observations
    with pytest.raises(
        codecs.CodecError, match=r"level \(level\): its codec returned an array \(3,\); needed: \(1,\)"
    ):
        codecs.decode(spec, messages.make("std_msgs/msg/ColorRGBA"))


def test_what_we_ship_can_be_loaded():
    from il_ros.cli.plugins import fault_of

    for group in plugins.GROUPS:
        for name, found in plugins.registered(group).items():
            if found[0].package == plugins.OWN:
                assert fault_of(group, name) == ""


IMPORTED = """
import sys
from il_ros.core import codecs, contract, messages, plugins
sys.path.insert(0, {folder!r})
{statement}
print("read" if plugins._registered.cache_info().misses else "unread")
print("imported" if "spy" in sys.modules else "not imported")
"""


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("import il_ros.cli.main as m; m._parser('')", "unread"),
        ("import il_ros.policies.checkpoint, il_ros.scenarios", "unread"),
        ("import il_ros.nodes.start as s; s.check_parameters('recorder', [])", "unread"),
        ("from il_ros.scenarios import SCENARIOS; SCENARIOS['record'].nodes(dict())", "read"),
    ],
)
def test_plugins_are_not_imported_nor_metadata_read_before_a_name_is_needed(installed, statement, read):
    registered = "".join(f"[{group.name}]\nspy = spy:Spy\n" for group in plugins.GROUPS)
    installed.package("spying", registered, spy="class Spy: pass")
    words = [sys.executable, "-c", IMPORTED.format(folder=str(installed.folder), statement=statement)]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=ROOT, check=True)
    assert ran.stdout.splitlines() == [read, "not imported"]
