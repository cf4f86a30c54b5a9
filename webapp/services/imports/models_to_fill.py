"""Models to download and fill in: the headings that are known for sure, with one line as an example."""

import csv
import io

import xlsxwriter

from webapp.services.imports.columns import BY_KEY

EXAMPLE = {
    "client.civility": "Mme",
    "client.last_name": "DUPONT",
    "client.first_name": "Camille",
    "client.email": "camille.dupont@exemple.fr",
    "client.phone": "06 39 98 12 34",
    "client.birth_date": "14/07/1980",
    "client.address_line1": "12 rue des Lilas",
    "client.postcode": "69003",
    "client.city": "Lyon",
    "client.country": "France",
    "client.status": "Actif",
    "client.commercial": "",
    "contract.reference": "C-2026-001",
    "contract.status": "Actif",
    "contract.amount": "1234,56",
    "contract.product": "",
    "contract.quantity": "",
    "contract.unit_price": "",
    "contract.signed_on": "03/11/2026",
    "account.iban": "FR76 3000 6000 0112 3456 7890 189",
    "mandate.umr": "MD-1",
    "mandate.signed_on": "03/11/2026",
}


def as_csv() -> bytes:
    """UTF-8 with its mark, separated by semicolons, as French spreadsheets open it."""
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows([_headings(), list(EXAMPLE.values())])
    return text.getvalue().encode("utf-8-sig")


def as_xlsx() -> bytes:
    """A workbook whose cells are texts, so that no zero in front is lost."""
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True}) as workbook:
        sheet = workbook.add_worksheet("Clients")
        text = workbook.add_format({"num_format": "@"})
        sheet.set_column(0, len(EXAMPLE) - 1, 20, text)
        sheet.freeze_panes(1, 0)
        for number, row in enumerate([_headings(), list(EXAMPLE.values())]):
            for place, cell in enumerate(row):
                sheet.write_string(number, place, cell, text)
    return content.getvalue()


def _headings() -> list[str]:
    return [BY_KEY[key].label for key in EXAMPLE]
