"""What the timetable does in one organisation after the other: in those, and only those, that a statement finds."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import Select

from webapp import queue, tenancy
from webapp.extensions import db

Found = Select[UUID]
"""Ids of organisations, each as often as it comes."""


def list_found(*found: Found) -> list[UUID]:
    """The organisations that any of the statements finds, each once, in a fixed order."""
    with tenancy.across_organisations():
        return sorted({each for statement in found for each in db.session.scalars(statement.distinct())})


def ring(job: str, *found: Found, on: str) -> int:
    """Ring for a job in each of them, on a queue; returns how many organisations."""
    organisations = list_found(*found)
    for organisation_id in organisations:
        queue.enqueue_once_after_commit(job, organisation_id, on=on)
    return len(organisations)


def work(what: Callable[[], int], *found: Found) -> int:
    """Do something in each of them, which says how much it did; returns how much that is together."""
    done = 0
    for organisation_id in list_found(*found):
        with tenancy.organisation(organisation_id):
            done += what()
    return done


def work_in_batches(what: Callable[[], int], *found: Found) -> int:
    """Do something in each of them until there is nothing left to do there; returns how much was done."""
    return work(lambda: until_none(what), *found)


def until_none(what: Callable[[], int]) -> int:
    """Do something as long as it says that it did anything; returns how much that is together."""
    done = 0
    while some := what():
        done += some
    return done
