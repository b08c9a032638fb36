"""Shards of a conversion, put together, are what the conversion without shards gives, byte by byte."""

import json
import shutil

import made_episodes as made
import pytest

from il_ros.cli import main as cli
from il_ros.episodes import layout
from il_ros.episodes.catalogue import scan
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.hdf5.export import merge_robomimic
from il_ros.episodes.exchange.journal import merge_imports
from il_ros.episodes.exchange.lerobot.export import export_lerobot
from il_ros.episodes.exchange.lerobot.ingest import import_lerobot
from il_ros.episodes.exchange.lerobot.merge import merge_lerobot
from il_ros.episodes.exchange.lerobot.options import ExportOptions
from il_ros.episodes.exchange.shards import Shard, complete

COUNT = 5
OPTIONS = ExportOptions(jobs=1, pictures="image")


@pytest.mark.parametrize(("count", "of"), [(10, 3), (3, 3), (2, 5), (0, 2), (7, 1)])
def test_parts_are_all_items_in_order_and_of_like_size(count, of):
    parts = [Shard(number, of).part(range(count)) for number in range(1, of + 1)]
    assert [item for part in parts for item in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "1/3/5", "-1/3", "1/99999"])
def test_other_words_are_no_shard(text):
    with pytest.raises(ExchangeError, match=f"shard {text}: must be I/N"):
        Shard.parse(text)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Episodes, their data set, and the three shards of it."""
    folder = tmp_path_factory.mktemp("shards")
    for number in range(1, COUNT + 1):
        made.write(folder / "episodes", made.recorded(3 + number), number)
    entries = scan(folder / "episodes").entries
    export_lerobot(entries, folder / "whole", OPTIONS)
    for number in (1, 2, 3):
        export_lerobot(entries, folder / "parts", OPTIONS, shard=Shard(number, 3))
    return folder, [folder / f"parts.shard-{number}-of-3" for number in (1, 2, 3)]


def content(root):
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


def test_an_export_in_shards_is_that_of_one_computer(exported, tmp_path):
    folder, shards = exported
    report = merge_lerobot([shards[2], shards[0], shards[1]], tmp_path / "merged")
    assert content(tmp_path / "merged") == content(folder / "whole")
    assert report.episodes == COUNT
    assert content(shards[0])  # the shards stay


def test_a_missing_a_doubled_and_a_foreign_shard_are_named(exported, tmp_path):
    folder, shards = exported
    with pytest.raises(ExchangeError, match="shards are missing: 2/3"):
        merge_lerobot([shards[0], shards[2]], tmp_path / "merged")
    copy = shutil.copytree(shards[0], tmp_path / "copy")
    with pytest.raises(
        ExchangeError, match=r"copy: is shard 1/3, as is .*parts\.shard-1-of-3; give each once"
    ):
        merge_lerobot([*shards, copy], tmp_path / "merged")
    entries = scan(folder / "episodes").entries
    export_lerobot(entries[:-1], tmp_path / "fewer", OPTIONS, shard=Shard(2, 3))
    with pytest.raises(ExchangeError, match=r"is not of the same conversion as .*: they differ in episodes"):
        merge_lerobot([shards[0], tmp_path / "fewer.shard-2-of-3", shards[2]], tmp_path / "merged")
    export_lerobot(entries, tmp_path / "half", OPTIONS, shard=Shard(2, 2))
    with pytest.raises(ExchangeError, match=r"its number of shards is 2, that of .* is 3"):
        merge_lerobot([shards[0], tmp_path / "half.shard-2-of-2"], tmp_path / "merged")
    with pytest.raises(ExchangeError, match="is no finished shard"):
        merge_lerobot([folder / "episodes"], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    "damage",
    ["[1", "{}", '{"schema": 9}', '{"schema": 1, "kind": 3, "shard": "1/1", "whole": {}, "own": {}}'],
)
def test_a_damaged_record_is_named(tmp_path, damage):
    (tmp_path / "shard.json").write_text(damage)
    with pytest.raises(ExchangeError, match=r"shard\.json: can't be read"):
        complete([tmp_path], "import")


def test_a_shard_whose_segments_are_lost_is_named(exported, tmp_path):
    _, shards = exported
    copies = [shutil.copytree(each, tmp_path / each.name) for each in shards]
    next(copies[1].rglob("segment.json")).unlink()
    with pytest.raises(ExchangeError, match=r"segment\.json: can't be read"):
        merge_lerobot(copies, tmp_path / "merged")


def test_an_import_in_shards_is_that_of_one_computer_but_for_its_time(exported, tmp_path):
    folder, _ = exported
    import_lerobot(folder / "whole", tmp_path / "one")
    roots = [tmp_path / f"part{number}" for number in (1, 2)]
    for number, root in enumerate(roots, start=1):
        import_lerobot(folder / "whole", root, shard=Shard(number, 2))
        assert import_lerobot(folder / "whole", root, shard=Shard(number, 2)).folders == ()  # all there
    assert merge_imports(roots, tmp_path / "merged") == COUNT
    assert import_lerobot(folder / "whole", tmp_path / "merged").before == COUNT  # the journals are merged
    for number in range(1, COUNT + 1):
        name = layout.episode_name(number)
        ours, one = content(tmp_path / "merged" / name), content(tmp_path / "one" / name)
        assert ours.keys() == one.keys()
        for file, raw in one.items():
            if file != layout.INFO_FILE:
                assert ours[file] == raw, file
        infos = [json.loads(each[layout.INFO_FILE]) for each in (ours, one)]
        for each in infos:
            each.pop("recorded_at")
        assert infos[0] == infos[1]


def test_an_import_shard_needs_a_root_of_its_own(exported, tmp_path):
    folder, _ = exported
    made.write(tmp_path / "used", made.recorded(3), 1)
    with pytest.raises(ExchangeError, match="used: is not empty"):
        import_lerobot(folder / "whole", tmp_path / "used", shard=Shard(1, 2))
    import_lerobot(folder / "whole", tmp_path / "first", shard=Shard(1, 2))
    with pytest.raises(ExchangeError, match="first: is not empty"):
        import_lerobot(folder / "whole", tmp_path / "first", shard=Shard(2, 2))
    import_lerobot(folder / "whole", tmp_path / "second", shard=Shard(2, 2))
    shutil.rmtree(tmp_path / "second" / layout.episode_name(COUNT))
    with pytest.raises(ExchangeError, match=f"{layout.episode_name(COUNT)}: the shard's episode is missing"):
        merge_imports([tmp_path / "first", tmp_path / "second"], tmp_path / "merged")


def test_a_robomimic_export_in_shards_by_processes_is_that_of_one_computer(exported, tmp_path, capsys):
    folder, lerobot = exported
    words = ["episodes", "export", "robomimic", str(folder / "episodes"), "--validation", "0.3", "-o"]
    assert cli.main([*words, str(tmp_path / "one.hdf5")]) == 0
    shards = [tmp_path / f"out.hdf5.shard-{number}-of-2" for number in (1, 2)]
    for number, jobs in ((1, "1"), (2, "2")):
        assert cli.main([*words, str(tmp_path / "out.hdf5"), "--shard", f"{number}/2", "--jobs", jobs]) == 0
    merged = tmp_path / "merged.hdf5"
    assert cli.main(["episodes", "merge", str(merged), str(shards[0])]) == 1
    assert "shards are missing: 2/2" in capsys.readouterr().err
    assert cli.main(["episodes", "merge", str(merged), str(shards[1]), str(shards[0])]) == 0
    assert f"5 demos, 30 frames in {merged}" in capsys.readouterr().out
    assert merged.read_bytes() == (tmp_path / "one.hdf5").read_bytes()
    with pytest.raises(ExchangeError, match=r"merged.hdf5 exists"):
        merge_robomimic(shards, merged)
    with pytest.raises(ExchangeError, match=r"is a shard of 'export lerobot', not of 'export robomimic'"):
        merge_robomimic(lerobot, tmp_path / "other.hdf5")
    next(shards[1].rglob("*.hdf5")).write_bytes(b"cut")
    with pytest.raises(ExchangeError, match=r"\.hdf5: can't be read: .*; repeat the export"):
        merge_robomimic(shards, tmp_path / "other.hdf5")
    assert not (tmp_path / "other.hdf5").exists()


def test_the_commands_shard_and_merge(exported, tmp_path, capsys):
    folder, _ = exported
    words = ["episodes", "export", "lerobot", str(folder / "episodes"), "-o", str(tmp_path / "out")]
    for number in (1, 2):
        assert cli.main([*words, "--pictures", "image", "--jobs", "1", "--shard", f"{number}/2"]) == 0
        out = tmp_path / "out"
        merge = f"il-ros episodes merge {out} {out}.shard-*-of-2"
        assert f"next, with all 2 parts in one place: {merge}\n" in capsys.readouterr().out
    shards = [str(tmp_path / f"out.shard-{number}-of-2") for number in (1, 2)]
    assert cli.main(["episodes", "merge", str(tmp_path / "merged"), *shards[:1]]) == 1
    assert f"{shards[0]}: is shard 1/2; shards are missing: 2/2" in capsys.readouterr().err
    assert cli.main(["episodes", "merge", str(tmp_path / "merged"), *shards]) == 0
    assert "merged: 5 episodes, 30 frames" in capsys.readouterr().out  # 4 + 5 + 6 + 7 + 8
    assert cli.main([*words, "--shard", "3/2"]) == 1
    assert "il-ros episodes export: --shard 3/2: must be I/N" in capsys.readouterr().err
    imported = ["episodes", "import", "lerobot", str(tmp_path / "merged"), "--root", str(tmp_path / "part1")]
    assert cli.main([*imported, "--shard", "1/2"]) == 0
    said = capsys.readouterr().out
    assert f"il-ros episodes merge EPISODES {tmp_path / 'part1'} ..." in said
    assert "il-ros train" not in said  # not of one part
    (file := tmp_path / "notes.txt").write_text("a list")
    for wrong, says in ((file, "is a file"), (tmp_path / "none", "there is no such folder")):
        assert cli.main(["episodes", "merge", str(tmp_path / "again"), str(wrong)]) == 1
        assert f"{wrong}: {says}; a finished shard is a folder with shard.json" in capsys.readouterr().err
    assert cli.main([*words, "--shard", "1/2", "--append"]) == 1
    assert "can't be appended" in capsys.readouterr().err
