"""Anybody on the graph can announce a path: only versions below the declared folder are examined or written."""

import json
from dataclasses import replace

import made_versions as made
import pytest
from announced_versions import LONG_S, PromotionRig

from il_ros.policies import lineage

WRONG = (0.75, -0.5)
FOREIGN = '{"version": "1.2.3", "build": "important"}'


def refused_unseen(rig, run, monkeypatch):
    """Announce `run`, which gets no verdict; return the reason that is logged. A good version still drives."""
    rig.verdict("v1")
    before, reasons = len(rig.verdicts), []
    tell = rig.node._candidates._tell
    monkeypatch.setattr(rig.node._candidates, "_tell", lambda *words: (reasons.append(words), tell(*words)))
    rig.announce(run)
    rig.graph.until(lambda: reasons, "the reason", LONG_S)
    assert rig.judged(9)["state"] == "active"
    assert [each["verdict"]["version"] for each in rig.verdicts[before:]] == ["v9"]
    ((_, reason),) = reasons
    return reason


def tree(folder):
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("answer", [made.RIGHT, WRONG], ids=["good", "bad"])
def test_a_version_of_another_folder_is_neither_examined_nor_written(graph, tmp_path, monkeypatch, answer):
    rig = PromotionRig(graph, tmp_path)
    elsewhere = made.version(tmp_path / "elsewhere", 2, answer, held_out=["episode_000002"])
    before = tree(elsewhere)
    assert "it is not below" in refused_unseen(rig, elsewhere, monkeypatch)
    assert tree(elsewhere) == before


@pytest.mark.parametrize(
    "words", ["{root}/../elsewhere/v2", "{root}", "{root}/checkpoint", "{root}/link", "x" * 9999]
)
def test_no_path_leads_out_of_the_folder(graph, tmp_path, monkeypatch, words):
    rig = PromotionRig(graph, tmp_path)
    elsewhere = made.version(tmp_path / "elsewhere", 2, held_out=["episode_000002"])
    (rig.folder / "link").symlink_to(elsewhere)
    before = tree(elsewhere)
    refused_unseen(rig, words.format(root=rig.folder), monkeypatch)
    assert tree(elsewhere) == before


def test_a_version_whose_files_are_links_to_elsewhere_is_refused(graph, tmp_path):
    rig = PromotionRig(graph, tmp_path)
    elsewhere = made.version(tmp_path / "elsewhere", 2, held_out=["episode_000002"])
    whole, weights = rig.version(3), rig.version(4)
    (whole / "checkpoint").rename(tmp_path / "moved")
    (whole / "checkpoint").symlink_to(elsewhere / "checkpoint")
    file = weights / "checkpoint" / "model.safetensors"
    file.unlink()
    file.symlink_to(elsewhere / "checkpoint" / "model.safetensors")
    for run in (whole, weights):
        rig.announce(run)
        verdict = rig.verdict(run.name)["verdict"]
        assert (verdict["state"], "leads out of" in verdict["reason"]) == ("refused", True)
        assert lineage.read(run).state == "trained"  # a later copy of it may be good


def test_a_version_file_of_something_else_stays_as_it_is(graph, tmp_path):
    rig = PromotionRig(graph, tmp_path)
    refused, admitted = rig.version(2, WRONG), rig.version(3)
    for run in (refused, admitted):
        (run / lineage.FILE).write_text(FOREIGN)
    rig.announce(refused)
    assert rig.verdict("v2")["verdict"]["state"] == "refused"
    rig.announce(admitted)
    assert rig.verdict("v3")["verdict"]["state"] == "active"
    graph.until(lambda: rig.node._versions._foreign == {refused, admitted}, "a look at both", LONG_S)
    assert [(run / lineage.FILE).read_text() for run in (refused, admitted)] == [FOREIGN, FOREIGN]
    assert rig.node.status().values["version"] == "v3"


def test_a_version_refused_by_its_file_is_not_examined(graph, tmp_path, monkeypatch):
    rig = PromotionRig(graph, tmp_path)
    run = rig.version(2)
    lineage.write(run, replace(lineage.read(run), state="refused", reason="of before"))
    before = tree(run)
    assert refused_unseen(rig, run, monkeypatch) == "refused: of before"
    assert tree(run) == before


@pytest.mark.parametrize("text", ['{"version": "v2", "driven_s": "600"}', "[" * 100_000, json.dumps(FOREIGN)])
def test_a_version_file_with_invalid_values_is_not_examined(graph, tmp_path, monkeypatch, text):
    rig = PromotionRig(graph, tmp_path)
    run = rig.version(2)
    (run / lineage.FILE).write_text(text)
    assert "version.json: " in refused_unseen(rig, run, monkeypatch)
    assert (run / lineage.FILE).read_text() == text


def test_a_name_with_control_characters_is_logged_as_its_escapes(graph, tmp_path, monkeypatch, capfd):
    rig = PromotionRig(graph, tmp_path)
    refused_unseen(rig, f"{rig.folder}/../\x1b]0;owned\x07", monkeypatch)
    printed = capfd.readouterr()
    assert "\x1b]0" not in printed.out + printed.err
    assert "\\x1b]0;owned\\x07 not examined: it is not below" in printed.out + printed.err
