"""The door for gunicorn and the ``flask`` command."""

from webapp.config import load_settings
from webapp.factory import create_app

app = create_app(load_settings())
