"""The form of a note, a call or a task."""

from flask_wtf import FlaskForm
from wtforms import DateField, HiddenField, RadioField, TextAreaField
from wtforms.validators import Optional

from webapp.errors import InvalidInputError
from webapp.models.base import new_id
from webapp.services.clients.activities import Genre


class ActivityForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """What to write down; ``due_on`` is for tasks, ``demande`` tells the form from others. The service checks it."""

    genre = RadioField("Genre", choices={genre.value: genre.label for genre in Genre}, default=Genre.NOTE.value)
    body = TextAreaField("Texte")
    due_on = DateField("Échéance", [Optional()])
    demande = HiddenField(default=lambda: str(new_id()))

    def show_refusal(self, error: InvalidInputError) -> None:
        """Stand the service's refusal beside its field."""
        field = getattr(self, error.field or "", self.body)
        field.errors = [*field.errors, error.message]
