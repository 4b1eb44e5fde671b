"""Attacks of a hostile app: texts that try to call ``canary()`` or to fetch from another host.

A page has no ``canary``, so calling it is an error that tests notice. In the kernel it is the function
below.
"""

RAN = []


def canary():
    """Record that something ran in Python."""
    RAN.append("ran")


ATTACKS = [
    "<script>canary()</script>",
    "<img src=x onerror=canary()>",
    '<img src="https://evil.example/pixel.png">',
    "<svg onload=canary()></svg>",
    "<svg><script>canary()</script></svg>",
    '<iframe srcdoc="<script>parent.canary()</script>"></iframe>',
    "<style>@import url(https://evil.example/x)</style>",
    '<div style="background:url(https://evil.example/y)">x</div>',
    '<form action="https://evil.example"><button autofocus onfocus=canary()>x</button></form>',
    '<meta http-equiv="refresh" content="0;url=https://evil.example">',
    '<link rel="stylesheet" href="https://evil.example/z.css">',
    "[click](javascript:canary())",
    "[click](JaVaScRiPt&colon;canary())",
    "[click](data:text/html,<script>canary()</script>)",
    "[click](vbscript:canary())",
    "[click](file:///etc/passwd)",
    "<javascript:canary()>",
    '[a](https://ok.example "\\"onmouseover=canary() x=\\"")',
    '[a](https://ok.example "</a><script>canary()</script>")',
    "![beacon](https://evil.example/pixel.png)",
    "![beacon](//evil.example/pixel.png)",
    "![beacon](data:image/svg+xml,<svg onload=canary()>)",
    '![beacon](data:image/png;base64,AAAA"onerror=canary()//)',
    "[![beacon](https://evil.example/pixel.png)](https://ok.example)",
    "```html\n<script>canary()</script>\n```",
    "```html\n<img src=x onerror=canary()>\n```",
    '```"><script>canary()</script>\ncode\n```',
    "```python\nx = '<img src=y onerror=canary()>'\n```",
    "| <script>canary()</script> |\n| --- |\n| <img src=x onerror=canary()> |",
    "[ref]: javascript:canary()\n\n[ref]",
    "<https://evil.example/\"onmouseover='canary()'>",
    "&#x3C;script&#x3E;canary()&#x3C;/script&#x3E;",
    "</div></div><script>canary()</script>",
    "\\(\\href{javascript:canary()}{x}\\) $\\unicode{x}$",
    "\\( \\require{html} \\href{javascript:canary()}{x} \\)",
    "\\( <img src=x onerror=canary()> \\text{<script>canary()</script>} \\)",
    "\\[ \\style{background:url(https://evil.example/m)}{x} \\class{x}{y} \\]",
    "$$\\includegraphics{https://evil.example/m.png}$$",
    "$$\\def\\x{\\x\\x}\\x$$",
    "\u202egnp.<script>canary()</script>\u2066",
    "{{ __import__('attacks').canary() }}",
    "{{ [__import__('attacks').canary() for _ in '1'] }} $canary {{ canary() }}",
    "\x1b]8;;https://evil.example\x07link\x1b]8;;\x07\x1b[2J<script>canary()</script>",
]
FIELDS = (
    "text detail url alt title mode label message width task_id activity_id id name links fields"
).split()
KINDS = (
    "notification image table_preview suggestions activity task_card browser_preview ui_preview "
    "session_title integration_prompt approval_prompt file_upload session_event"
).split()


def hostile_block(attack: str, kind: str) -> dict:
    """Return a block with an attack in every field."""
    payload = dict.fromkeys(FIELDS, attack)
    payload["table"] = {
        "columns": [attack, {"label": attack}],
        "rows": [[attack, {"a": attack}], [[attack], None]],
    }
    payload["suggestions"] = [{"label": attack, "target": attack, "value": attack}, attack, None]
    return {"id": f"{kind} {attack}", "type": kind, "payload": payload}
