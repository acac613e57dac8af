"""The narrative of a resource, which anybody may have written, as it may stand on a page.

https://hl7.org/fhir/R4/narrative.html: the elements of a narrative, without links, images and styles.
"""

import nh3

_PHRASES = {"abbr", "b", "big", "br", "code", "em", "i", "q", "samp", "small", "span", "strong", "u"}
_PLACED = {"sub", "sup", "tt"}
_BLOCKS = {"blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "p", "pre"}
_LISTS = {"dd", "dl", "dt", "li", "ol", "ul"}
_TABLES = {"caption", "col", "colgroup", "table", "tbody", "td", "tfoot", "th", "thead", "tr"}
_CELL = {"colspan", "rowspan"}


def clean_narrative(narrative: str) -> str:
    """The text and structure of a narrative, well-formed, with nothing that acts or loads something."""
    return nh3.clean(
        narrative,
        tags=_PHRASES | _PLACED | _BLOCKS | _LISTS | _TABLES,
        attributes={"*": {"xmlns", "lang", "xml:lang"}, "td": _CELL, "th": _CELL},
        clean_content_tags={"script", "style"},
        url_schemes=set(),
        link_rel=None,
    )
