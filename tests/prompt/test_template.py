"""Which double braces in a prompt are filled, and which are sent unchanged."""

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
from cpsl_notebook.errors import PromptError
from cpsl_notebook.prompt.markdown_table import to_markdown
from cpsl_notebook.prompt.request import Request
from cpsl_notebook.prompt.template import FilledPrompt, fill

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
    "three braces": "{{{name}}} {{{ name }}}",
    "values in double braces": r"int a[1][1]={{0}}; v{{name, 1}}; {{ -1 }} {{ None }} \d{{4}}",
    "JSX": "<C x={{ name, 1 }} style={{ color: 'red', top: 0 }} a={{color:'red'}} {...{{ }}} />",
    "JSX with names of built-in functions": "<C a={{id:1}} b={{max:'1'}} c={{ type: 'x' }} />",
    "escaped JSON, as in LangChain": '{{"a": 1}} {{"a":1}} {{"a": {{"b": [1, "{{name}}"]}}}}'
    ' {{\n  "a": name\n}}',
    "Vue": "{{ ok ? 'yes' : 'no' }} {{ $t('a') }} {{ user?.name }} {{ a || b }}"
    " {{ date | format: name }}",
    "Angular": "{{ born | date:'short' }} {{ a?.b }} {{ x | async | json: 1 }} {{ !name }}",
    "Handlebars": "{{#if name}}{{else}}{{/if}} {{> part}} {{!-- c --}} {{@index}}"
    " {{lookup a b}} {{../name}} {{yield}}",
    "Helm": '{{- if .Values.x }}{{ include "c" . | nindent 4 }}{{- end }}'
    ' {{ .Values.a | default "b" | quote }}'
    ' {{ range $k, $v := .Values.m }} {{ $v }} {{ tpl .Values.t . }} {{ printf "%s:%s" name .tag }}',
    "a spec that begins with a space": "{{ name: >10 }} {{ name: }}",
    "a spec with unknown names": "{{ nmae:>10 }} {{ name:{widht}.2f }} {{ nmae!r }}",
    "a spec with invalid syntax": "{{ name:{a b}d }}",
    "a conversion that does not exist": "{{ name!x }} {{ name!r!s }}",
    "a constant with a spec": '{{ "name":>10 }} {{ 1:02d }}',
    "syntax that is not a value": "{{ x for x in name }} {{ name := 1 }} {{ lambda: name }}",
    "Go's words": "{{ with .Values.x }} {{ if .Values.x }} {{range .items}} {{ and .a .name }}",
    "invalid syntax": "{{ a + }} {{ for }} {{ x y }} {{ 'open }} {{ a }b }} {{ (a }}",
    "doctest": ">>> 1 + 1\n2\n>>> x\n... y\n",
    "IPython session": "In [1]: foo\n   ...: bar\nOut[1]: baz\n",
    "indented text": "    first\n  second\n",
    "magics": "%capsule apps\n%%capsule x\n!ls\n?help\n;",
    "1 MB": "{ text } with {braces} and 100 % more; " * 26_000,
}


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_other_languages_are_left_unchanged(text):
    assert fill(text, {"name": "never"}).text == text


def test_other_languages_arrive_byte_for_byte(workspace):
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
def test_text_around_an_expression_is_left_unchanged(before, after):
    before = before.replace("'", "").replace('"', "")
    assert fill(f"{before}{{{{ x }}}}{after}", {"x": 7}).text == f"{before}7{after}"


@given(st.text())
def test_value_is_filled_once_whatever_it_contains(value):
    names = {"x": value, "y": "no"}
    assert fill("<{{ x }}>{{ x }}", names).text == f"<{value}>{value}"
    assert fill("{{ x }}", {"x": "{{ y }} {% y %}", "y": "no"}).text == "{{ y }} {% y %}"


@given(st.text(alphabet="{}'\" a.|+-()[]:!%#\\\n", max_size=40))
def test_any_braces_are_filled_refused_or_left_unchanged(text):
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
    "{{ text[:3] }} {{ text.upper() }} {{ text.title() }}": "a { A {{ B }} A {{ B }}",
    "{{ table['n'].sum() }} {{ len(table) }} {{ sum([1, 2]) }}": "6 3 3",
    "{{ reply }} / {{ reply.text }}": "**4** threads / **4** threads",
    '{{ {"a": "}}"}["a"] }} {{ "{{" }} {{ {"a": {}} }}': "}} {{ {'a': {}}",
    "{{ result }} {{ 'y' if n > 9 else 'n' }} {{ -n }}": "9 y -1500",
    "{{\n  n\n}}": "1500",
    "{{ n:,}} {{ n:>8,.1f }} {{ n:{width}d }}": "1,500  1,500.0  1500",
    "{{ n:{width}.{digits}f }}": "1500.00",
    "{{ text!r }} {{ text!s:>{len(text) + 2}}} {{ n!r:>6 }}": "'a {{ b }}'   a {{ b }}   1500",
    "{{ day:%d %B %Y }} {{ at:%H:%M }} {{ n:=+8d }}": "01 March 2026 09:30 +   1500",
    "{{ {'a': n}['a']:06d }} {{ table['n'][0:2].sum():>{widths['n']}}}": "001500    3",
    "{{ left | right }} {{ left | {4} }}": "{1, 2} {1, 4}",
    "{{ n != 1500 }} {{ 'a:b' }} {{ 'y:' if n else 'n!' }}": "False a:b y:",
    "{{ n  # the number\n}} {{ f'{n:,}' }} {{ 1 & 3 }}": "1500 1,500 1",
    "{{ [row * 2 for row in table['n']] }} {{ [row for row in 'ab']:}}": "[2, 4, 6] ['a', 'b']",
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
    "width": 5,
    "digits": 2,
    "widths": {"n": 4},
    "left": {1},
    "right": {2},
    "name": "Ada",
    "reply": Reply(app="x", prompt="y", pieces=["**4** ", "threads"]),
    "result": 9,
}


@pytest.mark.parametrize(("template", "filled"), FILLED.items())
def test_expression_is_replaced_by_its_value(template, filled):
    assert fill(template, NAMES).text == filled


NO_TABEL = "there is no variable 'tabel'. Did you mean 'table'? Use --raw to send braces unchanged."
FAILING = {
    "{{ tabel }}": ("NameError", f"{{{{ tabel }}}}: {NO_TABEL}"),
    "{{ [1, tabel] }}": ("NameError", f"{{{{ [1, tabel] }}}}: {NO_TABEL}"),
    "{{ [tabel for n in table] }}": ("NameError", f"{{{{ [tabel for n in table] }}}}: {NO_TABEL}"),
    "{{ nothing_like_it }}": (
        "NameError",
        "{{ nothing_like_it }}: there is no variable 'nothing_like_it'. Use --raw to send braces "
        "unchanged.",
    ),
    "{{ input }}": (
        "NameError",
        "{{ input }}: there is no variable 'input'. Use --raw to send braces unchanged.",
    ),
    "{{ table.hed(3) }}": (
        "AttributeError",
        "{{ table.hed(3) }}: a DataFrame has no attribute 'hed'. Did you mean 'head'?",
    ),
    "{{ table.queu }}": (
        "AttributeError",
        "{{ table.queu }}: a DataFrame has no attribute 'queu'. Did you mean 'queue'?",
    ),
    "{{ table.nope }}": (
        "AttributeError",
        "{{ table.nope }}: a DataFrame has no attribute 'nope'.",
    ),
    "{{ widths.n }}": (
        "AttributeError",
        "{{ widths.n }}: a dict has no attribute 'n'. Write ['n'] instead.",
    ),
    "{{ table['x'] }}": ("KeyError", "{{ table['x'] }}: there is no key 'x'."),
    "{{ 1 / 0 }}": ("ZeroDivisionError", "{{ 1 / 0 }} fails: division by zero"),
    "{{ text:d }}": (
        "ValueError",
        "{{ text:d }} fails: Unknown format code 'd' for object of type 'str'",
    ),
    "{{ table.head }}": (
        "TypeError",
        "{{ table.head }} fails: it is a function. Add parentheses to call it.",
    ),
    "{{ name | upper }}": (
        "",
        "{{ name | upper }}: filters are not supported: write `{{ name.upper() }}`.",
    ),
    "{{ name|trim|upper }}": (
        "",
        "{{ name|trim|upper }}: filters are not supported: write a Python expression.",
    ),
    "{{ name|replace('A', 'E') }}": (
        "",
        "{{ name|replace('A', 'E') }}: filters are not supported: write "
        "`{{ name.replace('A', 'E') }}`.",
    ),
    "{{ widths | list }}": (
        "",
        "{{ widths | list }}: filters are not supported: write `{{ list(widths) }}`.",
    ),
    "{{ tabel | upper }}": ("NameError", f"{{{{ tabel | upper }}}}: {NO_TABEL}"),
}


@pytest.mark.parametrize(("template", "expected"), FAILING.items())
def test_failing_expression_is_one_line_that_names_it(template, expected):
    with pytest.raises(PromptError) as caught:
        fill(f"before {template} after", NAMES)
    assert (caught.value.label, str(caught.value)) == expected


@pytest.mark.parametrize("template", ["{{ name | upper }}", "{{ widths | list }}"])
def test_advice_about_filters_works(template):
    with pytest.raises(PromptError) as caught:
        fill(template, NAMES)
    advice = str(caught.value).partition("`")[2].partition("`")[0]
    assert fill(advice, NAMES).text in ("ADA", "['n']")


UNCHANGED = {
    "{{ .a }}": "it is not a Python expression",
    "{{ b c }}": "it is not a Python expression",
    "{{#if n}}": "it begins with '#'",
    "{{ range .items }}": "it has a space before a dot",
    "{{ 1 }}": "it is a constant",
    "{{ 1:02d }}": "it is a constant",
    "{{n, 1}}": "it is a tuple without parentheses",
    "{{ x for x in table }}": "it is a generator expression",
    "{{ n := 1 }}": "it is an assignment",
    "{{ lambda: n }}": "it is a lambda",
    "{{ total:,.2f }}": "there is no variable 'total'",
    "{{ nn!r }}": "there is no variable 'nn'",
    "{{ n:{widht}.2f }}": "there is no variable 'widht'",
    "{{ id:1 }}": "there is no variable 'id'",
    "{{ n:{a b}d }}": "its conversion or format spec is invalid",
    "{{ n!x }}": "its conversion or format spec is invalid",
    "{{ n: >10 }}": "its conversion or format spec is invalid",
    "{{ table[ }}": "its braces, brackets or quotes are not closed",
    "{{ it's }}": "its braces, brackets or quotes are not closed",
    "{{ n }": "its braces, brackets or quotes are not closed",
}


@pytest.mark.parametrize(("source", "reason"), UNCHANGED.items())
def test_braces_that_are_left_unchanged_have_a_true_reason(source, reason):
    filled = fill(f"{{{{ n }}}} {source} {{{{ n }}}} {{{{}}}}", NAMES)
    assert filled.text == f"1500 {source} 1500 {{{{}}}}"
    assert [(found.source, found.reason) for found in filled.unfilled] == [(source, reason)]


def test_notice_groups_braces_by_reason():
    def notice(template):
        return Request(text="x", unfilled=fill(template, NAMES).unfilled).notice

    assert notice("{{ n }} {{") == ""
    assert notice("{{ .a }} {{ total:,.2f }} {{ .b }}") == (
        "Sent unchanged: {{ .a }} and 1 more (it is not a Python expression); {{ total:,.2f }} (there "
        "is no variable 'total')."
    )
    assert notice("{{ a:d }}{{ b:d }}{{ c:d }}{{ d:d }}{{ e:d }}").endswith(
        "{{ c:d }} (there is no variable 'c'); others for 2 more reasons."
    )
    assert notice("{{ " + "word " * 100 + "\n}}") == (
        "Sent unchanged: {{ word word word word word word word wo… (it is not a Python expression)."
    )


def test_missing_values_are_reported_unless_they_are_converted():
    names = {"a": None, "b": float("nan"), "c": pd.NA, "d": pd.NaT, "e": "", "f": 0, "g": [None]}
    filled = fill("{{ a }} {{ b:.1f }} {{ c }} {{ d }} {{ e }}{{ f }} {{ g }}", names)
    assert filled.text == "None nan <NA> NaT 0 [None]"
    assert [found.source for found in filled.missing] == [
        "{{ a }}",
        "{{ b:.1f }}",
        "{{ c }}",
        "{{ d }}",
    ]
    assert fill("{{ a!s }} {{ b!r:>5 }} {{ str(c) }}", names) == FilledPrompt("None   nan <NA>")


def test_variable_hides_a_built_in_function():
    assert fill("{{ id }} {{ id:>3 }}", {"id": 7}).text == "7   7"


@pytest.mark.parametrize(
    "piece",
    ["{{", '{{ "{{" ', "{{ .x }} ", "{{ (a ", "{{ ' ", "{{ a[ }} ", "{{ a b::: "],
)
def test_time_for_many_braces_is_proportional_to_the_text(piece):
    text = piece * (200_000 // len(piece))
    started = time.monotonic()
    assert fill(text, {}).text == text
    assert time.monotonic() - started < 60


def test_small_table_is_complete():
    assert to_markdown(TABLE) == (
        "| queue | n |\n| --- | --- |\n| a | 1 |\n| b\\|c | 2 |\n|  | 3 |"
    )


def test_large_table_says_what_it_omits():
    wide = pd.DataFrame({f"c{n}": range(1_000) for n in range(25)})
    text = to_markdown(wide)
    assert "(Omitted: 950 of 1,000 rows; 5 of 25 columns.)" in text
    assert text.count("\n") == 53
    long = pd.DataFrame({"text": ["x" * 5_000] * 40})
    assert "the rest of cells that end in […]" in to_markdown(long)
    assert len(to_markdown(pd.DataFrame({f"c{n}": ["x" * 5_000] * 40 for n in range(9)}))) < 15_000


def test_empty_table_says_so():
    assert to_markdown(pd.DataFrame({"a": []})) == "| a |\n| --- |\n\n(The table has no rows.)"
    assert to_markdown(pd.DataFrame(index=range(3))) == "(The table has 3 rows and no columns.)"


def test_index_is_shown_unless_it_only_numbers_the_rows():
    table = pd.DataFrame({"queue": ["a", "b", "a"], "n": [1, 2, 3]})
    assert to_markdown(table.groupby("queue")["n"].sum()).startswith("| queue | n |\n| --- | --- |")
    assert "|  | n |" in to_markdown(table.describe())
    assert to_markdown(table.head(2)).startswith("| queue | n |")
    years = pd.DataFrame({"revenue": [10, 20]}, index=[2021, 2022])
    assert "| 2021 | 10 |" in to_markdown(years)
    assert "| 1 | b | 2 |" in to_markdown(table[table["n"] > 1])
    counts = to_markdown(table.groupby(["queue", "n"]).size())
    assert counts.startswith("| queue | n | value |")


def test_subclass_of_dataframe_is_a_table():
    class Ours(pd.DataFrame):
        pass

    assert fill("{{ t }}", {"t": Ours({"a": [1]})}).text == "| a |\n| --- |\n| 1 |"


def test_table_in_a_prompt_does_not_need_tabulate():
    code = (
        "import sys; sys.modules['tabulate'] = None\n"
        "import pandas as pd; from cpsl_notebook.prompt.template import fill\n"
        "print(fill('{{ t }}', {'t': pd.DataFrame({'a': [1]})}).text)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "| a |\n| --- |\n| 1 |\n"
