"""Text that others wrote, as it may stand in GitHub Flavored Markdown: https://github.github.com/gfm/.

It is shown as it is: nothing in it becomes a link, an image, HTML or a heading.
"""

import re

_MEANS_SOMETHING = re.compile(r"([\\`*_\[\]#|~!])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_BECOMES_LINK = re.compile(r"(?i)(:(?=//)|@|\bwww(?=\.)|(?<=mailto):|(?<=xmpp):)")


def escape(text: str) -> str:
    """The text on one line, with everything escaped that Markdown would read as more than text."""
    plain = _NO_TEXT.sub(" ", text).translate(_ENTITIES)
    return _BECOMES_LINK.sub(_apart, _MEANS_SOMETHING.sub(r"\\\1", plain))


def _apart(found: re.Match[str]) -> str:
    """What makes a link of its surroundings, in a way that does not."""
    word = found[0]
    return f"{word}&#8203;" if word.lower() == "www" else f"\\{word}"
