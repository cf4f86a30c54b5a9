"""The libraries that hang on the application. Importing this module connects to nothing."""

from flask_htmx import HTMX
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from webapp.models.base import Base

db = SQLAlchemy(metadata=Base.metadata, disable_autonaming=True)
migrate = Migrate()
htmx = HTMX()
csrf = CSRFProtect()
limiter = Limiter(get_remote_address, default_limits=[])  # its headers would ask Redis twice more for every page
