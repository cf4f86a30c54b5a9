"""Files of figures: as French spreadsheets read them, and nothing in them runs."""

from decimal import Decimal

import pytest
from flask import Flask

from webapp.views.figures.spreadsheets import Cell, csv_file


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+33", "'+33"),
        ("-2", "'-2"),
        ("@SOMME", "'@SOMME"),
        ("\tx", "'\tx"),
        ("a;b", '"a;b"'),
        ('a"b', '"a""b"'),
        (Decimal("-1234.5"), "-1234,50"),
        (-3, "-3"),
        (None, '""'),
        ("Électricité", "Électricité"),
    ],
)
def test_a_cell(app: Flask, cell: Cell, written: str) -> None:
    with app.app_context():
        file = csv_file("x.csv", ["A"], [[cell]])
    assert file.get_data(as_text=True) == f"\ufeffA\r\n{written}\r\n"
    assert file.headers["Content-Disposition"] == 'attachment; filename="x.csv"'
