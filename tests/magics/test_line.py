"""The line of a magic: words, variables, comments and the trailing semicolon."""

import pytest

from cpsl_notebook.errors import UserError
from cpsl_notebook.magics.line import Line, read_line

NAMES = {"app": "support ops", "both": ["a", "b c"], "n": 3, "option": "--new #;"}

LINES = {
    "payments 'two words' \"and two\"": ["payments", "two words", "and two"],
    "payments $app $both": ["payments", "support ops", "a", "b c"],
    "payments {{ both[1] }} {{ n + 1 }}": ["payments", "b c", "4"],
    "app=$app x$app $5 {n} ~ *": ["app=$app", "x$app", "$5", "{n}", "~", "*"],
    "\"$app\", ($n) name='{{ n:03d }}'": ["support ops,", "(3)", "name=003"],
    "use $option": ["use", "--new #;"],
    "app {{ .Values.x }}": ["app", "{{ .Values.x }}"],
    "checkout --return-url https://example.org/#paid": [
        "checkout",
        "--return-url",
        "https://example.org/#paid",
    ],
    "use '# no' {{ ' #' }} # $missing {{ missing }}": ["use", "# no", " #"],
    "": [],
}


@pytest.mark.parametrize(("text", "words"), LINES.items())
def test_line_is_split_into_words_with_values(text, words):
    assert read_line(text, NAMES) == Line(words, semicolon=False)


@pytest.mark.parametrize("text", ["apps;", "apps ;", "apps;  # a comment;"])
def test_trailing_semicolon_is_removed(text):
    assert read_line(text, NAMES) == Line(["apps"], semicolon=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "app 'open",
            "Cannot read the line (No closing quotation). Check its quotes and backslashes.",
        ),
        ("app \x00", "The line contains a NUL character. Remove it."),
        ("app $ap", "$ap: there is no variable 'ap'. Did you mean 'app'?"),
        ("app $len", "$len: there is no variable 'len'."),
        ("app {{ 1 / 0 }}", "{{ 1 / 0 }} fails: division by zero"),
    ],
)
def test_invalid_line_is_one_line_that_says_what_to_do(text, message):
    with pytest.raises(UserError) as caught:
        read_line(text, NAMES)
    assert str(caught.value) == message
