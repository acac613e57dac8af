"""The narrative of a resource, which anybody may have written, as it may stand on a page.

https://hl7.org/fhir/R4/narrative.html
"""

from html import escape
from html.parser import HTMLParser

_KEPT = frozenset(
    {
        *(
            "abbr",
            "b",
            "big",
            "blockquote",
            "br",
            "caption",
            "code",
            "col",
            "colgroup",
            "dd",
            "div",
            "dl",
            "dt",
        ),
        *("em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "li", "ol", "p", "pre", "q", "samp", "small"),
        *(
            "span",
            "strong",
            "sub",
            "sup",
            "table",
            "tbody",
            "td",
            "tfoot",
            "th",
            "thead",
            "tr",
            "tt",
            "u",
            "ul",
        ),
    }
)
_KEPT_ATTRIBUTES = frozenset({"xmlns", "lang", "xml:lang", "colspan", "rowspan"})
_EMPTY = frozenset({"br", "col", "hr"})
_NO_TEXT = frozenset({"script", "style"})


def clean_narrative(narrative: str) -> str:
    """The text and structure of a narrative, without scripts, styles, links, images and forms."""
    kept = _KeptMarkup()
    kept.feed(narrative)
    kept.close()
    return "".join(kept.found)


class _KeptMarkup(HTMLParser):
    """Writes down what is kept of the markup that it is fed with."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._silent = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag of text, without what may act or load something."""
        self._silent = tag in _NO_TEXT
        if tag in _KEPT:
            kept = (f' {name}="{escape(value or "")}"' for name, value in attrs if name in _KEPT_ATTRIBUTES)
            self.found.append(f"<{tag}{''.join(kept)}>")

    def handle_endtag(self, tag: str) -> None:
        """Keep the end of a tag that was kept."""
        self._silent = False
        if tag in _KEPT and tag not in _EMPTY:
            self.found.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        """Keep text, escaped."""
        if not self._silent:
            self.found.append(escape(data))
