"""Past attempts come in whole, once, exact and without card numbers, whatever the file is written in."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import table_kit as kit
from hypothesis import given
from hypothesis import strategies as st

from honour.errors import BadInput, MappingBroken
from honour.records.event import DisputeReported
from honour.records.route import RouteCost
from honour.stores.tabular import read_attempts

CARD = "4111" + "1111" * 3  # Put together here, so that none lies on a disk.


def test_columns_become_fields_and_local_times_become_utc(tmp_path: Path) -> None:
    first = kit.attempts_of(kit.imported(tmp_path))[0]
    assert first.attempted_at == datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    assert (first.attempt_id, first.route, first.status, first.payment.amount_minor) == ("a1", "north", "approved", 1250)
    assert (first.payment.card.network, first.payment.card.card_id) == ("visa", "pay_a1")


def test_attempts_within_a_minute_of_the_one_before_are_one_payment(tmp_path: Path) -> None:
    rows = tuple(f"a{at},2026-03-01 10:{at // 60:02}:{at % 60:02},80,north,0,Visa," for at in (0, 60, 120, 181))
    assert [attempt.payment.payment_id for attempt in kit.attempts_of(kit.imported(tmp_path, rows=rows))] == ["pay_a0"] * 3 + ["pay_a181"]


def test_attempts_of_other_amounts_in_between_do_not_cut_a_chain(tmp_path: Path) -> None:
    ids = [attempt.payment.payment_id for attempt in kit.attempts_of(kit.imported(tmp_path))]
    assert ids == ["pay_a1", "pay_a2", "pay_a2"]


@given(seed=st.integers(0, 1000), n_left=st.integers(1, 40))
def test_a_payment_is_named_alike_whatever_else_is_in_the_file(tmp_path_factory: pytest.TempPathFactory, seed: int, n_left: int) -> None:
    numbers, start = random.Random(seed), datetime(2026, 3, 1)
    rows = []
    for at in range(40):
        start += timedelta(seconds=numbers.choice([5, 50, 70]))
        rows.append(f"a{at},{start},{numbers.choice([80, 90])},north,0,Visa,")
    whole = {a.attempt_id: a.payment.payment_id for a in kit.attempts_of(kit.imported(tmp_path_factory.mktemp("all"), rows=tuple(rows)))}
    chains = list(dict.fromkeys(whole.values()))
    kept = set(chains[-n_left:])
    later = tuple(row for row in numbers.sample(rows, len(rows)) if whole[row.split(",")[0]] in kept)
    found = {a.attempt_id: a.payment.payment_id for a in kit.attempts_of(kit.imported(tmp_path_factory.mktemp("some"), rows=later))}
    assert found == {name: chain for name, chain in whole.items() if chain in kept}


def test_rows_come_in_order_of_time_over_several_files_and_name_theirs(tmp_path: Path) -> None:
    first, mapping = kit.write(tmp_path, rows=kit.ROWS[1:])
    second = tmp_path / "b.csv"
    second.write_text("\n".join((kit.HEADER, kit.ROWS[0], "a9,never,1,north,1,Visa,")), encoding="utf-8")
    found = read_attempts([first, second], mapping, now=kit.NOW)
    assert [attempt.attempt_id for attempt in kit.attempts_of(found)] == ["a1", "a2", "a3"]
    assert kit.refused(found) == {"attempted_at is no instant of format iso": ("b.csv:3",)}


@pytest.mark.parametrize("cell", [CARD, f"{CARD[:4]} {CARD[4:8]} {CARD[8:12]} {CARD[12:]}", f"ref{CARD}x", f"{CARD[:8]}-{CARD[8:]}"])
@pytest.mark.parametrize("column", ["note", "id", "via", "card", "when"])
def test_a_card_number_in_any_column_refuses_the_row_and_is_never_shown(tmp_path: Path, cell: str, column: str) -> None:
    at = kit.HEADER.split(",").index(column)
    row = kit.ROWS[0].split(",")
    found = kit.imported(tmp_path, rows=(",".join((*row[:at], cell, *row[at + 1 :])), *kit.ROWS[1:]))
    assert kit.refused(found) == {"a cell holds a card number": ("2",)}
    assert "1111" not in repr(found)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("b,2026-03-01 11:00:00,-3,north,1,Visa,", "payment.amount_minor is below 0"),
        ("b,2026-03-01 11:00:00,3.005,north,1,Visa,", "payment.amount_minor has more decimals than its currency"),
        ("b,2026-03-01 11:00:00,nan,north,1,Visa,", "payment.amount_minor is no amount"),
        ("b,2026-03-01 11:00:00,three,north,1,Visa,", "payment.amount_minor is no number"),
        ("b,2026-03-01 11:00:00,,north,1,Visa,", "payment.amount_minor is missing"),
        ("b,2026-03-29 02:30:00,3,north,1,Visa,", "attempted_at is a time that clocks in Europe/Berlin skip"),
        ("b,2026-04-02 11:00:00,3,north,1,Visa,", "attempted_at is in the future"),
        ("b,1960-03-01 11:00:00,3,north,1,Visa,", "attempted_at is before 1970"),
        ("b,2026-02-30 11:00:00,3,north,1,Visa,", "attempted_at is no instant of format iso"),
        ("b,2026-03-01 11:00:00,3,north,1,Elo,", "card is 'Elo', which fields.payment.card.network does not translate"),
        ("b,2026-03-01 11:00:00,3,north,2,Visa,", "ok is '2', which fields.status does not translate"),
        (f"{'b' * 130},2026-03-01 11:00:00,3,north,1,Visa,", "payment.card.card_id: expected `str` of length <= 128"),
        ("b,2026-03-01 11:00:00,3,,1,Visa,", "route is missing"),
        ("b,2026-03-01 11:00:00,3,north,1", "has 5 cells where the header has 7"),
        ("a1,2026-03-01 11:00:00,3,north,1,Visa,", "its attempt_id is that of an earlier row with other content"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_with_its_reason(tmp_path: Path, row: str, reason: str) -> None:
    found = kit.imported(tmp_path, rows=(*kit.ROWS, row))
    assert kit.refused(found) == {reason: ("5",)}
    assert len(found.events) == 3
    assert found.quality.n_rows == 4


def test_currencies_and_countries_that_do_not_exist_refuse_their_row(tmp_path: Path) -> None:
    mapping = kit.MAPPING.replace('"payment.currency" = { value = "EUR" }', '"payment.currency" = { column = "note" }')
    mapping = mapping.replace("[payments]", '"payment.customer.country" = { column = "via" }\n[payments]')
    rows = ("a,2026-03-01 10:00:00,1,DE,1,Visa,EUR", "b,2026-03-01 10:00:00,1,DE,1,Visa,EUU", "c,2026-03-01 10:00:00,1,UK,1,Visa,EUR")
    found = kit.imported(tmp_path, rows=rows, mapping=mapping)
    assert list(kit.refused(found).values()) == [("3",), ("4",)]
    assert all("ISO" in reason for reason in kit.refused(found))


def test_a_row_that_repeats_counts_once_and_one_with_another_id_counts_as_odd(tmp_path: Path) -> None:
    found = kit.imported(tmp_path, rows=(*kit.ROWS, kit.ROWS[0], kit.ROWS[1].replace("a2", "a8")))
    assert [attempt.attempt_id for attempt in kit.attempts_of(found)] == ["a1", "a2", "a8", "a3"]
    assert (found.quality.repeated_rows, found.quality.identical_rows) == (1, 1)


def test_without_ids_equal_rows_are_one_attempt_and_ids_do_not_depend_on_the_file(tmp_path: Path) -> None:
    mapping = kit.MAPPING.replace('attempt_id = { column = "id" }', "")
    whole = kit.imported(tmp_path, rows=(*kit.ROWS, kit.ROWS[0]), mapping=mapping)
    some = kit.imported(tmp_path, rows=kit.ROWS[1:], mapping=mapping)
    ids = [attempt.attempt_id for attempt in kit.attempts_of(whole)]
    assert len(set(ids)) == 3 == len(ids)
    assert ids[1:] == [attempt.attempt_id for attempt in kit.attempts_of(some)]


def test_a_local_time_that_comes_twice_is_the_earlier_and_is_counted(tmp_path: Path) -> None:
    found = kit.imported(tmp_path, rows=("a,2025-10-26 02:30:00,1,north,1,Visa,",))
    assert kit.attempts_of(found)[0].attempted_at == datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    assert found.quality.twofold_instants == 1


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        (None, "2026-03-01T09:00:00Z"),
        (None, "2026-03-01T10:00:00.000+01:00"),
        ("%d.%m.%Y %H:%M", "01.03.2026 10:00"),
        ("unix_s", "1772355600"),
        ("unix_ms", "1772355600000"),
    ],
)
def test_instants_are_read_in_the_format_that_the_mapping_names(tmp_path: Path, form: str | None, cell: str) -> None:
    field = f'{{ column = "when", format = "{form}" }}' if form else '{ column = "when" }'
    mapping = kit.MAPPING.replace('{ column = "when" }', field)
    found = kit.imported(tmp_path, rows=(f"a,{cell},1,north,1,Visa,",), mapping=mapping)
    assert kit.attempts_of(found)[0].attempted_at == datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("currency", "cell", "minor"), [("JPY", "1200", 1200), ("KWD", "1.234", 1234), ("EUR", "1.1", 110), ("USD", "8.29", 829)]
)
def test_amounts_are_exact_in_the_minor_unit_of_their_currency(tmp_path: Path, currency: str, cell: str, minor: int) -> None:
    mapping = kit.MAPPING.replace('value = "EUR"', f'value = "{currency}"')
    assert (
        kit.attempts_of(kit.imported(tmp_path, rows=(f"a,2026-03-01 10:00:00,{cell},n,1,Visa,",), mapping=mapping))[0].payment.amount_minor
        == minor
    )


def test_decimal_commas_semicolons_and_other_encodings_are_read(tmp_path: Path) -> None:
    mapping = kit.MAPPING.replace("[fields]", 'delimiter = ";"\ndecimal = ","\nencoding = "cp1252"\n[fields]')
    file, told = kit.write(tmp_path, mapping=mapping)
    file.write_bytes(f"{kit.HEADER.replace(',', ';')}\na;2026-03-01 10:00:00;1.234,50;süd;1;Visa;\n".encode("cp1252"))
    found = kit.attempts_of(read_attempts([file], told, now=kit.NOW))[0]
    assert (found.payment.amount_minor, found.route) == (123450, "süd")


def test_answers_arrive_after_the_delay_that_the_mapping_states(tmp_path: Path) -> None:
    found = kit.imported(tmp_path, mapping=kit.MAPPING.replace("[fields]", "answer_delay_s = 2.5\n[fields]"))
    first = kit.attempts_of(found)[0]
    assert first.happened_at - first.attempted_at == timedelta(seconds=2.5)
    assert found.events[0][1] == 1_772_355_602_500_000


def test_the_merchant_fills_in_what_the_rows_do_not_say(tmp_path: Path) -> None:
    found = kit.imported(tmp_path, mapping=kit.MAPPING + '[merchant]\ncountry = "DE"\nmcc = "5732"\nmargin_bps = 1200\n')
    payment = kit.attempts_of(found)[0].payment
    assert (payment.merchant_country, payment.mcc, found.merchants["shop"].margin_bps) == ("DE", "5732", 1200)


def test_otherwise_stands_for_all_other_cells(tmp_path: Path) -> None:
    mapping = kit.MAPPING.replace('Master = "mastercard" }', 'Master = "mastercard" }, otherwise = "other"')
    rows = ("a,2026-03-01 10:00:00,1,n,1,Elo,", "b,2026-03-01 10:00:00,2,n,1,,", "c,2026-03-01 10:00:00,3,n,1, VISA ,")
    networks = [attempt.payment.card.network for attempt in kit.attempts_of(kit.imported(tmp_path, rows=rows, mapping=mapping))]
    assert networks == ["other", "other", "visa"]


def _as_other_kinds(folder: Path) -> dict[str, Path]:
    import openpyxl
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = kit.HEADER.split(",")
    rows = [dict(zip(names, row.split(","), strict=True)) for row in kit.ROWS]
    typed = [
        {
            **row,
            "when": datetime.fromisoformat(row["when"]),
            "euros": float(row["euros"]),
            "ok": int(row["ok"]),
            "note": row["note"] or None,
        }
        for row in rows
    ]
    files = {kind: folder / f"attempts.{kind}" for kind in ("csv", "parquet", "xlsx", "ndjson")}
    files["csv"].write_text("\ufeff" + "\r\n".join((kit.HEADER, *kit.ROWS)), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(typed), files["parquet"])
    files["ndjson"].write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for cells in (names, *(list(row.values()) for row in typed)):
        sheet.append(cells)
    book.save(files["xlsx"])
    return files


def test_csv_parquet_xlsx_and_ndjson_of_one_content_give_the_same_events(tmp_path: Path) -> None:
    kit.write(tmp_path)
    read = {kind: read_attempts([file], tmp_path / "mapping.toml", now=kit.NOW).events for kind, file in _as_other_kinds(tmp_path).items()}
    assert len(read["csv"]) == 3
    for kind in ("parquet", "xlsx", "ndjson"):
        assert read[kind] == read["csv"], kind


def test_lines_of_simulate_can_be_mapped_by_their_paths(tmp_path: Path) -> None:
    line = {"attempt_id": "a", "payment": {"amount_minor": 5, "card": {"network": "visa"}}, "at": "2026-03-01T09:00:00Z"}
    (tmp_path / "a.ndjson").write_text(f"{json.dumps(line)}\n[]\n{{\n", encoding="utf-8")
    mapping = (
        kit.MAPPING.replace('"id"', '"attempt_id"')
        .replace('"when"', '"at"')
        .replace('{ column = "euros", unit = "major" }', '{ column = "payment.amount_minor" }')
    )
    mapping = mapping.replace('column = "via"', 'value = "n"').replace(
        '{ column = "ok", values = { 1 = "approved", 0 = "declined" } }', '{ value = "approved" }'
    )
    mapping = mapping.replace(
        '{ column = "card", values = { Visa = "visa", Master = "mastercard" } }', '{ column = "payment.card.network" }'
    ).replace('["euros"]', '["at"]')
    (tmp_path / "mapping.toml").write_text(mapping, encoding="utf-8")
    found = read_attempts([tmp_path / "a.ndjson"], tmp_path / "mapping.toml", now=kit.NOW)
    assert kit.attempts_of(found)[0].payment.amount_minor == 5
    assert kit.refused(found) == {"is no JSON object": ("2", "3")}


def test_fees_and_disputes_come_from_files_beside(tmp_path: Path) -> None:
    mapping = (
        kit.MAPPING
        + '[routes]\nfees = "fees.csv"\nunit = "major"\n[disputes]\nfile = "back.csv"\npayment_id = "of"\nwhere = { yes = true }\n'
    )
    file, told = kit.write(tmp_path, mapping=mapping)
    (tmp_path / "fees.csv").write_text("\ufeffroute,approval,decline\nnorth,0.30,0\nsouth,1,0.5\n", encoding="utf-8")
    (tmp_path / "back.csv").write_text("of,yes\npay_a2,TRUE\npay_a1,FALSE\npay_a77,TRUE\n", encoding="utf-8")
    found = read_attempts([file], told, with_fees=True, now=kit.NOW)
    assert {route.id: route.cost for route in found.routes} == {
        "north": RouteCost(approval_minor=30),
        "south": RouteCost(approval_minor=100, decline_minor=50),
    }
    assert (found.routes[0].networks, found.routes[0].currencies, found.routes[0].authentications) == (
        ("mastercard", "visa"),
        ("EUR",),
        ("none",),
    )
    event, arrived_us = found.events[-1]
    assert isinstance(event, DisputeReported)
    assert (event.dispute.payment_id, arrived_us) == ("pay_a2", found.events[-2][1])
    assert (found.quality.n_disputes, found.quality.unmatched_disputes) == (1, 1)


def test_a_route_without_fees_is_an_error(tmp_path: Path) -> None:
    file, told = kit.write(tmp_path, mapping=kit.MAPPING + '[routes]\nfees = "fees.csv"\n')
    (tmp_path / "fees.csv").write_text("route,approval,decline\nnorth,1,1\n", encoding="utf-8")
    with pytest.raises(MappingBroken, match="no fees for route 'south'"):
        read_attempts([file], told, with_fees=True, now=kit.NOW)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"PAR1 not really", b"\xff\xfe\x00"])
@pytest.mark.parametrize("suffix", ["csv", "parquet", "xlsx", "ndjson", "txt"])
def test_files_that_cannot_be_read_are_refused_in_words(tmp_path: Path, content: bytes, suffix: str) -> None:
    kit.write(tmp_path)
    (tmp_path / f"x.{suffix}").write_bytes(content)
    with pytest.raises(BadInput, match=rf"x\.{suffix}"):
        read_attempts([tmp_path / f"x.{suffix}"], tmp_path / "mapping.toml", now=kit.NOW)


def test_a_header_without_rows_is_an_empty_import(tmp_path: Path) -> None:
    found = kit.imported(tmp_path, rows=())
    assert (found.events, found.quality.n_rows) == ([], 0)


def test_a_mapping_that_fits_no_row_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MappingBroken, match="none of 3 rows can be used; row 2: ok is '1'"):
        kit.imported(tmp_path, mapping=kit.MAPPING.replace('1 = "approved", 0 = "declined"', 'yes = "approved"'))
