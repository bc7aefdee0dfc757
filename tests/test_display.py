"""Tables as the report shows them: decimal points stand below each other, and errors decide how a value is rounded."""

import re

import pandas as pd
import pytest
from fontTools.ttLib import TTFont
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipeline import display, fonts

FIGURE, POINT, NARROW, HARD = "\u2007", "\u2008", "\u202f", "\u00a0"
NUMBERS = st.one_of(
    st.integers(-(10**7), 10**7).map(lambda number: display.formatted(number, ",d")),
    st.tuples(
        st.floats(-1e6, 1e6, allow_nan=False),
        st.sampled_from([".0f", ".1f", ".4f", ",.2f", ".2g", ".4g", "sci2", "power"]),
    ).map(lambda pair: display.formatted(*pair)),
    st.floats(1e-18, 1e-3).map(lambda number: display.formatted(number, ".2g")),
    st.just("–"),
)


def widths(text):
    """How wide a text is: figures, points, narrow spaces and other signs, and the same in exponents."""
    raised = "".join(re.findall(r"\^([^^]*)\^", text))
    level = re.sub(r"\^[^^]*\^", "", text)
    return [
        len(re.findall(kind, part))
        for part in (level, raised)
        for kind in (rf"[\d×−–{FIGURE}]", rf"[.,{POINT}]", NARROW, HARD, r"[\[\]±]")
    ]


def behind_the_ones(cell):
    """What stands to the right of a number's ones, its decimal point included."""
    bare = re.match(rf"[{FIGURE}{POINT}]*[−\d,–]+", cell)
    return cell[bare.end() :]


@given(st.lists(NUMBERS, min_size=1, max_size=8))
def test_decimal_points_are_equally_far_from_the_right_end(numbers):
    cells = display.aligned(numbers)
    assert len({tuple(widths(behind_the_ones(cell))) for cell in cells}) == 1
    for number, cell in zip(numbers, cells, strict=True):
        assert re.sub(rf"\^[{FIGURE}]+\^|[{FIGURE}{POINT}]|{NARROW}+(?=$|\^)", "", cell) == re.sub(r"\^\^", "", number)


@given(st.lists(NUMBERS, min_size=1, max_size=8))
@example(["1,000", "10000"])
def test_padded_on_both_sides_all_numbers_are_equally_wide(numbers):
    plain = [number for number in numbers if "^" not in number]
    assume(plain)
    cells = display.aligned(plain, left=True)
    assert len({tuple(widths(cell)) for cell in cells}) == 1


@given(st.floats(-1e5, 1e5), st.floats(1e-6, 1e5))
def test_a_standard_error_has_two_significant_digits_and_rounds_its_value(value, error):
    shown, shown_error = (text.replace("−", "-").replace(",", "") for text in display.with_error(value, error, ".3f"))
    assert abs(float(shown_error) / error - 1) <= 0.05
    digits = shown_error.replace(".", "").lstrip("0")
    assert len(digits) == 2 or (len(digits) > 2 and not digits[2:].strip("0"))
    assert abs(float(shown) - value) <= float(shown_error) / 20 + 1e-9
    assert shown.partition(".")[2] == "" or len(shown.partition(".")[2]) == len(shown_error.partition(".")[2])


@pytest.mark.parametrize("error", [0, "", float("nan")])
def test_without_an_error_the_format_rounds_the_value(error):
    assert display.with_error(1.23456, error, ".3f") == ("1.235", "0" if error == 0 else "–")


def cells(table):
    return [[cell[1:-1] for cell in line[1:-1].split("|")] for line in table.splitlines()]


def test_a_table_shows_errors_intervals_and_units_in_the_fields_form():
    rows = pd.DataFrame(
        {
            "name": ["a", "b|c"],
            "mean": [3.26752, 12.5947],
            "se": [0.0776894, 0.206491],
            "share": [0.006, -0.019],
            "low": [0.004, -0.027],
            "high": [0.009, -0.011],
            "count": [7, 1234],
            "size": ["", 0.25],
        }
    )
    columns = {
        "name": {"title": "Name"},
        "mean": {"title": "Mean", "se": "se"},
        "share": {"title": "Share", "format": "percent1", "interval": ["low", "high"]},
        "count": {"format": ",d"},
        "size": {"format": ".2f"},
    }
    head, _, first, second = cells(display.pipe_table(rows, columns).replace("b\\|c", "bc"))
    assert head == ["Name", "Mean", "Share (%)", "count", "size"]
    assert first[:2] == ["a", f"3.268{HARD}±{HARD}0.078"]
    assert second[1] == f"12.59{FIGURE}{HARD}±{HARD}0.21{FIGURE}"
    assert first[2] == f"0.6{FIGURE}{HARD}[0.4,{HARD}{FIGURE}0.9]"
    assert second[2] == f"−1.9{HARD}[−2.7,{HARD}−1.1]"
    assert (first[3], second[3]) == ("7", "1,234")
    assert (first[4], second[4]) == (f"–{FIGURE}{FIGURE}{POINT}", "0.25")


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(1e-4, 10)), min_size=1, max_size=6))
def test_in_a_column_with_errors_both_points_and_the_sign_stand_below_each_other(pairs):
    rows = pd.DataFrame(pairs, columns=["x", "se"])
    shown = [line[0] for line in cells(display.pipe_table(rows, {"x": {"format": ".3f", "se": "se"}}))[2:]]
    assert len({tuple(widths(cell[cell.index("±") :])) for cell in shown}) == 1
    assert len({tuple(widths(behind_the_ones(cell))) for cell in shown}) == 1


def test_the_figures_font_has_spaces_as_wide_as_figures_on_paper_and_in_the_page(tmp_path):
    fonts.stage_fonts(tmp_path / "fonts", web=True)
    for kind in ("ttf", "woff2"):
        for face in ("SourceSansPro-Regular", "SourceSansPro-Semibold"):
            font = TTFont(tmp_path / "fonts" / f"{face}.{kind}")
            advance = {sign: font["hmtx"][font.getBestCmap()[ord(sign)]][0] for sign in f"0123456789−×{FIGURE}.,"}
            assert len({advance[sign] for sign in f"0123456789−×{FIGURE}"}) == 1
            assert advance["."] == advance[","]
