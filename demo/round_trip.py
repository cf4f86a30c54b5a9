"""`python -m demo.round_trip`: takes an empty database through all migrations, back to nothing and up again.

Then it compares the models with what the migrations made, and fails where they differ. All in one process, since most
of the time of each step goes into importing the application.
"""

from flask_migrate import check, downgrade, upgrade

from webapp.config import load_settings
from webapp.factory import create_app


def main() -> None:
    with create_app(load_settings()).app_context():
        upgrade()
        downgrade(revision="base")
        upgrade()
        check()


if __name__ == "__main__":
    main()
