"""A mapping that cannot be right says where, what was found, and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
import table_kit as kit

from honour.errors import MappingBroken
from honour.stores.mapping import load_mapping

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"Europe/Berlin"', '"Europe/Bärlin"', r"file\.zone: 'Europe/Bärlin' is no time zone; allowed: IANA names"),
        ('zone = "Europe/Berlin"', 'zome = "Europe/Berlin"', r"file: object contains unknown field `zome`"),
        ("within_s = 60", "within_s = 0", r"payments\.within_s: expected `float` > 0"),
        ("[payments]", "[paymints]", r"the file: object contains unknown field `paymints`"),
        ("route = {", "rute = {", r"fields\.rute: no field of an attempt\. Perhaps route.*Allowed: .*attempted_at"),
        ('value = "shop"', 'value = "shop", column = "via"', r"merchant_id: found 2 of column, columns, value and from; give exactly one"),
        ('{ value = "shop" }', "{}", r"merchant_id: found 0 of column"),
        ('Visa = "visa"', 'Visa = "vissa"', r"card\.network: found 'vissa'; allowed: visa, mastercard"),
        ('0 = "declined"', '0 = "refused"', r"status: found 'refused'; allowed: approved, declined"),
        ('value = "EUR"', 'value = "euro"', r"currency: found 'euro'; expected `str` matching regex"),
        ('value = "000000"', "value = 0", r"card\.bin: found 0; expected `str`"),
        ('"payment.currency" = { value = "EUR" }', "", r"fields: 'payment.currency' is missing; every attempt needs it"),
        ('[payments]\nsame = ["euros"]\nwithin_s = 60\n', "", r"'payment.payment_id' is missing.*or a table \[payments\] that chains"),
        ("[payments]", '"payment.payment_id" = { column = "id" }\n[payments]', r"\[payments\] makes the payments; give one or the other"),
        ('{ column = "via" }', '{ column = "via", unit = "major" }', r"fields\.route: unit is for payment\.amount_minor"),
        ('{ value = "EUR" }', '{ value = "EUR", values = { a = "USD" } }', r"values and entry say what a column means"),
        ("[fields]", "[fields", r"not valid TOML"),
    ],
)
def test_a_mapping_that_cannot_be_right_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in kit.MAPPING
    with pytest.raises(MappingBroken, match=message) as refused:
        kit.imported(tmp_path, mapping=kit.MAPPING.replace(old, new))
    assert "mapping.toml" in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'column = "euros"',
            'column = "euro"',
            r"no column 'euro', which the mapping names in fields\.payment\.amount_minor\. Perhaps 'euros'\?",
        ),
        ('same = ["euros"]', 'same = ["country"]', r"no column 'country', which the mapping names in payments\.same"),
    ],
)
def test_a_column_that_is_not_there_lists_those_that_are(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(MappingBroken, match=message) as refused:
        kit.imported(tmp_path, mapping=kit.MAPPING.replace(old, new))
    assert "Columns: id, when, euros, via, ok, card, note" in str(refused.value)


def test_times_without_a_zone_need_one(tmp_path: Path) -> None:
    with pytest.raises(MappingBroken, match=r"fields\.attempted_at: its times do not say their zone; state file\.zone"):
        kit.imported(tmp_path, mapping=kit.MAPPING.replace('zone = "Europe/Berlin"', ""))


def test_a_file_in_another_encoding_is_an_error_that_says_where_to_name_it(tmp_path: Path) -> None:
    file, told = kit.write(tmp_path)
    file.write_bytes(f"{kit.HEADER}\na,2026-03-01 10:00:00,1,süd,1,Visa,\n".encode("cp1252"))
    with pytest.raises(MappingBroken, match=r"not utf-8.*file\.encoding"):
        kit.read_attempts([file], told, now=kit.NOW)


def test_a_mapping_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MappingBroken, match="cannot be read"):
        load_mapping(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["psp_routing", "globepay"])
def test_the_examples_are_mappings(name: str) -> None:
    assert load_mapping(EXAMPLES / name / "mapping.toml").fields
