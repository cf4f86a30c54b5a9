"""Messages, letters, and addresses that get none."""

from dataclasses import dataclass

from webapp.models.messages import MessageKind
from webapp.services.exports.exported_list import Everything, ExportedList
from webapp.services.messages import columns as message_columns
from webapp.services.messages import listing as messages
from webapp.services.messages import suppressing
from webapp.services.messages.listing import MessagesView


@dataclass(frozen=True)
class LettersOf:
    """The letters that wait to be posted, of that kind or any."""

    kind: MessageKind | None


LISTS = (
    ExportedList.of_any_day(
        "messages",
        "Messages",
        "message",
        view=MessagesView,
        select=messages.select_all,
        columns=message_columns.COLUMNS,
        default=message_columns.DEFAULT,
    ),
    ExportedList.of_any_day(
        "lettres",
        "Lettres à poster",
        "lettre",
        view=LettersOf,
        select=lambda view: messages.select_all_letters(view.kind),
        columns=message_columns.LETTERS,
    ),
    ExportedList.of_any_day(
        "adresses-bloquees",
        "Adresses bloquées",
        "adresse",
        view=Everything,
        select=lambda _: suppressing.select_all_suppressions(),
        columns=message_columns.SUPPRESSIONS,
    ),
)
