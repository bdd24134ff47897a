"""Texts that would run as a script, load something or break a page out of its markup if it took them for markup."""

from __future__ import annotations

PAYLOADS = (
    '</script><script>window.hacked = "script"</script>',
    "<img src=x onerror=\"window.hacked = 'image'\">",
    '"><svg onload="window.hacked = \'svg\'">',
    "' onmouseover='window.hacked = 1' autofocus onfocus='window.hacked = 1' x='",
    '</style><style>@import "https://example.org/x.css"; body { background: url(https://example.org/x.png) }',
    "--></template><iframe srcdoc=\"<script>parent.hacked = 'frame'</script>\"></iframe>",
    "javascript:window.hacked=1//data:text/html,<script>parent.hacked=1</script>",
    "<!-- <script> \u2028 \u2029 window.hacked = 1 </script> -->",
    '{{body}}{{script}}${window.hacked=1}<base href="https://example.org/"><meta http-equiv="refresh" content="0;x">',
    '<form action="https://example.org/"><input autofocus onfocus="window.hacked = 1"></form><a href="//example.org">',
    '\\u003cscript\\u003ewindow.hacked=1\\u003c/script\\u003e\\"};window.hacked=1;//',
    "&lt;script&gt;window.hacked=1&lt;/script&gt;\x1b[31m\x00\u202e\ufeff",
)
