"""Every page that shows a list has its export, or says here why not."""

import re

import pytest

from tests.templates.test_templates import FOLDER, TEMPLATES
from webapp.views.exports.pages import PAGES

GOES_ON = re.compile(
    r"list_foot\(|next_page_link\(|page_links\(|list-foot|list-pages|Suivants|Afficher (?:la suite|les précédentes)"
)
"""What a template has that shows rows page by page, whichever way they are read on."""
EXPORTS = re.compile(r"export=|export_link\(")
WITHOUT = {
    "bank_files/_waiting.html": "what a file will hold: the file itself is exported",
    "clients/_events.html": "the timeline of one client, which is handed out with all that is theirs",
    "clients/_messages.html": "those of one client, as well",
    "commercials/contrats.html": "leads to the same contracts in their list, which is exported",
    "macros/lists.html": "where feet are made",
    "operations/_item_rows.html": "has a CSV file of its own, with a line for each field",
    "rights/proposed.html": "what is to be erased is not copied out first",
    "winleadplus/_item_rows.html": "a page of _items.html",
    "winleadplus/_run_rows.html": "rows of index.html",
}


def source_of(template: str) -> str:
    return (FOLDER / template).read_text(encoding="utf-8")


@pytest.mark.parametrize("template", [name for name in TEMPLATES if GOES_ON.search(source_of(name))])
def test_a_list_that_is_read_page_by_page_has_its_export(template: str) -> None:
    assert bool(EXPORTS.search(source_of(template))) != (template in WITHOUT) or template == "macros/lists.html"


def test_no_excuse_outlives_its_page() -> None:
    assert [name for name in WITHOUT if name not in TEMPLATES or not GOES_ON.search(source_of(name))] == []


@pytest.mark.parametrize("name", [page.name for page in PAGES])
def test_an_export_has_its_button(name: str) -> None:
    button = re.compile(rf"(?:export=|export_link\().*\"{name}\"")
    assert any(button.search(source_of(template)) for template in TEMPLATES)
