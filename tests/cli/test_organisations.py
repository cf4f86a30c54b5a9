"""``flask organisations``: what a new installation needs before anybody can sign in."""

from collections.abc import Callable

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select

from webapp import tenancy
from webapp.extensions import db
from webapp.models.organisations import Company
from webapp.services import organisations
from webapp.services.winleadplus import config

Command = Callable[..., Result]


@pytest.fixture
def flask(app: Flask, session: None) -> Command:
    """Runs one command as the operator does: for no organisation."""
    return lambda *arguments: app.test_cli_runner().invoke(args=["organisations", *arguments])


def test_an_organisation_is_created_once(flask: Command) -> None:
    arguments = ("create", "nord", "--name", "Maison du Nord", "--company", "Nord SAS")
    done = flask(*arguments)
    assert (done.exit_code, done.output) == (0, "Organisation « nord » créée.\n")
    again = flask(*arguments)
    assert again.exit_code == 1
    assert "existe déjà" in again.output


def test_another_organisation_begins_without_the_prospects_of_the_first(flask: Command) -> None:
    made = [flask("create", slug, "--name", slug, "--company", slug).output for slug in ("nord", "sud")]
    assert made == ["Organisation « nord » créée.\n", "Organisation « sud » créée. WinLeadPlus y est désactivé.\n"]
    takes_part = {}
    for slug in ("nord", "sud"):
        with tenancy.organisation(organisations.find_organisation(slug).id):
            takes_part[slug] = config.find().enabled
    assert takes_part == {"nord": True, "sud": False}


def test_every_particular_has_its_option(flask: Command) -> None:
    flask("create", "nord", "--name", "Maison du Nord", "--company", "Nord SAS")
    given = {"siren": "732829320", "vat_number": "FR44732829320", "share_capital": "1000"}
    given |= {"email": "contact@nord.example", "phone": "+33199000001"}
    given |= {"umr_pattern": "NORD/{numero}", "name": "Nord & Fils"}
    given |= dict.fromkeys(organisations.PARTICULARS.keys() - given.keys(), "texte")
    options = [text for name, value in given.items() for text in ("--" + name.replace("_", "-"), value)]
    done = flask("set-company", "--organisation", "nord", *options)
    assert (done.exit_code, done.output) == (0, "Société « Nord & Fils » enregistrée.\n")
    with tenancy.across_organisations():
        company = db.session.scalars(select(Company).where(Company.name == "Nord & Fils")).one()
    assert all(getattr(company, name) for name in organisations.PARTICULARS)


def test_refusals_name_the_option_and_end_with_1(flask: Command) -> None:
    unknown = flask("set-company", "--organisation", "personne", "--city", "Lille")
    assert unknown.exit_code == 1
    assert "« personne » n’existe pas" in unknown.output
    flask("create", "nord", "--name", "Maison du Nord", "--company", "Nord SAS")
    wrong = flask("set-company", "--organisation", "nord", "--siren", "1")
    assert wrong.exit_code == 1
    assert "siren\u202f:" in wrong.output
    for option in ("--name", "--umr-pattern"):
        assert flask("set-company", "--organisation", "nord", option, " ").exit_code == 1
