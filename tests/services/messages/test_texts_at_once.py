"""Two people, or two workers, at the same text in the same instant."""

from collections.abc import Callable
from functools import partial

import pytest
from flask import Flask

from tests import concurrency, factories
from tests.conftest import NOW, Cast
from webapp.extensions import db
from webapp.models.identity import User
from webapp.models.messages import Channel, MessageKind, MessageTemplate
from webapp.services.messages.frames import find_frame, save_frame
from webapp.services.messages.rendering import Text
from webapp.services.messages.switches import load_switched_off, switch_off
from webapp.services.messages.templates import list_versions, load_in_use, save
from webapp.services.messages.texts import SHIPPED
from webapp.transactions import transaction

AtOnce = Callable[..., list[str]]
WELCOME, EMAIL = MessageKind.WELCOME, Channel.EMAIL


@pytest.fixture
def cast(committed: None) -> Cast:
    """The cast, really committed."""
    found: Cast = factories.make_cast(Cast)
    return found


@pytest.fixture
def at_once(app: Flask, cast: Cast) -> AtOnce:
    """Do things at the same time, each by the admin in a session of its own; how each ended."""
    organisation_id, user_id = cast.organisation.id, cast.admin.id

    def by_admin(act: Callable[[User], object]) -> None:
        act(db.session.get_one(User, (organisation_id, user_id)))

    return lambda *acts: concurrency.at_once(app, organisation_id, *(partial(by_admin, act) for act in acts))


def test_of_two_who_save_one_sees_the_others_text_first(at_once: AtOnce, cast: Cast) -> None:
    acts = [
        lambda by, words=words: save(WELCOME, EMAIL, None, Text("Objet", words), seen_version=1, by=by, at=NOW)
        for words in ("un", "deux", "trois")
    ]
    assert sorted(at_once(*acts)) == ["NewerTextError", "NewerTextError", "done"]
    db.session.rollback()
    assert [version.version for version in list_versions(WELCOME, EMAIL, None, at=NOW).versions] == [2, 1]


def test_workers_who_use_what_ships_for_the_first_time_store_it_once(at_once: AtOnce, cast: Cast) -> None:
    company_id = factories.default_company().id
    wanted = [(kind, channel, company_id) for kind, channel in SHIPPED]
    db.session.commit()
    found = []

    def use(_by: User, *, order: int) -> None:
        with transaction():
            found.append(load_in_use(wanted[::order], at=NOW))

    assert at_once(*(partial(use, order=order) for order in (1, -1, 1, -1))) == ["done"] * 4
    db.session.rollback()
    assert db.session.query(MessageTemplate).count() == len(SHIPPED)
    assert all(each == found[0] and len(each) == len(SHIPPED) for each in found)


def test_frames_and_switches_are_one_row_whoever_comes_second(at_once: AtOnce, cast: Cast) -> None:
    company_id = factories.default_company().id
    db.session.commit()
    acts = [
        lambda _by: save_frame(company_id, colour="#8a1c1c", footer="", at=NOW),
        lambda _by: switch_off(WELCOME, company_id, at=NOW),
    ] * 2
    assert at_once(*acts) == ["done"] * 4
    db.session.rollback()
    assert find_frame(company_id).colour == "#8a1c1c"
    assert load_switched_off([company_id]) == {(company_id, WELCOME)}
