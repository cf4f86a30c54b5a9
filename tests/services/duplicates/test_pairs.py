"""Who sees which pairs, and in what order."""

import pytest

from tests.conftest import NOW, Cast
from tests.factories import ClientFactory, CommercialFactory
from tests.queries import recorded_queries
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.duplicates import DuplicatePair, PairScore
from webapp.services import keyset
from webapp.services.duplicates import pairs
from webapp.services.duplicates.pairs import PairsView


def pair_of(first: Client, second: Client, score: PairScore = PairScore.PROBABLE) -> DuplicatePair:
    low, high = sorted((first, second), key=lambda client: client.id)
    pair = DuplicatePair(first_id=low.id, second_id=high.id, score=score, evidence=["email"], search_id=new_id())
    db.session.add(pair)
    db.session.flush()
    return pair


def test_a_commercial_sees_those_of_their_own_and_of_nobody(cast: Cast) -> None:
    mine, nobodys = ClientFactory(commercial_id=cast.sales_rep.id), ClientFactory()
    other = ClientFactory(commercial_id=CommercialFactory().id)
    seen, unseen = pair_of(mine, nobodys), pair_of(mine, other)
    assert pairs.list_pairs(PairsView(), by=cast.commercial).rows == [seen]
    assert len(pairs.list_pairs(PairsView(), by=cast.manager).rows) == 2
    assert pairs.list_of_client(mine.id, by=cast.commercial) == [seen]
    db.session.commit()
    with pytest.raises(NotFoundError):
        pairs.dismiss(unseen.id, by=cast.commercial, at=NOW)
    pairs.dismiss(seen.id, by=cast.commercial, at=NOW)
    assert pairs.list_of_client(mine.id, by=cast.commercial) == []


def test_the_surest_come_first_page_by_page(cast: Cast) -> None:
    kept = ClientFactory()
    scores = [PairScore.POSSIBLE, PairScore.CERTAIN, PairScore.PROBABLE]
    made = [pair_of(kept, ClientFactory(), scores[number % 3]) for number in range(pairs.PAGE_SIZE + 5)]
    cast.admin.roles  # noqa: B018  reads the user again, as a request does
    with recorded_queries() as queries:
        first = pairs.list_pairs(PairsView(), by=cast.admin)
        [(pair.first.full_name, pair.second.commercial, pair.dismissed_by) for pair in first.rows]
    assert len(queries) == 1
    second: keyset.Page[DuplicatePair] = pairs.list_pairs(PairsView(cursor=first.next_cursor or ""), by=cast.admin)
    expected = sorted(made, key=lambda pair: (pair.score, pair.id))
    assert [*first.rows, *second.rows] == expected
    assert second.next_cursor is None


def test_filters(cast: Cast) -> None:
    sellers = ClientFactory(commercial_id=cast.sales_rep.id)
    certain = pair_of(sellers, ClientFactory(), PairScore.CERTAIN)
    possible = pair_of(ClientFactory(), ClientFactory(), PairScore.POSSIBLE)
    listed = {
        view: pairs.list_pairs(view, by=cast.admin).rows
        for view in (PairsView(score=PairScore.POSSIBLE), PairsView(commercial_id=cast.sales_rep.id))
    }
    assert list(listed.values()) == [[possible], [certain]]
