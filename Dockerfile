# Built with buildah, and its root file system run as user 10001, read-only, against PostgreSQL 15 and Redis 7; its base
# images were stand-ins of the same Debian release, Python and Node, since no image registry was at hand.
#
#   docker build -t crm .
#   docker run --env-file crm.env -p 127.0.0.1:8000:8000 -v crm-documents:/documents crm    # web
#   docker run --env-file crm.env --no-healthcheck -v crm-documents:/documents crm python -m jobs.worker sync   # one per queue
#   docker run --env-file crm.env --no-healthcheck -v crm-documents:/documents crm python -m jobs.schedule      # scheduler
#   docker run --env-file crm.env --no-healthcheck crm flask --app wsgi db upgrade          # DATABASE_OWNER_URL set

FROM node:24-bookworm-slim AS packages
WORKDIR /crm
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts

FROM python:3.11-slim-bookworm AS front-end
WORKDIR /crm
COPY --from=packages /usr/local/bin/node /usr/local/bin/node
COPY --from=packages /crm/node_modules node_modules
COPY package.json package-lock.json ./
COPY demo/__init__.py demo/build.py demo/trim_tabler.js demo/
# Which of Tabler's rules are kept is read from what is rendered.
COPY webapp/templates webapp/templates
COPY webapp/views webapp/views
COPY static static
RUN python -m demo.build --production

FROM python:3.11-slim-bookworm AS python-packages
COPY requirements.lock .
# Lent by the image's own pip: what runs needs none.
RUN python -m venv --without-pip /venv \
 && python -m pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check \
    --no-deps --require-hashes -r requirements.lock

FROM python:3.11-slim-bookworm
# WeasyPrint draws invoices with Pango.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core \
 && rm -rf /var/lib/apt/lists/*
# The one folder that is written to besides /tmp: a volume put there, new and empty, takes over its owner.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /crm --shell /usr/sbin/nologin crm \
 && install --directory --owner=crm --group=crm --mode=0700 /documents
WORKDIR /crm
COPY --from=python-packages /venv /venv
COPY webapp webapp
COPY jobs jobs
COPY migrations migrations
COPY wsgi.py gunicorn.conf.py ./
COPY --from=front-end /crm/static static
# XDG_CACHE_HOME: an image rounds the times of folders, so that fontconfig notes anew which fonts there are.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    CRM_ENV=production HOST=0.0.0.0 PORT=8000 DOCUMENTS_DIR=/documents XDG_CACHE_HOME=/tmp
# By number, so that whoever must not start root can see that it is not.
USER 10001:10001
EXPOSE 8000
# With PUBLIC_URL's host, since others are refused. Of the web server: the other processes switch it off.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["python", "-c", "\
import os, urllib.parse, urllib.request as r; host = urllib.parse.urlsplit(os.environ['PUBLIC_URL']).netloc; \
r.urlopen(r.Request('http://127.0.0.1:%s/sante/vivant' % os.environ['PORT'], headers={'Host': host}), timeout=2)"]
# The exec form: gunicorn is process 1 and gets SIGTERM itself.
CMD ["gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"]
