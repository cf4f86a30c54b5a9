"""The ledger of the timetable: which tick of which job has been taken, by whichever scheduler came first."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from webapp import clock
from webapp.models.base import Base


class ScheduleTick(Base):
    """One tick of one job. Of the whole installation, so without an organisation."""

    __tablename__ = "schedule_ticks"

    job: Mapped[str] = mapped_column(String(100), primary_key=True)
    tick: Mapped[datetime] = mapped_column(primary_key=True)
    taken_at: Mapped[datetime] = mapped_column(default=clock.now)
