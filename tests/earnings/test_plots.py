"""Plots of the analyses: what they show, on which axes, and in which colors."""

import inspect
import io
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

LIGHT, DARK = "#ffffff", "#111111"  # backgrounds of JupyterLab


@pytest.fixture(autouse=True)
def no_window():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture
def payments():
    """Return payments of two apps, two currencies and three months, the last of them not final."""
    rows = [pay(f"2025-{month:02}-10", payer, 150_000) for month in (1, 2, 3) for payer in "ab"]
    rows += [pay("2025-01-10", "c"), pay("2025-03-11", "d", 2500, app="school")]
    rows += [buy("2025-02-01", "b", currency="EUR"), buy("2025-03-01", "a", -700)]
    rows += [buy("2025-03-05", "e", payout_state="In progress")]
    frame = ledger(*rows).rows.drop(columns=["payment_status", "payout_id", "payout_at"])
    return frame.capsule.declare(complete=True, read_at="2025-04-01T00:00:00Z")


def drawn(plot):
    """Return the axes of a plot as a list, after laying out their texts."""
    axes = np.atleast_1d(plot)
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


NAMES = "metrics revenue payers top_payers mrr churn cohorts payouts reconcile".split()


def draw(payments, name):
    """Return the axes of a plot by its name."""
    sums = [("shop", {"gross_cents": 1, "fee_cents": 1, "net_cents": 1})]
    more = [earnings_frame(sums)] if name == "reconcile" else []
    return drawn(getattr(payments.capsule.plot, name)(*more))


@pytest.fixture(scope="module")
def many():
    """Return payments of four apps and many payers with long names, three years and currencies."""
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
    return frame.capsule.declare(complete=True, read_at="2025-01-20T00:00:00Z")


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
def test_labels_and_legends_of_many_apps_do_not_overlap(many, name):
    every = draw(many, name)
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


def test_revenue_combines_all_but_the_five_largest_sources(many):
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
def test_axes_format_currency_of_any_size(gross, ticks):
    frame = ledger(buy("2025-01-10", gross=gross)).rows.drop(columns="payment_status")
    (axes,) = drawn(frame.capsule.plot.revenue(as_of="2025-01"))
    assert ticks <= set(labels(axes.yaxis))


def test_payouts_show_exact_amount_and_oldest_payment(payments):
    (axes,) = drawn(payments.capsule.plot.payouts())
    # $49.00 less a tenth, paid on 5 March. At the end of 31 March that is 26 days ago.
    assert [text.get_text() for text in axes.texts] == [" $44.10\n oldest: 26 days"]


def test_reconcile_draws_one_dot_per_check_most_severe_first(payments):
    (axes,) = draw(payments, "reconcile")
    texts = dict(zip(labels(axes.yaxis), [text.get_text() for text in axes.texts], strict=True))
    assert axes.get_title("left") == "Reconciliation: not balanced"
    assert texts["currencies"] == "3 errors: 1 payment in USD"
    assert texts["payout ids"] == "not checked: the payments have no payout_id"
    assert texts["negatives"] == "1 for information: negative amount, probably a refund"
    assert texts["net"] == "passed"
    lights = [line.get_color() for line in axes.lines]
    worst = ["red", "orange", "blue", "teal"]
    assert lights == sorted(lights, key=[COLORS[name] for name in worst].index)


def test_mrr_draws_closings_and_movements(payments):
    only = payments[(payments["app"] == "shop") & (payments["currency"] == "USD")]
    only = only.capsule.declare(complete=True)
    closing, moved = drawn(only.capsule.plot.mrr())
    table = only.capsule.mrr()
    assert heights(closing) == set(table["closing_cents"])
    assert heights(moved) == (set(table["new_cents"]) | set(table["churn_cents"])) - {0}
    assert "$3,000" in labels(closing.yaxis) and labels(closing.xaxis)[0] == "Jan\n2025"


def test_payers_of_a_window_are_drawn_as_active(payments):
    payments.attrs["window"] = "2025-01-01T00:00:00Z/"
    above, _ = drawn(payments[payments["app"] == "school"].capsule.plot.payers())
    assert [text.get_text() for text in above.get_legend().get_texts()] == ["active"]
    assert heights(above) == {1}


def test_months_that_are_not_final_are_paler(payments):
    closing, _ = drawn(payments[payments["app"] == "shop"].capsule.plot.mrr())
    (bars,) = closing.containers
    assert [bar.get_alpha() for bar in bars] == [1.0, 1.0, 0.5]
    assert "paler: not final" in closing.figure.get_supxlabel()


def test_each_app_and_currency_has_its_own_axes(payments):
    assert len(drawn(payments.capsule.plot.mrr())) == 4  # two each for shop and school
    revenue = drawn(payments.capsule.plot.revenue())
    assert [axes.get_title("left") for axes in revenue] == ["Revenue · EUR", "Revenue · USD"]
    assert "€" in labels(revenue[0].yaxis)[1] and "$" in labels(revenue[1].yaxis)[1]


def test_plots_return_one_axes_or_an_array(payments):
    one = payments[payments["currency"] == "USD"].capsule.plot.revenue()
    assert not isinstance(one, np.ndarray)
    assert isinstance(payments.capsule.plot.revenue(), np.ndarray)


def test_cohorts_leave_unfinished_months_blank(payments):
    shop = payments[payments["app"] == "shop"]
    (axes,) = drawn(shop.capsule.plot.cohorts())
    assert axes.images[0].get_array().filled(np.nan).tolist() == [[1.0, 2 / 3, 2 / 3]]
    (axes,) = drawn(shop.capsule.plot.cohorts(as_of="2025-03-30"))
    assert axes.images[0].get_array().shape == (1, 2)


def test_plots_pass_options_to_the_analysis(payments):
    weeks = drawn(payments.capsule.plot.revenue("W", since="2025-03", tz="Europe/Berlin"))
    assert labels(weeks[0].xaxis)[0].startswith("3 Mar")
    with pytest.raises(UserError, match=r"freq .* one of D, W, MS, QS, YS, not .fortnight"):
        payments.capsule.plot.revenue("fortnight")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "reconcile"])
def test_plot_of_nothing_says_so(payments, name):
    plot = getattr(payments[:0].capsule.plot, name)
    (axes,) = drawn(plot())
    (text,) = axes.texts
    assert text.get_text() == ("Nothing to plot: the result has no rows. Check since= and as_of=.")
    assert labels(axes.xaxis) == labels(axes.yaxis) == []


def test_as_of_before_the_first_payment_leaves_nothing_to_plot(payments):
    (axes,) = drawn(payments.capsule.plot.revenue(as_of="2020-03"))
    assert axes.texts[0].get_text().startswith("Nothing to plot")
    assert len(drawn(payments.capsule.plot.revenue(since="2025-03", as_of="2025-03"))) == 2
    with pytest.raises(UserError, match="since=2025-04 begins after 2025-04-01 00:00 UTC"):
        payments.capsule.plot.revenue(since="2025-04", as_of="2025-03")


@pytest.fixture
def one_month():
    """Return payments of one month, in which every name contains dollar signs."""
    rows = [pay("2025-03-10", "a$b$c", app="shop$x$y"), pay("2025-03-12", "$d$", app="shop$x$y")]
    rows = [row | {"payout_state": "In $progress$ now"} for row in rows]
    frame = ledger(*rows).rows.drop(columns=["payment_status", "payout_id", "payout_at"])
    return frame.capsule.declare(complete=True, read_at="2025-04-01T00:00:00Z")


@pytest.mark.parametrize("name", NAMES)
def test_dollar_signs_in_names_are_text(one_month, name):
    figure = draw(one_month, name)[0].figure
    figure.canvas.draw()
    assert not [text for text in figure.findobj(matplotlib.text.Text) if text.get_parse_math()]


def test_dollar_signs_are_drawn(one_month):
    figure = one_month.capsule.plot.top_payers().figure
    image = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none"}):
        figure.savefig(image, format="svg")
    assert ">a$b$c<" in image.getvalue() and ">$d$<" in image.getvalue()


@pytest.mark.parametrize("name", ["mrr", "revenue", "payers", "churn", "metrics"])
def test_axes_of_one_month_have_room_for_six(one_month, name):
    for axes in draw(one_month, name):
        low, high = axes.get_xlim()
        assert (low, high) == (-3.2, 3.2)
        assert labels(axes.xaxis) == ["Mar\n2025"]


def test_figures_without_values_say_so(one_month):
    retention, _ = draw(one_month, "churn")
    assert [text.get_text() for text in retention.texts] == ["no values yet"]
    texts = [[text.get_text() for text in axes.texts] for axes in draw(one_month, "metrics")]
    assert texts == [[], [], *[["no values yet"]] * 4]


def test_cohorts_of_one_month_have_whole_ages(one_month):
    (axes,) = draw(one_month, "cohorts")
    assert labels(axes.xaxis) == ["0"] and axes.get_xlim() == (-0.5, 5.5)


@pytest.mark.parametrize("gross", [125, 1200, 2_500, 99_999, 12_345_678, 1_234_567_890])
def test_ticks_are_labelled_with_their_true_values(gross):
    frame = ledger(buy("2025-01-10", gross=gross)).rows.drop(columns="payment_status")
    (axes,) = drawn(frame.capsule.plot.revenue(as_of="2025-01"))
    sizes = {"k": 10**3, "M": 10**6}
    for cents, label in zip(axes.get_yticks(), labels(axes.yaxis), strict=True):
        number, size = label.strip("$kM").replace(",", ""), sizes.get(label[-1], 1)
        assert float(number) * size * 100 == pytest.approx(cents, abs=1e-6)


def test_percent_ticks_are_labelled_with_their_true_values(payments):
    _, churned = drawn(payments[payments["app"] == "shop"].capsule.plot.churn())
    churned.set_ylim(0, 0.1)
    churned.figure.canvas.draw()
    ticks = dict(zip(churned.get_yticks(), labels(churned.yaxis), strict=True))
    assert ticks and all(float(text[:-1]) == pytest.approx(100 * at) for at, text in ticks.items())


def test_metrics_draw_each_app_and_all_apps(payments):
    dollars = payments[payments["currency"] == "USD"]
    dollars = dollars.capsule.declare(complete=True)
    titles = [axes.get_title("left") for axes in draw(dollars, "metrics")]
    assert titles[::6] == ["MRR · school", "MRR · shop", "MRR · (all apps)"]
    shop = dollars[dollars["app"] == "shop"]
    every = draw(shop, "metrics")
    assert [axes.get_title("left") for axes in every] == [
        "MRR · shop",
        "Payers · shop",
        "Payer churn · shop",
        "Quick ratio · shop",
        "Yearly retention · shop",
        "Lifetime value · shop",
    ]
    assert heights(every[0]) == set(shop.capsule.mrr()["closing_cents"])


def luminance(color):
    """Return the relative luminance by WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", NAMES)
def test_plots_have_the_signature_of_their_analysis_and_document_it(payments, name):
    plot, analysis = getattr(payments.capsule.plot, name), getattr(payments.capsule, name)
    parameters, expected = (inspect.signature(each).parameters for each in (plot, analysis))
    names = [each for each in expected if each != "money"]
    has_panels = name not in ("top_payers", "reconcile")
    assert list(parameters) == names + ["apps"] * has_panels
    assert not has_panels or parameters["apps"].default == 8
    assert [parameters[each].default for each in names] == [
        expected[each].default for each in names
    ]
    text = inspect.getdoc(plot)
    for section in ("Parameters", "Returns", "Raises", "Examples"):
        assert f"\n{section}\n---" in text
    assert all(f"\n{each} : " in text for each in parameters)


@pytest.fixture(scope="module")
def crowd():
    """Return payments of 200 apps, of which the first ones are the largest."""
    rows = [
        pay(f"2025-0{month}-10", payer, 1500 + 100 * (200 - app), app=f"app {app:03}", **more)
        for app in range(200)
        for month in (1, 2, 3)[: 2 + (app < 100)]
        for payer, more in [("a", {}), ("b", {"payout_state": "In progress"})][: 1 + (app < 20)]
    ]
    frame = ledger(*rows).rows.drop(columns=["payment_status", "payout_id", "payout_at"])
    return frame.capsule.declare(complete=True, read_at="2025-04-01T00:00:00Z")


def titles(plot):
    return [axes.get_title(loc="left").replace("\n", " · ") for axes in drawn(plot)]


@pytest.mark.parametrize("name", NAMES)
def test_plots_of_many_apps_fit_on_a_page(crowd, name):
    every = draw(crowd, name)
    width, height = every[0].figure.get_size_inches()
    assert width <= 15 and height <= 21
    assert len(every) <= 6 * 10


def test_largest_apps_have_panels_and_the_others_are_added_up(crowd):
    shown = titles(crowd.capsule.plot.mrr())[::2]
    names = [f"app {app:03}" for app in range(8)]
    assert shown == [f"Monthly recurring revenue · {name}" for name in [*names, "192 others"]]
    table = crowd.capsule.mrr()
    small = table[~table["app"].isin(names)].groupby("month")
    every = drawn(crowd.capsule.plot.mrr())
    sums = [bar.get_height() for bar in every[-2].containers[0]]
    assert sums == small["closing_cents"].sum().tolist()
    assert len(titles(crowd.capsule.plot.mrr(apps=2))) == 2 * 3
    assert titles(crowd.capsule.plot.payouts(apps=12))[-1] == "Not paid out, net · 8 others"


def test_others_have_the_ratios_of_their_sums(crowd):
    names = [f"app {app:03}" for app in range(8)]
    *_, below = drawn(crowd.capsule.plot.churn())
    table = crowd.capsule.churn()
    small = (
        table[~table["app"].isin(names)]
        .groupby("month")[["opening_payers", "churned_payers", "opening_cents", "churn_cents"]]
        .sum()
    )
    churned = [bar.get_height() for bar in below.containers[0]]
    assert (
        churned[2] == 100 / (192 + 12)
        and churned[1:] == (small["churned_payers"] / small["opening_payers"]).tolist()[1:]
    )
    *_, average = drawn(crowd.capsule.plot.payers())
    paid = crowd.capsule.payers()
    paid = paid[~paid["app"].isin(names)].groupby("period")[["revenue_cents", "active_payers"]]
    exact = paid.sum()["revenue_cents"] / paid.sum()["active_payers"]
    assert list(average.lines[0].get_ydata()) == pytest.approx(exact.astype(float), abs=0.51)
    *_, axes = drawn(crowd.capsule.plot.cohorts())
    assert [text.get_text() for text in axes.texts] == ["100", "100", "51"]


def test_others_of_metrics_have_sums_only(crowd):
    every = drawn(crowd.capsule.plot.metrics(apps=3))
    shown = [axes.get_title(loc="left").replace("\n", " · ") for axes in every]
    assert shown[-8:-5] == ["MRR · 197 others", "Payers · 197 others", "MRR · (all apps)"]
    assert len(shown) == 6 * 4 + 2


def test_others_are_added_up_by_currency(crowd):
    foreign = crowd.copy()
    foreign["currency"] = (
        foreign["currency"].astype(str).mask(crowd["app"].astype(str) > "app 150", "EUR")
    )
    foreign = foreign.capsule.declare(complete=True)
    shown = titles(foreign.capsule.plot.mrr(apps=1))[::2]
    assert [title.partition(" · ")[2] for title in shown] == [
        "app 000 · USD",
        "150 others · USD",
        "49 others · EUR",
    ]


@pytest.mark.parametrize("apps", [0, 13, True, "8", 2.5])
def test_number_of_panels_has_bounds(payments, apps):
    with pytest.raises(UserError, match="apps must be a number from 1 to 12, not"):
        payments.capsule.plot.mrr(apps=apps)


def test_top_payers_fit_on_a_page():
    rows = [buy("2025-01-10", f"payer {number}", 100 + number) for number in range(300)]
    frame = ledger(*rows).rows.drop(columns=["payment_status", "payout_id", "payout_at"])
    frame.attrs["read_at"] = "2025-04-01T00:00:00Z"
    (axes,) = drawn(frame.capsule.plot.top_payers(300))
    assert axes.figure.get_figheight() <= 21 and len(axes.containers[0]) == 40


@pytest.mark.parametrize("name", NAMES)
def test_plots_are_readable_on_light_and_dark_pages(payments, name):
    every = draw(payments, name)
    figure = every[0].figure
    assert figure.patch.get_alpha() == 0
    assert figure.get_suptitle() == "" and "as of 2025-04-01" in figure.get_supxlabel()
    for axes in every:
        assert axes.has_data() and axes.patch.get_alpha() == 0
        within = set(axes.texts) if name == "cohorts" else set()  # texts on colored cells
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
    # Jupyter adds no background, which would be wrong in one of the themes.
    assert backend_inline._fetch_figure_metadata(figure) is None
    for page in (LIGHT, DARK):
        assert contrast(INK, page) > 3.9
        assert all(contrast(color, page) > 2 for color in COLORS.values())


def test_heat_map_cells_differ_from_the_page():
    ends = [shades()(0.0), shades()(1.0)]
    assert contrast(ends[0], LIGHT) > 1.3 and contrast(ends[1], DARK) > 2


def test_matplotlib_is_imported_by_the_first_plot():
    program = """
import sys
import pandas as pd
import cpsl_notebook.earnings
paid = pd.to_datetime(["2025-01-10"], utc=True)
frame = pd.DataFrame({"app": ["shop"], "amount_cents": [1500], "paid_at": paid, "kind": "monthly"})
frame.capsule.revenue()
plot = frame.capsule.plot
before = "matplotlib" in sys.modules
plot.revenue()
print(before, "matplotlib" in sys.modules)
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "False True\n"


def test_plot_without_matplotlib_shows_how_to_install_it():
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
    assert "Plots need matplotlib. Install it with: pip install matplotlib" in ran.stdout, (
        ran.stderr
    )
