"""Alignment of tables."""

from il_ros.core.tables import seconds, size, table


def test_columns_are_as_wide_as_their_widest_cell():
    out = table(("name", "n"), [("a", "5"), ("longer", "10")], right=("n",))
    assert out.splitlines() == ["name     n", "------  --", "a        5", "longer  10"]


def test_a_header_alone_is_a_table():
    assert table(("a",), []) == "a\n-"


def test_sizes_are_human_readable():
    assert [size(n) for n in (0, 999, 1000, 12_300_000, 5e12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "12.3 MB",
        "5000.0 GB",
    ]


def test_unknown_seconds_are_a_dash():
    assert (seconds(None), seconds(1.25)) == ("-", "1.2")
