"""Where the definitions of message types come from: installed files, bags, and the contract itself."""

import pytest

from il_ros.core import messages
from il_ros.core.messages import definitions

HEADER = "std_msgs/msg/Header"


def install(prefix, package, **files):
    """Write message files as a package installs them; `Name=text`, or `Name__idl=text`."""
    folder = prefix / "share" / package / "msg"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        stem, _, suffix = name.partition("__")
        (folder / f"{stem}.{suffix or 'msg'}").write_text(text)


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'none'}:{tmp_path}")
    return tmp_path


def test_an_installed_type_is_known_when_it_is_needed_with_those_inside_it(prefix):
    install(prefix, "acme_a_msgs", Tool="std_msgs/Header header\nFinger[] fingers\nacme_b_msgs/Force force\n")
    install(prefix, "acme_a_msgs", Finger="float32 width\nuint8 OPEN=1\n")
    install(prefix, "acme_b_msgs", Force="geometry_msgs/Vector3 vector\n")
    name = "acme_a_msgs/msg/Tool"
    assert not messages.known(name)
    text = messages.definition(name)
    assert "MSG: acme_b_msgs/Force" in text
    finger = messages.make("acme_a_msgs/msg/Finger", width=0.5)
    raw = messages.encode(name, messages.make(name, header=messages.header(7), fingers=[finger]))
    assert messages.decode(name, raw).fingers[0].width == 0.5
    assert messages.raw_stamp_ns(name, raw) == 7
    assert messages.type_hash(name).startswith("RIHS01_")


def test_a_type_of_wheels_is_found_beside_python(prefix, monkeypatch):
    install(prefix / "python", "acme_c_msgs", Level="float64 data\n")
    monkeypatch.setattr("sys.prefix", str(prefix / "python"))
    assert messages.make("acme_c_msgs/msg/Level", data=2.0).data == 2.0


def test_a_type_that_is_not_installed_says_where_it_was_looked_for(prefix):
    with pytest.raises(
        ValueError, match=r"none of .* has share/acme_d_msgs/msg/Tool\.msg; source the workspace"
    ):
        messages.definition("acme_d_msgs/msg/Tool")
    install(prefix, "acme_d_msgs", Tool="acme_missing_msgs/Part part\n")
    with pytest.raises(
        ValueError, match="'acme_missing_msgs/msg/Part', which acme_d_msgs/msg/Tool contains,: none"
    ):
        messages.definition("acme_d_msgs/msg/Tool")
    assert not messages.known("acme_d_msgs/msg/Tool")


@pytest.mark.parametrize(
    "name", ["../secret/msg/Tool", "a/msg/../../x", "a/srv/Tool", "acme_z_msgs/Tool", "a/msg/T.msg"]
)
def test_a_name_that_leads_elsewhere_is_no_type(prefix, name):
    (prefix / "share" / "secret" / "msg").mkdir(parents=True)
    (prefix / "share" / "secret" / "msg" / "Tool.msg").write_text("float64 data\n")
    with pytest.raises(ValueError, match="write it as 'package/msg/Name'"):
        messages.definition(name)


def test_a_file_that_is_no_definition_names_the_type(prefix):
    install(prefix, "acme_e_msgs", Odd="int32 3a\n")
    with pytest.raises(ValueError, match="cannot read the definition of acme_e_msgs/msg/Odd"):
        messages.definition("acme_e_msgs/msg/Odd")
    install(prefix, "acme_e_msgs", Wide="wstring name\n")
    with pytest.raises(ValueError, match="texts of wide characters are not read"):
        messages.definition("acme_e_msgs/msg/Wide")


@pytest.mark.parametrize("field", ["wstring name", "wstring<=8 name", "wstring[] names", "Label label"])
def test_a_text_of_wide_characters_is_refused_with_what_fits(prefix, field):
    install(prefix, "acme_wide_msgs", Tool=f"float64 x\n{field}\n", Label="wstring text\n")
    holder = "Label" if field.startswith("Label") else "Tool"
    said = f"acme_wide_msgs/msg/{holder} has a field of type wstring, .* what fits: messages of numbers, string and"
    with pytest.raises(ValueError, match=said):
        messages.definition("acme_wide_msgs/msg/Tool")


def test_a_package_of_idl_files_is_read(prefix):
    text = """\
#include "std_msgs/msg/Header.idl"
module acme_f_msgs {
  module msg {
    struct Level {
      std_msgs::msg::Header header;
      double data;
      float parts[3];
    };
  };
};
"""
    install(prefix, "acme_f_msgs", Level__idl=text)
    message = messages.make("acme_f_msgs/msg/Level", data=2.0)
    assert len(message.parts) == 3
    assert messages.has_header("acme_f_msgs/msg/Level")


def test_a_field_called_header_is_a_header_only_by_its_type():
    messages.register("float64 header\nfloat64 data", "acme_g_msgs/msg/Odd")
    raw = messages.encode("acme_g_msgs/msg/Odd", messages.make("acme_g_msgs/msg/Odd", header=5.0))
    assert messages.raw_stamp_ns("acme_g_msgs/msg/Odd", raw) is None
    assert messages.stamp_ns(messages.decode("acme_g_msgs/msg/Odd", raw)) is None


def test_another_definition_of_a_known_type_is_told_by_its_fields():
    messages.register("float64 force\nfloat64 width", "acme_h_msgs/msg/Grip")
    name = "acme_h_msgs/msg/Grip"
    assert messages.difference("# the same\nfloat64   force\nuint8 OPEN=1\nfloat64 width  # m", name) == ""
    assert messages.difference("", name) == messages.difference("int32 3a", name) == ""
    assert messages.difference("float64 width\nfloat64 force", name) == (
        "acme_h_msgs/msg/Grip has the fields width, force there and force, width here"
    )
    assert messages.difference("float32 force\nfloat64 width", name) == (
        "the fields of acme_h_msgs/msg/Grip (force, width) have other types there than here"
    )
    nested = f"std_msgs/Header header\n{'=' * 80}\nMSG: {HEADER.replace('/msg', '')}\nstring frame_id\n"
    messages.register("std_msgs/Header header", "acme_h_msgs/msg/Stamped")
    assert messages.difference(nested, "acme_h_msgs/msg/Stamped").startswith(
        "std_msgs/msg/Header has the fields"
    )


def test_a_schema_in_idl_is_read_with_the_types_inside_it():
    line = "=" * 80
    text = f"""\
{line}
IDL: acme_i_msgs/msg/Tool
#include "acme_i_msgs/msg/Level.idl"
module acme_i_msgs {{ module msg {{ struct Tool {{ acme_i_msgs::msg::Level level; }}; }}; }};
{line}
IDL: acme_i_msgs/msg/Level
module acme_i_msgs {{ module msg {{ struct Level {{ double data; }}; }}; }};
"""
    messages.register(text, "acme_i_msgs/msg/Tool", definitions.IDL)
    assert messages.make("acme_i_msgs/msg/Tool").level.data == 0.0
