"""The pictures of the answers: what they show, on which axes, and what they need."""

import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from ledgers import buy, ledger, pay
from matplotlib.colors import to_rgb
from matplotlib_inline import backend_inline

import cpsl_notebook.earnings.accessor  # noqa: F401 (registers payments.capsule)
from cpsl_notebook import UserError
from cpsl_notebook.earnings.plots.axes import COLORS, INK, shades
from cpsl_notebook.frames import earnings_frame

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


NAMES = "revenue payers top_payers mrr churn cohorts payouts reconcile".split()


def picture(payments, name):
    """The axes of a picture by its name."""
    sums = [("shop", {"gross_cents": 1, "fee_cents": 1, "net_cents": 1})]
    more = [earnings_frame(sums)] if name == "reconcile" else []
    return drawn(getattr(payments.capsule.plot, name)(*more))


@pytest.fixture(scope="module")
def many():
    """Four apps with long names, payers with longer ones, three years, three currencies."""
    rows = []
    for number in range(4):
        app, currency = (
            f"the-app-with-the-number-{number}",
            ["USD", "USD", "EUR", "CHF"][number],
        )
        for month in range(36):
            payer = f"somebody.with.a.long.name.{month % 12}@a-long-domain.example.com"
            paid_at = f"{2022 + month // 12}-{month % 12 + 1:02}-{number + 1:02}"
            state = ["Paid out", "In progress", "Failed", "Needs onboarding"][month % 4]
            more = {"app": app, "currency": currency, "payout_state": state}
            rows.append(pay(paid_at, payer, 15_000_000 + number, **more))
            if month % 4 == number:
                rows.append(buy(paid_at, payer, -70_000_000, **more))
    frame = ledger(*rows).rows.drop(columns=["payment_status", "payout_id", "payout_at"])
    frame.attrs["read_at"] = "2025-01-20T00:00:00Z"
    return frame


def boxes(texts):
    return [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]


def overlapping(found):
    return [
        (one, other)
        for number, one in enumerate(found)
        for other in found[:number]
        if one.shrunk(0.98, 0.9).overlaps(other.shrunk(0.98, 0.9))
    ]


@pytest.mark.parametrize("name", NAMES)
def test_of_many_apps_no_label_lies_over_another_nor_a_legend_over_data(many, name):
    every = picture(many, name)
    (page,) = {axes.figure.bbox for axes in every}
    assert not overlapping(boxes(axes._left_title for axes in every))
    for axes in every:
        for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
            assert not overlapping(boxes(ticks))
        assert not overlapping(boxes(axes.texts))
        shown = boxes([*axes.get_yticklabels(), *axes.texts, axes._left_title])
        assert all(page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1 for box in shown)
        data = axes.get_window_extent()
        assert data.height > 60
        if legend := axes.get_legend():
            box = legend.get_window_extent()
            assert data.y1 - 2 <= box.y0 < box.y1 <= axes._left_title.get_window_extent().y0 + 2


def test_revenue_shows_the_five_largest_sources_and_the_others_together(many):
    dollars = many[many["currency"] == "USD"].copy()
    dollars["app"] = dollars["app"].astype(str) + dollars["payer"].str[26:28]
    (axes,) = drawn(dollars.capsule.plot.revenue())
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named[0] == "net" and named[-2:] == ["others", "refunds"] and len(named) == 8
    gross = sum(bar.get_height() for bars in axes.containers[:-1] for bar in bars)
    assert gross == dollars.capsule.revenue()["gross_cents"].sum()


@pytest.mark.parametrize(
    ("gross", "ticks"),
    [
        (1, {"$0.00"}),
        (150_000, {"$0", "$1,000"}),
        (10**8, {"$0", "$200k"}),
        (10**10, {"$0", "$100M"}),
    ],
)
def test_axes_are_in_currency_whatever_its_size(gross, ticks):
    frame = ledger(buy("2025-01-10", gross=gross)).rows.drop(columns="payment_status")
    (axes,) = drawn(frame.capsule.plot.revenue(as_of="2025-01"))
    assert ticks <= set(labels(axes.yaxis))


def test_payouts_are_written_to_the_cent_with_the_oldest(payments):
    (axes,) = drawn(payments.capsule.plot.payouts())
    # $49.00 less a tenth, of 5 March, seen at the end of 31 March: 26 days ago.
    assert [text.get_text() for text in axes.texts] == [" $44.10\n oldest: 26 days"]


def test_reconciliation_is_a_light_for_each_check_the_worst_first(payments):
    (axes,) = picture(payments, "reconcile")
    said = dict(zip(labels(axes.yaxis), [text.get_text() for text in axes.texts], strict=True))
    assert axes.get_title("left") == "Reconciliation: not balanced"
    assert said["currencies"] == "3 errors: 1 payments in USD"
    assert said["payout ids"] == "not checked: the payments have no payout_id"
    assert said["negatives"] == "1 for information: negative: a refund?"
    assert said["net"] == "passed"
    lights = [line.get_color() for line in axes.lines]
    worst = ["red", "orange", "blue", "teal"]
    assert lights == sorted(lights, key=[COLORS[name] for name in worst].index)


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
    assert labels(weeks[0].xaxis)[0].startswith("3 Mar")
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


@pytest.mark.parametrize("name", NAMES)
def test_each_answer_has_a_picture_that_can_be_read_on_a_light_page_and_on_a_dark_one(
    payments, name
):
    every = picture(payments, name)
    figure = every[0].figure
    assert figure.patch.get_alpha() == 0
    assert figure.get_suptitle() == "" and "as of 2025-04-01" in figure.get_supxlabel()
    for axes in every:
        assert axes.has_data() and axes.patch.get_alpha() == 0
        within = set(axes.texts) if name == "cohorts" else set()  # on the colors of their cells
        written = set(axes.findobj(matplotlib.text.Text)) - within
        for text in written:
            assert not text.get_text() or contrast(text.get_color(), INK) < 1.05
        for text in within:
            age, row = text.get_position()
            image = axes.images[0]
            cell = image.to_rgba(image.get_array())[int(row), int(age)]
            assert contrast(text.get_color(), cell) > 4
        colors = {to_rgb(bar.get_facecolor()) for bars in axes.containers for bar in bars}
        colors |= {to_rgb(line.get_color()) for line in axes.lines if line.get_color() != "white"}
        assert all(contrast(color, page) > 2 for color in colors for page in (LIGHT, DARK))
    # Jupyter paints no page of its own behind it, which would be wrong in one theme or the other.
    assert backend_inline._fetch_figure_metadata(figure) is None
    for page in (LIGHT, DARK):
        assert contrast(INK, page) > 3.9
        assert all(contrast(color, page) > 2 for color in COLORS.values())


def test_no_cell_of_the_heat_map_looks_like_the_page():
    ends = [shades()(0.0), shades()(1.0)]
    assert contrast(ends[0], LIGHT) > 1.3 and contrast(ends[1], DARK) > 2


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
