"""`python -m demo.prepare`: brings the database to the newest migration, and seeds the demo data.

Both in one process, since most of the time of either goes into importing the application.
"""

from flask_migrate import upgrade

from demo.preparation import mark_prepared
from demo.seed import seed
from webapp.config import load_settings
from webapp.factory import create_app


def main() -> None:
    settings = load_settings()
    with create_app(settings).app_context():
        upgrade()
        seed()
    mark_prepared(settings.database_owner_url or settings.database_url)


if __name__ == "__main__":
    main()
