"""The body of an e-mail or letter: from Markdown to HTML that is safe to show, and to plain text."""

import re
from collections.abc import Sequence
from itertools import chain

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

_TAGS = frozenset(
    "p br strong em ul ol li blockquote h1 h2 h3 h4 h5 h6 a table thead tbody tr th td hr code pre".split()
)
_SCHEMES = frozenset({"http", "https", "mailto", "tel"})
_CLEANER = nh3.Cleaner(
    tags=set(_TAGS),
    attributes={"a": {"href", "title"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}},
    url_schemes=set(_SCHEMES),
    url_relative="deny",
    link_rel="noopener noreferrer",
)
_ABSOLUTE = re.compile(r"(?:https?://|mailto:|tel:)\S", re.IGNORECASE)
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table").disable("image")
_MARKDOWN.validateLink = lambda url: _ABSOLUTE.match(url) is not None  # type: ignore[method-assign]
_ALIGNED = re.compile(r'style="text-align:(left|right|center)"')
"""How a column of a table is aligned. It becomes an attribute: our pages allow no styles on elements."""
_RULE = "-" * 40


def to_html(markdown: str) -> str:
    """Sanitised HTML: links only to http, https, mailto and tel; no images, no HTML of the writer's own."""
    return _html(_MARKDOWN.parse(markdown))


def to_plain_text(markdown: str) -> str:
    """The same words without marks: links as « text (address) », each row of a table on a line."""
    return _plain_text(_MARKDOWN.parse(markdown))


def to_html_and_plain_text(markdown: str) -> tuple[str, str]:
    """Both, of a text that is read once."""
    tokens = _MARKDOWN.parse(markdown)
    return _html(tokens), _plain_text(tokens)


def _html(tokens: Sequence[Token]) -> str:
    html = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    return _CLEANER.clean(_ALIGNED.sub(r'align="\1"', html))


def _plain_text(tokens: Sequence[Token]) -> str:
    return "\n".join(_blocks(SyntaxTreeNode(tokens))) + "\n"


def _blocks(parent: SyntaxTreeNode) -> list[str]:
    """The lines of what stands in ``parent``, an empty one between two blocks."""
    lines: list[str] = []
    for node in parent.children:
        block = _block(node)
        lines += ["", *block] if lines and block else block
    return lines


def _block(node: SyntaxTreeNode) -> list[str]:
    match node.type:
        case "paragraph" | "heading":
            return _words(node.children[0]).split("\n")
        case "bullet_list" | "ordered_list":
            first = int(node.attrs.get("start", 1))
            return list(chain.from_iterable(_item(each, first + n) for n, each in enumerate(node.children)))
        case "blockquote":
            return [f"> {line}".rstrip() for line in _blocks(node)]
        case "table":
            return [_row(row) for part in node.children for row in part.children]
        case "hr":
            return [_RULE]
        case _:  # code
            return node.content.rstrip("\n").split("\n")


def _item(node: SyntaxTreeNode, number: int) -> list[str]:
    mark = f"{number}. " if node.parent and node.parent.type == "ordered_list" else "- "
    first, *rest = _blocks(node) or [""]
    return [mark + first, *(" " * len(mark) + line if line else "" for line in rest)]


def _row(row: SyntaxTreeNode) -> str:
    return " | ".join(_words(cell.children[0]) for cell in row.children)


def _words(node: SyntaxTreeNode) -> str:
    """The text of an inline node, line breaks kept."""
    if node.type in ("softbreak", "hardbreak"):
        return "\n"
    if not node.children:
        return node.content
    text = "".join(map(_words, node.children))
    if node.type != "link":
        return text
    address = str(node.attrs["href"]).removeprefix("mailto:").removeprefix("tel:")
    return text if text == address else f"{text} ({address})"
