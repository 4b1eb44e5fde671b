"""An independent calculation of every answer in DuckDB SQL, written from the documented rules.

The table ``ledger`` has the rows of a ledger, with times in UTC and months by kind in ``months``. Each
query gives the columns of the answer that it is named after, in cents.
"""

import duckdb

EARLY, GRACE, NEVER = 7, 15, "DATE '9999-01-01'"
SCALE = 12  # twelfths of a cent: the terms are 1, 3 and 12 months
AGES = {
    "days_0_7": (0, 7),
    "days_8_30": (8, 30),
    "days_31_90": (31, 90),
    "days_over_90": (91, 10**6),
}

ENTRIES = """
CREATE TABLE entries AS
SELECT *, coalesce(gross_cents < 0, false) OR coalesce(kind = 'refund', false) AS refund,
    date_trunc('month', paid_at)::DATE AS month
FROM ledger
"""
MONTHS = """
CREATE TABLE months AS
SELECT month::DATE AS month, least(last_day(month::DATE), today) AS day,
    today >= last_day(month::DATE) AS ended
FROM moment, generate_series((SELECT min(month) FROM entries)::TIMESTAMP,
    today::TIMESTAMP, INTERVAL 1 MONTH) AS every(month)
"""
# When each payment for several months was refunded in full.
REFUNDED = """
CREATE TABLE refunded AS
WITH refunds AS (
    SELECT * REPLACE (coalesce(paid_at, as_of - INTERVAL 1 MICROSECOND) AS paid_at)
    FROM entries, moment WHERE refund
), named AS (
    SELECT l.position, r.paid_at, l.gross_cents + sum(r.gross_cents) OVER (
        PARTITION BY l.position ORDER BY r.paid_at, r.payment_id) AS rest
    FROM refunds r JOIN entries l ON l.app = r.app AND l.payment_id = r.refund_of
    WHERE l.months > 1 AND NOT l.refund
), unnamed AS (
    SELECT max_by(l.position, l.position) AS position, r.paid_at
    FROM refunds r JOIN entries l ON l.app = r.app AND l.payer = r.payer AND l.currency = r.currency
        AND l.gross_cents = -r.gross_cents AND l.paid_at <= r.paid_at
    WHERE r.refund_of IS NULL AND l.months > 1 AND NOT l.refund
    GROUP BY r.position, r.paid_at
)
SELECT position, min(paid_at)::DATE AS day
FROM (SELECT position, paid_at FROM named WHERE rest <= 0 UNION ALL FROM unnamed) GROUP BY position
"""
PAYMENTS = f"""
CREATE TABLE payments AS
WITH owned AS (
    SELECT * REPLACE (CASE WHEN first_value(payer IS NULL) OVER (
        PARTITION BY app, subscription ORDER BY position) AND subscription IS NOT NULL
        THEN subscription ELSE payer END AS payer)
    FROM entries WHERE NOT refund AND months > 0
)
SELECT position, app, currency, payer, paid_at::DATE AS day, gross_cents AS cents, net_cents AS net,
    subscription AS sub, months AS term, coalesce(refunded.day, {NEVER}) AS back,
    row_number() OVER (PARTITION BY app, currency, payer
        ORDER BY paid_at, gross_cents, net_cents, payment_id) AS n
FROM owned LEFT JOIN refunded USING (position) WHERE payer IS NOT NULL
"""
CHAIN = (
    "STRUCT(i INT, first DATE, months INT, due DATE, cents BIGINT, sub VARCHAR, term INT, extra BOOL,"
    " n INT, paid DATE, back DATE, stop DATE)[]"
)
PERIOD = "STRUCT(i INT, n INT, start DATE, stop DATE, term INT, cents BIGINT, net BIGINT,"
PERIOD += " position BIGINT)[]"
# One step for each payment of a payer: the subscriptions so far, and the periods that they pay for.
PERIODS = f"""
CREATE TABLE periods AS
WITH RECURSIVE run AS (
    SELECT DISTINCT app, currency, payer, 0 AS taken, []::{CHAIN} AS chains, []::{PERIOD} AS periods
    FROM payments
UNION ALL
    SELECT app, currency, payer, taken + 1,
        CASE WHEN renewed IS NOT NULL THEN list_transform(chains, lambda c: CASE WHEN c.i = renewed.i
            THEN {{i: c.i, first: c.first, months: c.months + term, due: next_due, cents: cents,
                sub: coalesce(sub, c.sub), term: term, extra: c.extra, n: c.n + 1, paid: day,
                back: back, stop: least(next_due + {GRACE}, back - 1)}} ELSE c END)
        WHEN cents = 0 THEN chains
        ELSE list_append(list_transform(chains, lambda c: CASE WHEN c.i = superseded.i
            THEN {{i: c.i, first: c.first, months: c.months, due: c.due, cents: c.cents, sub: c.sub,
                term: c.term, extra: c.extra, n: c.n, paid: c.paid, back: c.back, stop: day - 1}}
            ELSE c END),
            {{i: len(chains) + 1, first: day, months: term, due: next_due, cents: cents, sub: sub,
                term: term, extra: beside, n: 1, paid: day, back: back,
                stop: least(next_due + {GRACE}, back - 1)}})
        END,
        CASE WHEN renewed IS NOT NULL THEN list_append(list_transform(periods, lambda q:
            CASE WHEN q.i = renewed.i AND q.n = renewed.n
            THEN {{i: q.i, n: q.n, start: q.start, stop: least(q.stop, renewed.due - 1), term: q.term,
                cents: q.cents, net: q.net, position: q.position}} ELSE q END),
            {{i: renewed.i, n: renewed.n + 1, start: renewed.due,
                stop: least(next_due + {GRACE}, back - 1), term: term, cents: cents, net: net,
                position: position}})
        WHEN cents = 0 THEN periods
        ELSE list_concat(list_transform(periods, lambda q:
            CASE WHEN q.i = superseded.i AND q.n = superseded.n
            THEN {{i: q.i, n: q.n, start: q.start, stop: day - 1, term: q.term, cents: q.cents,
                net: q.net, position: q.position}} ELSE q END),
            CASE WHEN beside THEN [] ELSE [{{i: len(chains) + 1, n: 1, start: day,
                stop: least(next_due + {GRACE}, back - 1), term: term, cents: cents, net: net,
                position: position}}] END)
        END
    FROM (
        SELECT *, CASE WHEN renewed IS NULL THEN (day + to_months(term))::DATE
            ELSE (renewed.first + to_months(renewed.months + term))::DATE END AS next_due
        FROM (
            SELECT *, CASE WHEN beside THEN NULL ELSE list_sort(list_transform(list_filter(live,
                    lambda c: NOT (c.extra AND c.n = 1) AND day <= c.stop AND (day >= c.due - {EARLY}
                        OR (c.paid < day AND (term != c.term OR cents > c.cents)))),
                lambda c: {{far: abs(c.due - day), i: c.i, n: c.n}}))[1] END AS superseded
            FROM (
                SELECT *, CASE WHEN nearest.other THEN coalesce(recurring.chain, nearest.chain)
                        ELSE coalesce(nearest.chain, recurring.chain) END AS renewed,
                    len(list_filter(live, lambda c: NOT (c.extra AND c.n = 1) AND c.term = term
                        AND (sub IS NULL OR sub IS NOT DISTINCT FROM c.sub))) > 0 AS beside
                FROM (
                    SELECT *,
                        list_sort(list_filter(ranked, lambda r: NOT r.alone))[1] AS nearest,
                        list_sort(list_filter(ranked, lambda r: r.alone AND NOT r.other))[1]
                            AS recurring
                    FROM (
                        SELECT *, list_transform(list_filter(live, lambda c: day >= c.due - {EARLY}
                                AND (c.sub IS NULL OR sub IS NULL OR c.sub = sub)),
                            lambda c: {{renamed: c.sub IS DISTINCT FROM sub, far: abs(c.due - day),
                                other: c.cents != cents OR c.term != term, i: c.i,
                                alone: c.extra AND c.n = 1, chain: c}}) AS ranked
                        FROM (
                            SELECT run.*, p.position, p.day, p.cents, p.net, p.sub, p.term, p.back,
                                list_filter(chains, lambda c: p.day <= c.due + {GRACE}
                                    AND p.day < c.back) AS live
                            FROM run JOIN payments p ON p.app = run.app AND p.payer = run.payer
                                AND p.currency = run.currency AND p.n = run.taken + 1
                        )
                    )
                )
            )
        )
    )
)
SELECT app, currency, payer, unnest(periods, recursive := true)
FROM (SELECT * FROM run QUALIFY row_number() OVER (
    PARTITION BY app, currency, payer ORDER BY taken DESC) = 1)
"""
STATE = """
CASE WHEN {end} > now THEN 'running' WHEN {end} + INTERVAL 15 DAY > now THEN 'provisional'
    ELSE 'final' END
"""
MONTH_STATE = STATE.format(end="(month + INTERVAL 1 MONTH)")


def worth(groups, amount):
    """Return SQL for what each payer's subscriptions are worth at the end of each month."""
    return f"""
    SELECT {groups}, payer, month, sum({amount}::HUGEINT * {SCALE} // term) AS worth
    FROM periods JOIN months ON day BETWEEN start AND stop GROUP BY ALL
    """


def movements(groups, amount):
    """Return SQL for the sums of the movements by month, in parts of a cent."""
    return f"""
    WITH worth AS ({worth(groups, amount)}), first AS (
        SELECT {groups}, payer, min(month) AS first FROM worth GROUP BY ALL
    ), compared AS (
        SELECT {groups}, payer, month, worth AS after, true AS active, 0 AS before, false AS was
        FROM worth
        UNION ALL
        SELECT {groups}, payer, (month + INTERVAL 1 MONTH)::DATE, 0, false, worth, true FROM worth
        WHERE (month + INTERVAL 1 MONTH)::DATE IN (SELECT month FROM months)
    ), changes AS (
        SELECT {groups}, payer, month, sum(after) AS after, sum(before) AS before,
            bool_or(active) AS active, bool_or(was) AS was FROM compared GROUP BY ALL
    )
    SELECT {groups}, month, sum(before) AS opening,
        sum(after) FILTER (active AND NOT was AND month = first) AS new,
        sum(after - before) FILTER (active AND was AND after > before) AS expansion,
        sum(after - before) FILTER (active AND was AND after < before) AS contraction,
        -sum(before) FILTER (was AND NOT active) AS churn,
        sum(after) FILTER (active AND NOT was AND month > first) AS reactivation,
        sum(after) AS closing, count(*) FILTER (active) AS payers, count(*) FILTER (was) AS opened,
        count(*) FILTER (was AND NOT active) AS churned,
        count(*) FILTER (active AND NOT was AND month > first) AS returned
    FROM changes JOIN first USING ({groups}, payer) GROUP BY ALL
    """


def unclassified(groups, amount):
    """Return SQL for the payments of plans that pay for no period."""
    column = {"cents": "gross_cents", "net": "net_cents"}[amount]
    return f"""
    SELECT month, {groups}, sum({column}) AS unclassified
    FROM entries ANTI JOIN periods USING (position)
    WHERE NOT refund AND months > 0 GROUP BY ALL HAVING sum({column}) != 0
    """


def rounded(*names):
    """Return SQL for the sum of some columns in cents, rounded half up."""
    total = " + ".join(f"coalesce({name}, 0)" for name in names)
    return f"((2 * ({total}) + {SCALE}) // {2 * SCALE})::BIGINT"


def mrr(groups, amount):
    names = ["opening", "new", "expansion", "contraction", "churn", "reactivation"]
    moved = [
        f"{rounded(*names[: end + 1])} - {rounded(*names[:end])} AS {names[end]}"
        for end in range(1, len(names))
    ]
    return f"""
    SELECT month, {groups}, {rounded("opening")} AS opening, {", ".join(moved)},
        {rounded("closing")} AS closing, payers, {MONTH_STATE} AS state
    FROM ({movements(groups, amount)}), moment
    """


def churn(groups, amount):
    return f"""
    SELECT month, {groups}, opened, churned, returned,
        churned / nullif(opened, 0) AS payer_churn,
        (opening + coalesce(churn, 0) + coalesce(contraction, 0)) / nullif(opening, 0) AS gross,
        (opening + coalesce(churn, 0) + coalesce(contraction, 0) + coalesce(expansion, 0))
            / nullif(opening, 0) AS net
    FROM ({movements(groups, amount)})
    """


def cohorts(groups, amount):
    return f"""
    WITH worth AS ({worth(groups, amount)}), first AS (
        SELECT {groups}, payer, min(month) AS cohort FROM worth GROUP BY ALL
    ), size AS (SELECT {groups}, cohort, count(*) AS payers FROM first GROUP BY ALL)
    SELECT cohort, {groups}, payers, date_diff('month', cohort, month) AS age,
        count(worth.payer) AS active, {rounded("sum(worth)")} AS mrr
    FROM size JOIN months ON month >= cohort AND ended
    LEFT JOIN first USING ({groups}, cohort)
    LEFT JOIN worth USING ({groups}, payer, month)
    GROUP BY ALL
    """


def revenue(freq, groups="app, kind, currency"):
    return f"""
    SELECT date_trunc('{freq}', paid_at)::DATE AS period, {groups},
        count(*) FILTER (NOT refund) AS payments, coalesce(sum(gross_cents) FILTER (NOT refund), 0),
        coalesce(sum(gross_cents) FILTER (refund), 0), sum(fee_cents), sum(net_cents)
    FROM entries GROUP BY ALL
    """


def payers(groups, freq, amount):
    revenue = {"gross_cents": "gross_cents) FILTER (NOT refund", "net_cents": "net_cents"}[amount]
    return f"""
    WITH own AS (
        SELECT *, date_trunc('{freq}', paid_at)::DATE AS period FROM entries WHERE payer IS NOT NULL
    ), sales AS (
        SELECT DISTINCT {groups}, payer, period FROM own WHERE NOT refund AND gross_cents != 0
    ), counts AS (
        SELECT {groups}, period, count(*) AS active, count(*) FILTER (period = first) AS new FROM (
            SELECT *, min(period) OVER (PARTITION BY {groups}, payer) AS first FROM sales
        ) GROUP BY ALL
    ), sums AS (SELECT {groups}, period, coalesce(sum({revenue}), 0) AS revenue FROM own GROUP BY ALL)
    SELECT period, {groups}, coalesce(active, 0), coalesce(new, 0),
        coalesce(active - new, 0) AS returning_payers, revenue,
        floor(revenue / active + 0.5)::BIGINT AS arpp
    FROM sums LEFT JOIN counts USING ({groups}, period)
    """


TOP_PAYERS = """
SELECT currency, row_number() OVER (PARTITION BY currency ORDER BY net DESC, payer) AS rank, payer,
    payments, gross, refunds, fee, net, net / nullif(greatest(whole, 0), 0) AS share
FROM (
    SELECT currency, payer, count(*) FILTER (NOT refund) AS payments,
        coalesce(sum(gross_cents) FILTER (NOT refund), 0) AS gross,
        coalesce(sum(gross_cents) FILTER (refund), 0) AS refunds, sum(fee_cents) AS fee,
        sum(net_cents) AS net, sum(sum(net_cents)) OVER (PARTITION BY currency) AS whole
    FROM entries GROUP BY currency, payer
) WHERE payer IS NOT NULL
"""
AGE_SUMS = ", ".join(
    f"coalesce(sum(net_cents) FILTER (age BETWEEN {first} AND {last}), 0)"
    for first, last in AGES.values()
)
PAYOUTS = f"""
WITH waiting AS (
    SELECT *, coalesce(payout_state, 'Unknown') AS state,
        greatest(date_diff('day', paid_at::DATE, today), 0) AS age
    FROM entries, moment WHERE payout_state IS DISTINCT FROM 'Paid out'
)
SELECT app, currency, state, count(*) AS payments, sum(net_cents),
    {AGE_SUMS},
    max(age) AS oldest
FROM waiting GROUP BY ALL
"""


def metrics(groups, amount):
    """Return SQL for the key figures of each month in which a payer is or was active."""
    lost = "-(coalesce(contraction, 0) + coalesce(churn, 0))"
    mean = f"OVER (PARTITION BY {groups} ORDER BY month ROWS 11 PRECEDING)"
    return f"""
    WITH moved AS ({movements(groups, amount)}), worth AS ({worth(groups, amount)}),
    net AS (SELECT {groups}, month, sum(worth) AS net FROM ({worth(groups, "net")}) GROUP BY ALL),
    retained AS (
        SELECT month, {groups}, sum(coalesce(now.worth, 0)) / sum(was.worth) AS net_12m,
            sum(least(coalesce(now.worth, 0), was.worth)) / sum(was.worth) AS gross_12m
        FROM (SELECT * REPLACE ((month + INTERVAL 12 MONTH)::DATE AS month) FROM worth) AS was
        LEFT JOIN worth AS now USING ({groups}, payer, month) GROUP BY ALL HAVING sum(was.worth) > 0
    ), rates AS (
        SELECT month, {groups}, churned / nullif(opened, 0) AS rate
        FROM months CROSS JOIN (SELECT DISTINCT {groups} FROM moved) CROSS JOIN moment
        LEFT JOIN moved USING (month, {groups}) WHERE {MONTH_STATE} = 'final'
    ), means AS (
        SELECT month, {groups}, CASE WHEN count(rate) {mean} = 12 THEN avg(rate) {mean} END AS mean
        FROM rates
    )
    SELECT moved.month, {groups}, {rounded("closing")} AS mrr,
        ((24 * closing + {SCALE}) // {2 * SCALE})::BIGINT AS arr,
        CASE WHEN payers > 0 THEN (2 * mrr + payers) // (2 * payers) END AS per_payer, payers,
        churned / nullif(opened, 0) AS payer_churn,
        (coalesce(new, 0) + coalesce(expansion, 0)) / nullif({lost}, 0) AS quick, net_12m, gross_12m,
        floor(net.net / {SCALE} / nullif(payers, 0) / nullif(mean, 0) + 0.5)::BIGINT AS lifetime,
        {MONTH_STATE.replace("month +", "moved.month +")} AS state
    FROM moved CROSS JOIN moment LEFT JOIN net USING (month, {groups})
    LEFT JOIN retained USING (month, {groups}) ASOF LEFT JOIN means USING ({groups}, month)
    """


def explained_revenue(figure, freq, groups="app, kind, currency"):
    """Return SQL for what each payment contributes to a sum of sales or refunds."""
    amount = "gross_cents" if figure == "refunds_cents" else "1" if figure == "payments" else figure
    kept = {"refunds_cents": "refund", "fee_cents": "true", "net_cents": "true"}
    return f"""
    SELECT date_trunc('{freq}', paid_at)::DATE AS period, {groups}, payment_id, {amount} AS counted
    FROM entries WHERE {kept.get(figure, "NOT refund")}
    """


def explained_mrr(figure, groups, amount):
    """Return SQL for what each payment contributes to a column of `mrr`, in whole cents.

    The running sum of the contributions is rounded, and the last payment absorbs the rounding of the
    figure.
    """
    moves = {
        "new": "active AND NOT was AND month = first AND after != 0",
        "reactivation": "active AND NOT was AND month > first AND after != 0",
        "expansion": "active AND was AND after > before",
        "contraction": "active AND was AND after < before",
        "churn": "was AND NOT active AND before != 0",
        "opening": "was AND before != 0",
        "closing": "active AND after != 0",
        "payers": "active",
    }
    sides = {"opening": ["before"], "closing": ["after"], "payers": ["after"]}
    sides = sides.get(figure, ["after", "before"])
    signs = {"after": 1, "before": 1 if figure == "opening" else -1}
    shifts = {"after": "month", "before": "(month + INTERVAL 1 MONTH)::DATE"}
    paid = " UNION ALL ".join(
        f"""SELECT {groups}, payer, position, {shifts[side]} AS month,
            {signs[side]} * ({amount}::HUGEINT * {SCALE} // term) AS part
        FROM periods JOIN months ON day BETWEEN start AND stop"""
        for side in sides
    )
    lines = f"""
    WITH worth AS ({worth(groups, amount)}), first AS (
        SELECT {groups}, payer, min(month) AS first FROM worth GROUP BY ALL
    ), changes AS (
        SELECT {groups}, payer, month, coalesce(now.worth, 0) AS after,
            coalesce(last.worth, 0) AS before, now.worth IS NOT NULL AS active,
            last.worth IS NOT NULL AS was
        FROM worth AS now FULL JOIN (
            SELECT * REPLACE ((month + INTERVAL 1 MONTH)::DATE AS month) FROM worth
        ) AS last USING ({groups}, payer, month) WHERE month IN (SELECT month FROM months)
    ), lines AS (
        SELECT {groups}, payer, month, position, sum(part) AS part
        FROM changes JOIN first USING ({groups}, payer) JOIN ({paid}) USING ({groups}, payer, month)
        WHERE {moves[figure]} GROUP BY ALL
    )
    """
    if figure == "payers":
        return f"""{lines} SELECT month, {groups}, payment_id, (row_number() OVER (
            PARTITION BY {groups}, lines.payer, month ORDER BY position) = 1)::INT AS counted
        FROM lines JOIN ledger USING (position, {groups})"""
    whole = f"floor((2 * sum(part) OVER so_far + {SCALE}) / {2 * SCALE})"
    return f"""{lines}, running AS (
        SELECT *, {whole} AS whole, row_number() OVER backwards AS n FROM lines
        WINDOW so_far AS (PARTITION BY {groups}, month ORDER BY position),
            backwards AS (PARTITION BY {groups}, month ORDER BY position DESC)
    )
    SELECT month, {groups}, payment_id, (whole - lag(whole, 1, 0) OVER (
        PARTITION BY {groups}, month ORDER BY position) + CASE WHEN n = 1 THEN figures.{figure} - whole
        ELSE 0 END)::BIGINT AS counted
    FROM running JOIN ledger USING (position, {groups})
    JOIN ({mrr(groups, amount)}) AS figures USING (month, {groups})
    """


RECONCILE = """
WITH following AS (
    SELECT *, lag(paid_at) OVER (PARTITION BY app, payer, currency, gross_cents ORDER BY position)
        AS same FROM ledger WHERE gross_cents > 0 AND payer IS NOT NULL
), renewals AS (
    SELECT *, lag(paid_at::DATE) OVER (
        PARTITION BY app, payer, coalesce(subscription, '') ORDER BY position) AS before
    FROM ledger WHERE kind = 'monthly' AND gross_cents > 0 AND payer IS NOT NULL
)
SELECT 'net' AS name, app, payment_id, gross_cents - fee_cents AS expected, net_cents AS found
FROM ledger WHERE gross_cents - fee_cents != net_cents
UNION ALL SELECT 'fee', app, payment_id, floor(gross_cents / 10 + 0.5)::BIGINT, fee_cents
FROM ledger WHERE gross_cents > 0 AND abs(gross_cents / 10 - fee_cents) >= 1
UNION ALL SELECT 'duplicates', app, payment_id, NULL, NULL
FROM ledger GROUP BY app, payment_id HAVING count(*) > 1
UNION ALL SELECT 'negatives', app, payment_id, NULL, gross_cents
FROM ledger WHERE gross_cents < 0 AND refund_of IS NULL
UNION ALL SELECT 'repeated', app, payment_id, NULL, gross_cents
FROM following WHERE paid_at - same <= INTERVAL 1 DAY
UNION ALL SELECT 'renewals', app, payment_id, NULL, NULL
FROM renewals WHERE paid_at::DATE > before + INTERVAL 1 MONTH + INTERVAL 15 DAY
UNION ALL SELECT 'payout ids', app, payment_id, NULL, NULL
FROM ledger WHERE (payout_state IS NOT DISTINCT FROM 'Paid out') = (payout_id IS NULL)
UNION ALL SELECT 'sums', app, NULL, expected, found FROM (
    UNPIVOT (SELECT app, sum(gross_cents)::BIGINT AS gross_cents, sum(fee_cents)::BIGINT AS fee_cents,
        sum(net_cents)::BIGINT AS net_cents FROM ledger GROUP BY app)
    ON gross_cents, fee_cents, net_cents INTO NAME amount VALUE expected
) JOIN (
    UNPIVOT summaries ON gross_cents, fee_cents, net_cents INTO NAME amount VALUE found
) USING (app, amount) WHERE expected != found
"""


def connect(ledger, terms):
    """Return a database with the subscriptions of a ledger."""
    rows = ledger.rows.astype(
        {name: "string" for name, dtype in ledger.rows.dtypes.items() if dtype == "category"}
    )
    for name in ("paid_at", "payout_at"):
        rows[name] = rows[name].dt.tz_localize(None)
    rows = rows.assign(months=rows["kind"].map(terms), position=range(len(rows)))
    database = duckdb.connect()
    database.register("given", rows)
    database.execute("CREATE TABLE ledger AS FROM given")
    database.execute(
        "CREATE TABLE moment AS SELECT ?::TIMESTAMP AS as_of, ?::TIMESTAMP AS now, "
        "(?::TIMESTAMP - INTERVAL 1 MICROSECOND)::DATE AS today",
        [ledger.as_of.tz_localize(None)] * 3,
    )
    for query in (ENTRIES, MONTHS, REFUNDED, PAYMENTS, PERIODS):
        database.execute(query)
    if "segment" in rows:
        database.execute("ALTER TABLE periods ADD COLUMN segment VARCHAR")
        database.execute(
            "UPDATE periods SET segment = l.segment FROM ledger l WHERE l.position = periods.position"
        )
    return database
