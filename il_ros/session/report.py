"""A session's report: statistics read from the bags, and their text for the console."""

from __future__ import annotations

from pathlib import Path

from il_ros.core.contract import parse
from il_ros.core.tables import counted, grouped, table
from il_ros.episodes.arrays.late_proposals import LateProposals
from il_ros.episodes.arrays.replay import span_of
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.bag.topics import find_streams
from il_ros.episodes.catalogue import Entry, scan
from il_ros.episodes.decisions import read_decisions, summary
from il_ros.session.facts import EpisodeFacts, Facts, by_version, facts_of


def read(root: Path) -> Facts:
    """Read all episodes under `root`; those without decisions are left out, with the reason.

    Raises FileNotFoundError when the folder does not exist, ValueError when no episode is readable.
    """
    found, left_out = [], []
    for entry in scan(root).entries:
        if not (entry.usable or entry.state == "discarded"):
            left_out.append((entry.name, f"{entry.state}: {entry.reason}"))
            continue
        if entry.info is not None and entry.info.made_from:
            left_out.append((entry.name, f"relabelled, from {entry.info.made_from}"))
            continue
        try:
            episode, messages = _episode(entry)
        except (ValueError, OSError) as error:
            left_out.append((entry.name, str(error)))
            continue
        found.append(episode)
        left_out += [(f"from {entry.name}", summary(messages))] if messages else []
    if not found:
        reasons = "\n".join(f"  {line}" for line in grouped(left_out)) or "  the folder holds no episodes"
        raise ValueError(f"{root}: nothing to report\n{reasons}")
    kept = [episode for episode in found if not episode.discarded]
    return Facts(root, tuple(found), tuple(by_version(kept)), tuple(left_out))


def text(facts: Facts) -> str:
    """Return the report for the console."""
    header = (
        "policy",
        "episodes",
        "succeeded",
        "autonomous",
        "min",
        "interventions",
        "per min",
        "expert min",
        "labels",
    )
    rows = [
        (
            each.version or "(demonstration)",
            str(each.episodes),
            str(each.successes),
            str(each.alone),
            f"{each.minutes:.1f}",
            str(each.interventions) if each.version else "-",
            "-" if each.per_minute is None else f"{each.per_minute:.2f}",
            f"{each.expert_minutes:.1f}",
            str(each.labels),
        )
        for each in facts.versions
    ]
    kept = facts.kept
    minutes = sum(episode.duration_s for episode in kept) / 60
    expert = sum(episode.expert_s for episode in kept) / 60
    discarded = len(facts.episodes) - len(kept)
    lines = [
        table(header, rows, header[1:]),
        "",
        f"episodes kept: {len(kept)}, {minutes:.1f} min; the expert drove {expert:.1f} min of them; "
        f"{counted(sum(episode.labels for episode in kept), 'label')}"
        + (f"; {discarded} discarded" if discarded else ""),
        *(
            f"  {name}: the expert drove {group.expert_s / 60:.1f} min, {counted(group.labels, 'label')}, "
            f"{counted(group.takeovers, 'takeover')}"
            for name, group in facts.groups.items()
        ),
    ]
    return "\n".join([*lines, *(f"  left out {line}" for line in grouped(facts.left_out))])


def _episode(entry: Entry) -> tuple[EpisodeFacts, list[str]]:
    """Read one episode; return its facts, and the reason for each message that is no decision.

    Raises ValueError without a decision or a contract.
    """
    info = entry.info
    if info is None or not info.contract_text:
        raise ValueError(f"{entry.folder}: was recorded without a contract")
    bag = open_bag(entry.folder)
    contract = parse(info.contract_text, f"{entry.folder} (its contract)")
    streams = find_streams(contract, bag, info)
    span = span_of(bag, info)
    recorded = bag.before_step({streams.decisions}) if streams.decisions else iter(())
    demonstrated = (message for message in recorded if message.log_ns in span)
    decisions, left_out = read_decisions(demonstrated, streams.decided)
    if not decisions:
        raise ValueError("; ".join([f"{entry.folder}: contains no decision", *left_out[:1]]))
    late = LateProposals(bag.before_step({streams.expert.topic}) if streams.expert else (), streams.expert)
    facts = facts_of(
        entry.name,
        entry.outcome,
        entry.state == "discarded",
        [late.join(each.decision) for each in decisions],
        contract.period_ns / 1e9,
    )
    return facts, left_out
