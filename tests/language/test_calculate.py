"""Arithmetic: what people and small models write as a sum comes out exactly, or is one problem."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crp.language.calculate import Unworkable, number, shown, work_out


def result(text: str) -> str:
    return shown(work_out(text))


def outcome(text: str) -> tuple[Fraction | None, str]:
    try:
        return work_out(text), ""
    except Unworkable as error:
        return None, str(error)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3 * 4", "12"),
        ("0.1 + 0.2", "0.3"),
        ("1/3 + 1/6", "0.5"),
        ("1/3", "0.333333333333"),
        ("2 × 3 ÷ 4 − 1", "0.5"),
        ("2 ^ 10 - 2**3", "1016"),
        ("-2^2", "-4"),
        ("12 - (3 + 4) * [1 + 1]", "-2"),
        ("2(3 + 4)", "14"),
        ("2 1/2 * 4", "10"),
        ("½ * 8 + 3²", "13"),
        ("1,200.50 + 1,000,000", "1001200.5"),
        ("1,5 * 2", "3"),
        ("3 million / 2", "1500000"),
        ("min(3, 4) + max(3,4) + sum(1, 2, 3)", "13"),
        ("round(10/3, 2)", "3.33"),
        ("round(-2.5)", "-3"),
        ("ceil(37 / 8) + floor(37 / 8) + abs(-1)", "10"),
        ("average(2, 4) + mean(1, 2)", "4.5"),
    ],
)
def test_sums_are_exact(text: str, value: str) -> None:
    assert result(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("15% of 80", "12"),
        ("80 * 15%", "12"),
        ("80 + 15%", "92"),
        ("100 - 20 percent", "80"),
        ("10% + 5%", "0.15"),
        ("12.5%", "0.125"),
        ("3/4 of 20", "15"),
    ],
)
def test_percents_mean_what_they_mean_on_a_pocket_calculator(text: str, value: str) -> None:
    assert result(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("total = 3 * 4", "12"),
        ("3 * 4 = 13", "12"),
        ("total = 3 * 4 = 12", "12"),
        ("3 * 4 = 12 + 5 = 17", "17"),
        ("(1 + 2) * 2 = 3 * 2 = 7", "6"),
        ("The answer is 12", "12"),
        ("Answer: $12.50", "12.5"),
        ("12 apples", "12"),
        ("3 apples * $4 per apple = $12", "12"),
        ("60 km/h * 2 h", "120"),
        ("5 m^2 * 3", "15"),
        ("The total cost is 3 * 4 = 12 dollars because each costs 4.", "12"),
        ("Tom has 3 * 4 apples", "12"),
        ("3 times 4 plus 1", "13"),
        ("10 divided by 4 multiplied by 2", "5"),
        ("3 x 4", "12"),
        ("**Total:** 3 * 4", "12"),
        ("`3 * 4`", "12"),
        (r"\( 3 \times \frac{1}{2} \)", "1.5"),
        ("1. 3 * 4", "12"),
        ("Step 1: 5 + 3 = 8\nStep 2: 8 * 2 = 16", "16"),
        ("First I set it up.\n- 3 + 5\nThat is all, I hope.", "8"),
        ("- 3 + 5", "2"),
        ("3 * 4\nSo the answer is 13", "12"),
    ],
)
def test_what_a_small_model_writes_around_a_sum_is_taken_off(text: str, value: str) -> None:
    assert result(text) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no expression to work out"),
        ("hello", "'hello' is not an expression"),
        ("5 / 0", "it divides by zero"),
        ("5 / (3 - 3)", "it divides by zero"),
        ("1 0/0 * 2", "it divides by zero"),
        ("0 ^ -1", "it divides by zero"),
        ("3 * (4", "a bracket is not closed"),
        ("3 * * 4", "'*' does not fit where it stands"),
        ("3 * 4 +", "the expression is not finished"),
        ("3 apples and 4 pears", "'3 apples and 4 pears' is not an expression"),
        ("3 * 4 and then 5 * 6", "'3 * 4 and then 5 * 6' holds several expressions"),
        ("half of 80", "'half' is not a number: write it with digits"),
        ("9 ^ 9 ^ 9", "an exponent is a small whole number"),
        ("2 ^ 0.5", "an exponent is a small whole number"),
        ("10 ^ 900", "the result is too large"),
        ("10^39 * 10^39", "the result is too large"),
        ("1" * 60 + " + 1", "a number has more than 40 digits"),
        ("(" * 60 + "1 + 1" + ")" * 60, "more than 40 brackets stand inside each other"),
        ("1+" * 1500 + "1", "the expression has more than 2,000 characters"),
        ("1+" * 500 + "1", "the expression has more than 400 parts"),
        ("round(1, 2, 3)", "round takes a number and how many decimals"),
        ("3 ~ 4", "'~' is not part of an expression"),
    ],
)
def test_what_has_no_value_says_why_in_one_sentence(text: str, problem: str) -> None:
    with pytest.raises(Unworkable) as caught:
        work_out(text)
    assert str(caught.value) == problem


def test_a_division_by_zero_is_not_answered_by_an_earlier_line() -> None:
    with pytest.raises(Unworkable, match="zero"):
        work_out("3 * 4\n5 / 0")


def test_whole_results_are_integers_and_others_have_twelve_digits() -> None:
    assert (number(Fraction(12)), type(number(Fraction(12)))) == (12, int)
    assert number(Fraction(2, 3)) == 0.666666666667
    assert shown(Fraction(1, 10**8)) == "0.00000001"
    assert shown(Fraction(5, 2)) == "2.5"


_NUMBERS = st.fractions(min_value=-1000, max_value=1000, max_denominator=50)


@settings(max_examples=200, deadline=None)
@given(_NUMBERS, _NUMBERS, _NUMBERS, st.sampled_from("+-*/"), st.sampled_from("+-*/"))
def test_sums_come_out_as_in_exact_arithmetic(
    a: Fraction, b: Fraction, c: Fraction, first: str, second: str
) -> None:
    text = f"(({a}) {first} ({b})) {second} ({c})"
    exact = {
        "+": lambda x, y: x + y,
        "-": lambda x, y: x - y,
        "*": lambda x, y: x * y,
        "/": lambda x, y: x / y,
    }
    try:
        expected = exact[second](exact[first](a, b), c)
    except ZeroDivisionError:
        with pytest.raises(Unworkable, match="zero"):
            work_out(text)
        return
    assert work_out(text) == expected


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=300),
        st.text(alphabet="0123456789.,+-*/^()%= xof½$\nab\\{}", max_size=300),
    )
)
def test_any_text_has_a_value_or_one_problem(text: str) -> None:
    value, problem = outcome(text)
    assert (value is None) is bool(problem)
    assert "\n" not in problem
    if value is not None:
        assert float(number(value)) == pytest.approx(float(value), rel=1e-9)
        assert shown(value)


@pytest.mark.parametrize(
    "text", ["1+1\n" * 200_000, "9" * 4_000_000, "a:" * 2_000_000, "(" * 10**6]
)
def test_of_megabytes_the_end_is_read_and_the_problem_is_short(text: str) -> None:
    assert len(outcome(text)[1]) < 200
