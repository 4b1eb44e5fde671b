"""What is filled in a prompt, and what arrives as it stands."""

import datetime as dt
import decimal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shells import new_shell

from cpsl_notebook import Reply, UserError
from cpsl_notebook.prompt.markdown_table import markdown
from cpsl_notebook.prompt.template import fill

CORPUS = {
    "JSON": '{"a": {"b": {"c": []}}, "d": [{}, {"e": "{x}"}], "f": {}}\n',
    "JSON in one line": '{"a":{"b":{"c":{}}}}',
    "Jinja blocks and comments": "{% for x in xs %}{# {not} filled #}{% endfor %}{%- raw -%}\n",
    "Jinja with signs": "{{- name }} {{+ name }} {{ name -}}",
    "LaTeX": r"\frac{a}{b} \textbf{{\em x}} $\{x_{1}^{2}\}$ {{\bf b}} \begin{tabular}{|c|}%" + "\n",
    "Python": 'f"{x!r:>{width}}" + "{}".format({1: {2}}) # {{x!r}} {{"a": 1}} %s %(name)s\n',
    "shell": 'for f in *.txt; do echo "${f%.txt}" $HOME `ls` $(ls) ~ !! {a,b}; done # no comment\n',
    "CSS": "@media print { a:hover { color: #fff } }\n.a::after { content: '{{'; }\n",
    "Go templates": '{{ .Values.name }} {{range .}} {{- if $x }} {{ .x | printf "%s" }} {{/* c */}}',
    "Mustache": "{{#list}}{{{html}}}{{/list}}{{> part}}{{! note }}{{&raw}}{{^none}}",
    "regular expressions": r"^\d{3}(?P<x>[{}]{1,2})\\{{2}$ a{,3} [^}}]+ \{\{",
    "emoji and accents": "🎉👩‍👩‍👧 é é ñ \u202bעברית\u202c 中文 \u00a0 \ufeff",
    "white space": "  two\t\ttabs  \n\n\n  and lines \r\n and \x0b\x0c\x85\u2028 end  ",
    "braces alone": "{{}} {{ }} {{\n}} }} {{ {{{{ }}}} {{{}}}",
    "an apostrophe": "{{ it's }} what isn't",
    "Python of its own": "{{ [x for x in y] }} {{ {x for x in y} }} {{{name}}} {{1 & 2}} {{ a & b }}",
    "values in braces": r"int a[1][1]={{0}}; v{{name, 1}}; <C x={{ name, 1 }}/> \d{{4}}",
    "no values": "{{ x for x in name }} {{ name := 1 }} {{ lambda: name }}",
    "Go's words": "{{ with .Values.x }} {{ if .Values.x }} {{range .items}} {{ and .a .name }}",
    "no expression": "{{ a + }} {{ for }} {{ x y }} {{ 'open }} {{ a }b }} {{ (a }}",
    "a doctest": ">>> 1 + 1\n2\n>>> x\n... y\n",
    "an IPython session": "In [1]: foo\n   ...: bar\nOut[1]: baz\n",
    "an indented text": "    first\n  second\n",
    "a magic": "%capsule apps\n%%capsule x\n!ls\n?help\n;",
    "1 MB": "{ text } with {braces} and 100 % more; " * 26_000,
}


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_what_is_no_expression_is_not_touched(text):
    assert fill(text, {"name": "never"}).text == text


def test_what_is_no_expression_arrives_byte_for_byte(workspace):
    got = []
    workspace.app("verbatim")(lambda session, text: got.append(text) or "ok")
    with new_shell() as shell:
        shell.run("%load_ext cpsl_notebook\n%capsule local")
        for text in CORPUS.values():
            text = text.replace("\r\n", "\n")  # a notebook's own line end
            shell.run(f"%%capsule verbatim --once -q\n{text}\n")
            assert got.pop() == text


LITERAL = st.text(st.characters(exclude_characters="{"))


@given(LITERAL, LITERAL)
def test_a_text_around_an_expression_is_not_touched(before, after):
    before = before.replace("'", "").replace('"', "")
    assert fill(f"{before}{{{{ x }}}}{after}", {"x": 7}).text == f"{before}7{after}"


@given(st.text())
def test_a_value_is_filled_in_once_whatever_it_holds(value):
    names = {"x": value, "y": "no"}
    assert fill("<{{ x }}>{{ x }}", names).text == f"<{value}>{value}"
    assert fill("{{ x }}", {"x": "{{ y }} {% y %}", "y": "no"}).text == "{{ y }} {% y %}"


@given(st.text(alphabet="{}'\" a.|+-()[]%#\\\n", max_size=40))
def test_any_braces_are_filled_refused_or_left(text):
    try:
        filled = fill(text, {"a": "A"})
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert "{{" in text or filled.text == text


TABLE = pd.DataFrame({"queue": ["a", "b|c", None], "n": [1, 2, 3]})
FILLED = {
    "{{ n }}, {{n}}": "1500, 1500",
    "{{ day }} {{ at }}": "2026-03-01 2026-03-01 09:30:00+00:00",
    "{{ price }} {{ share }} {{ big }}": "12.50 0.1 3",
    "{{ text[:3] }} {{ text|upper }} {{ text.title() }}": "a { A {{ B }} A {{ B }}",
    "{{ table['n'].sum() }} {{ len(table) }} {{ sum([1, 2]) }}": "6 3 3",
    "{{ reply }} / {{ reply.text }}": "**4** threads / **4** threads",
    '{{ {"a": "}}"}["a"] }} {{ "{{" }} {{ {"a": {}} }}': "}} {{ {'a': {}}",
    "{{ result }} {{ 'y' if n > 9 else 'n' }} {{ -n }}": "9 y -1500",
    "{{\n  n\n}}": "1500",
    # What Jinja cannot read, or reads otherwise, and Python can.
    "{{ [row * 2 for row in table['n']] }} {{ f'{n:,}' }}": "[2, 4, 6] 1,500",
    "{{ table[(table.n > 1) & (table.n < 3)].n.sum() }} {{ len(table[~table.few]) }}": "2 1",
    "{{ day is not None }} {{ (few | many).sum() }}": "True 3",
    "{{ table.loc[:, 'n'].sum() }} {{ table.iloc[0:2, 1].sum() }} {{ 2 + 2 }} {{ (n, 1) }}": (
        "6 3 4 (1500, 1)"
    ),
    "{{ {key: n for key in 'a'} }} {{ {'a': n} }} {{ ' .Values' }}": "{'a': 1500} {'a': 1500}  .Values",
    "{{ sorted(\n  [3, n], key=lambda each: -each\n)\n}}": "[1500, 3]",
}
NAMES = {
    "n": 1500,
    "day": dt.date(2026, 3, 1),
    "at": pd.Timestamp("2026-03-01 09:30", tz="UTC"),
    "price": decimal.Decimal("12.50"),
    "share": np.float64(0.1),
    "big": np.int64(3),
    "text": "a {{ b }}",
    "table": TABLE.assign(few=TABLE["n"] < 3),
    "few": TABLE["n"] < 3,
    "many": TABLE["n"] >= 3,
    "reply": Reply(app="x", prompt="y", pieces=["**4** ", "threads"]),
    "result": 9,
}


@pytest.mark.parametrize(("template", "filled"), FILLED.items())
def test_an_expression_of_the_notebook_is_filled_in(template, filled):
    assert fill(template, NAMES).text == filled


REFUSED = {
    "{{ tabel }}": "{{ tabel }}: there is no variable tabel: did you mean table?",
    "{{ nothing_like_it }}": "there is no variable nothing_like_it.",
    "{{ table.hed(3) }}": "a DataFrame has no 'hed': did you mean head?",
    "{{ table.queu }}": "a DataFrame has no 'queu': did you mean queue?",
    "{{ text|uper }}": "No filter named 'uper'",
    "{{ 1 / 0 }}": "{{ 1 / 0 }} fails: division by zero",
    "{{ table['x'] }}": "a DataFrame has no 'x'",
    "{{ table.head }}": "call it, as in head()",
    "{{ [1, tabel] }}": "there is no variable tabel: did you mean table?",
    "{{ {'a': tabel} }}": "there is no variable tabel",
    "{{ '%r' % tabel }}": "there is no variable tabel",
    "{{ [tabel for n in table] }}": "there is no variable tabel: did you mean table?",
    "{{ [1 / 0 for n in table] }}": "fails: division by zero",
}


@pytest.mark.parametrize(("template", "said"), REFUSED.items())
def test_what_cannot_be_filled_is_one_line_that_names_it(template, said):
    with pytest.raises(UserError) as caught:
        fill(f"before {template} after", NAMES)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_name_says_how_to_send_braces_as_they_are():
    with pytest.raises(UserError, match="--raw"):
        fill("{{ tabel }}", {})


def test_braces_that_were_left_are_told():
    assert fill("{{ .a }} {{ n }} {{ b c }} {{}}", NAMES).left == ["{{ .a }}", "{{ b c }}"]


@pytest.mark.parametrize("piece", ["{{", '{{ "{{" ', "{{ .x }} ", "{{ (a ", "{{ ' ", "{{ a[ }} "])
def test_many_braces_take_seconds_not_hours(piece):
    text = piece * (200_000 // len(piece))
    started = time.monotonic()
    assert fill(text, {}).text == text
    assert time.monotonic() - started < 60


def test_a_small_table_is_all_there():
    assert markdown(TABLE) == ("| queue | n |\n| --- | --- |\n| a | 1 |\n| b\\|c | 2 |\n|  | 3 |")


def test_a_large_table_says_what_it_left_out():
    wide = pd.DataFrame({f"c{n}": range(1_000) for n in range(25)})
    text = markdown(wide)
    assert "(Left out: 950 of 1,000 rows; 5 of 25 columns.)" in text
    assert text.count("\n") == 53
    long = pd.DataFrame({"text": ["x" * 5_000] * 40})
    assert "the rest of cells that end in […]" in markdown(long)
    assert len(markdown(pd.DataFrame({f"c{n}": ["x" * 5_000] * 40 for n in range(9)}))) < 15_000


def test_a_table_with_nothing_in_it_says_so():
    assert markdown(pd.DataFrame({"a": []})) == "| a |\n| --- |\n\n(The table has no rows.)"
    assert markdown(pd.DataFrame(index=range(3))) == "(A table of 3 rows without columns.)"


def test_an_index_is_shown_unless_it_only_counts_the_rows():
    table = pd.DataFrame({"queue": ["a", "b", "a"], "n": [1, 2, 3]})
    assert markdown(table.groupby("queue")["n"].sum()).startswith("| queue | n |\n| --- | --- |")
    assert "|  | n |" in markdown(table.describe())
    assert markdown(table.head(2)).startswith("| queue | n |")
    years = pd.DataFrame({"revenue": [10, 20]}, index=[2021, 2022])
    assert "| 2021 | 10 |" in markdown(years)
    assert "| 1 | b | 2 |" in markdown(table[table["n"] > 1])
    counts = markdown(table.groupby(["queue", "n"]).size())
    assert counts.startswith("| queue | n | value |")


def test_a_table_of_a_class_of_its_own_is_a_table():
    class Ours(pd.DataFrame):
        pass

    assert fill("{{ t }}", {"t": Ours({"a": [1]})}).text == "| a |\n| --- |\n| 1 |"


def test_a_table_in_a_prompt_needs_no_further_package():
    code = (
        "import sys; sys.modules['tabulate'] = None\n"
        "import pandas as pd; from cpsl_notebook.prompt.template import fill\n"
        "print(fill('{{ t }}', {'t': pd.DataFrame({'a': [1]})}).text)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "| a |\n| --- |\n| 1 |\n"
