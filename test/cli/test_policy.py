"""`il-ros policy versions`."""

import made_episodes as made

from il_ros.cli.main import main
from il_ros.policies import lineage
from il_ros.policies.lineage import FILE, Lineage
from il_ros.policies.versions import CHECKPOINT


def write(folder, name, **fields):
    (folder / name / CHECKPOINT).mkdir(parents=True)
    lineage.write(folder / name, Lineage(name, **fields))


def test_the_table_has_one_line_per_version_with_lineage_and_state(tmp_path, capsys):
    data = {"train": ["a", "b"], "validation": ["c"]}
    write(tmp_path, "v1", data=data, labels=60, metrics={"validation_loss": 0.25}, state="replaced")
    write(tmp_path, "v2", parent="v1", state="refused", reason="its error is nan")
    write(tmp_path, "v10", parent="v1", state="active", driven_s=120.0, interventions=1)
    assert main(["policy", "versions", str(tmp_path)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows[0] == ["v1", "-", "3", "60", "0.25000", "replaced", "-", "-", "-"]
    assert rows[1] == ["v2", "v1", "-", "-", "-", "refused", "-", "-", "-", "its", "error", "is", "nan"]
    assert rows[2] == ["v10", "v1", "-", "-", "-", "active", "2.00", "0.50", "-"]


def test_successes_count_for_the_driving_version(tmp_path, capsys):
    write(tmp_path / "policies", "v1")
    for number, outcome in ((1, "success"), (2, "failure"), (3, "success")):
        items = made.recorded(10, decisions=False)
        items += [made.decision(t, authority="policy", version="v1", mode="policy") for t in range(10)]
        made.write(tmp_path / "episodes", items, number=number, outcome=outcome)
    made.write(tmp_path / "episodes", made.recorded(10), number=4)  # driven by the expert
    words = ["policy", "versions", str(tmp_path / "policies"), "--root", str(tmp_path / "episodes")]
    assert main(words) == 0
    assert "2/3" in capsys.readouterr().out


def test_a_damaged_file_is_listed_and_named(tmp_path, capsys):
    write(tmp_path, "v1")
    (tmp_path / "v1" / FILE).write_text("{")
    assert main(["policy", "versions", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "damaged" in printed.out
    assert str(tmp_path / "v1" / FILE) in printed.err


def test_an_empty_folder_is_reported(tmp_path, capsys):
    assert main(["policy", "versions", str(tmp_path)]) == 1
    assert f"{tmp_path} holds no versions" in capsys.readouterr().err


def test_a_pardon_names_what_there_is(tmp_path, capsys):
    write(tmp_path, "v1")
    assert main(["policy", "pardon", "v7", str(tmp_path)]) == 1
    assert f"{tmp_path} has no version 'v7'; there are: v1" in capsys.readouterr().err
    assert main(["policy", "pardon", "v1", str(tmp_path)]) == 1
    assert "v1 is trained, neither refused nor rolled back" in capsys.readouterr().err
