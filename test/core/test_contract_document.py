"""docs/contract.yaml shows every field of a contract, and is one."""

import re
from pathlib import Path

import pytest

from il_ros.core import contract, contract_fields
from il_ros.core.codecs import base, codec_types, joints, pictures, transforms
from il_ros.core.codecs import fields as fields_codec
from il_ros.core.derived import OPERATIONS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "contract.yaml"
READ = re.compile(
    r"\b(?:section|part|top)\.(?:text|texts|number|numbers|integer|flag_or_texts|section)\(\s*\"(\w+)\""
)


def fields():
    """Return the names of all fields that the readers of contracts ask for."""
    found = set()
    for module in (contract, contract_fields, base, fields_codec, joints, pictures, transforms):
        found |= set(READ.findall(Path(module.__file__).read_text()))
    return sorted({*found, *OPERATIONS})


def test_the_document_is_a_contract():
    everything = contract.load(DOCUMENT)
    assert (everything.name, everything.rate_hz, everything.trigger) == ("everything", 20.0, "joint_states")


def test_the_readers_fields_are_found():
    assert {"rate_hz", "max_age_s", "fit", "safe", "acceleration", "reference"} <= set(fields())


@pytest.mark.parametrize("name", fields())
def test_every_field_is_shown_and_explained(name):
    """The line of at least one occurrence has a comment."""
    lines = re.findall(rf"^ *{name}:.*$", DOCUMENT.read_text(), re.MULTILINE)
    assert any("#" in line for line in lines) or name in ("observations", "actions")


@pytest.mark.parametrize("name", sorted(codec_types()))
def test_every_message_type_is_named(name):
    text = DOCUMENT.read_text()
    assert name in text or name.rpartition("/")[2] in text
