"""The pictures of the answers: what they show, on which axes, and what they need."""

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ledgers import buy, ledger, pay
from matplotlib.colors import to_rgb

import cpsl_notebook.earnings.accessor  # noqa: F401 (registers payments.capsule)
from cpsl_notebook import UserError
from cpsl_notebook.earnings.canvas import COLORS, INK

LIGHT, DARK = "#ffffff", "#111111"  # the pages of JupyterLab


@pytest.fixture(autouse=True)
def no_window():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture
def payments():
    """Two apps, two currencies, three months; the last is not final."""
    rows = [pay(f"2025-{month:02}-10", payer, 150_000) for month in (1, 2, 3) for payer in "ab"]
    rows += [pay("2025-01-10", "c"), pay("2025-03-11", "d", 2500, app="school")]
    rows += [buy("2025-02-01", "b", currency="EUR"), buy("2025-03-01", "a", -700)]
    rows += [buy("2025-03-05", "e", payout_state="In progress")]
    frame = ledger(*rows).rows.drop(columns=["payment_status", "payout_id", "payout_at"])
    frame.attrs["read_at"] = "2025-04-01T00:00:00Z"
    return frame


def drawn(answer):
    """The axes of an answer, with their texts laid out."""
    axes = np.atleast_1d(answer)
    axes[0].figure.canvas.draw()
    return list(axes)


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def heights(axes):
    return {
        round(bar.get_height() if bar.get_height() else 0)
        for bars in axes.containers
        for bar in bars
    } - {0}


def test_each_answer_has_a_picture_of_its_name(payments):
    answers = "revenue payers top_payers mrr churn cohorts".split()
    answers += [name for name in ("payouts",) if hasattr(payments.capsule, name)]
    for name in answers:
        for axes in drawn(getattr(payments.capsule.plot, name)()):
            assert axes.has_data()
            assert axes.figure.get_suptitle() == ""
            assert "as of 2025-04-01" in axes.figure.get_supxlabel()


def test_mrr_draws_what_months_closed_with_and_what_moved_them(payments):
    only = payments[(payments["app"] == "shop") & (payments["currency"] == "USD")]
    closing, moved = drawn(only.capsule.plot.mrr())
    table = only.capsule.mrr()
    assert heights(closing) == set(table["closing_cents"])
    assert heights(moved) == (set(table["new_cents"]) | set(table["churn_cents"])) - {0}
    assert "$3,000" in labels(closing.yaxis) and labels(closing.xaxis)[0] == "Jan\n2025"


def test_a_month_that_is_not_final_is_paler(payments):
    closing, _ = drawn(payments[payments["app"] == "shop"].capsule.plot.mrr())
    (bars,) = closing.containers
    assert [bar.get_alpha() for bar in bars] == [1.0, 1.0, 0.5]
    assert "paler: not final" in closing.figure.get_supxlabel()


def test_apps_have_axes_of_their_own_and_currencies_are_never_on_one(payments):
    assert len(drawn(payments.capsule.plot.mrr())) == 4  # two each for shop and school
    revenue = drawn(payments.capsule.plot.revenue())
    assert [axes.get_title("left") for axes in revenue] == ["Revenue · EUR", "Revenue · USD"]
    assert "€" in labels(revenue[0].yaxis)[1] and "$" in labels(revenue[1].yaxis)[1]


def test_one_picture_gives_its_axes_and_several_an_array(payments):
    one = payments[payments["currency"] == "USD"].capsule.plot.revenue()
    assert not isinstance(one, np.ndarray)
    assert isinstance(payments.capsule.plot.revenue(), np.ndarray)


def test_the_heat_map_leaves_blank_what_is_not_over(payments):
    shop = payments[payments["app"] == "shop"]
    (axes,) = drawn(shop.capsule.plot.cohorts())
    assert axes.images[0].get_array().filled(np.nan).tolist() == [[1.0, 2 / 3, 2 / 3]]
    (axes,) = drawn(shop.capsule.plot.cohorts(as_of="2025-03-30"))
    assert axes.images[0].get_array().shape == (1, 2)


def test_options_are_those_of_the_answer(payments):
    weeks = drawn(payments.capsule.plot.revenue("W", since="2025-03", tz="Europe/Berlin"))
    assert labels(weeks[0].xaxis)[0].startswith("24 Feb")
    with pytest.raises(UserError, match="leave money= out"):
        payments.capsule.plot.mrr(money=True)
    with pytest.raises(UserError, match="freq is one of"):
        payments.capsule.plot.revenue("fortnight")


def test_nothing_to_draw_is_said(payments):
    with pytest.raises(UserError, match="nothing to draw"):
        payments[payments["kind"] == "one_time"].capsule.plot.mrr()


def luminance(color):
    """Relative luminance, by WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_texts_and_bars_can_be_read_on_a_light_page_and_on_a_dark_one(payments):
    (axes, *_) = drawn(payments.capsule.plot.mrr())
    assert axes.figure.patch.get_alpha() == 0 and axes.patch.get_alpha() == 0
    written = [axes.title, *axes.get_xticklabels(), *axes.get_yticklabels()]
    assert {text.get_color() for text in written if text.get_text()} == {INK}
    for page in (LIGHT, DARK):
        assert contrast(INK, page) > 3.9
        assert all(contrast(color, page) > 2 for color in COLORS.values())


def test_without_matplotlib_it_says_how_to_install_it():
    program = """
import sys
sys.modules["matplotlib"] = sys.modules["matplotlib.pyplot"] = None
import pandas as pd
import cpsl_notebook.earnings.accessor
paid = pd.to_datetime(["2025-01-10"], utc=True)
frame = pd.DataFrame({"app": ["shop"], "amount_cents": [1500], "paid_at": paid, "kind": "monthly"})
try:
    frame.capsule.plot.revenue()
except Exception as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "A plot needs matplotlib: install it with pip install" in ran.stdout, ran.stderr
