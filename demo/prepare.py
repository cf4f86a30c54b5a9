"""`python -m demo.prepare`: brings the database to the newest migration, and seeds the demo data.

Both in one process, since most of the time of either goes into importing the application.
"""

from flask_migrate import upgrade

from demo.seed import seed
from webapp.config import load_settings
from webapp.factory import create_app


def main() -> None:
    with create_app(load_settings()).app_context():
        upgrade()
        seed()


if __name__ == "__main__":
    main()
