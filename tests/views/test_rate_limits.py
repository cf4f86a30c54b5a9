"""Rates that several pages share."""

from flask.testing import FlaskClient

from tests.conftest import HTMX


def test_lists_and_searches_have_one_generous_rate_per_user(client: FlaskClient, manager_client: FlaskClient) -> None:
    lists = ["/clients", "/recherche"] * 120
    answers = [client.get(address, headers=HTMX).status_code for address in lists]
    assert set(answers) == {200}
    refused = client.get("/contrats")
    assert (refused.status_code, "Trop de demandes" in refused.text) == (429, True)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert manager_client.get("/contrats").status_code == 200
