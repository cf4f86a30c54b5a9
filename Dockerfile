# Not built here: no container engine was at hand when this was written. Look at the first build with that in mind.
#
#   docker build -t crm .
#   docker run --env-file crm.env -p 127.0.0.1:8000:8000 crm                          # web
#   docker run --env-file crm.env crm python -m jobs.worker sync                      # worker
#   docker run --env-file crm.env crm python -m jobs.schedule                         # scheduler
#   docker run --env-file crm.env crm flask --app wsgi db upgrade                     # migrations, DATABASE_OWNER_URL set

FROM node:24-bookworm-slim AS packages
WORKDIR /crm
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts

FROM python:3.11-slim-bookworm AS front-end
WORKDIR /crm
COPY --from=packages /crm/node_modules node_modules
COPY package-lock.json ./
COPY demo/__init__.py demo/build.py demo/
COPY static static
RUN python -m demo.build --production

FROM python:3.11-slim-bookworm AS python-packages
COPY requirements.lock .
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r requirements.lock

FROM python:3.11-slim-bookworm
# WeasyPrint draws invoices with Pango.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --home-dir /crm --shell /usr/sbin/nologin crm
WORKDIR /crm
COPY --from=python-packages /venv /venv
COPY webapp webapp
COPY jobs jobs
COPY migrations migrations
COPY wsgi.py gunicorn.conf.py ./
COPY --from=front-end /crm/static static
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CRM_ENV=production HOST=0.0.0.0 PORT=8000
USER crm
EXPOSE 8000
# With PUBLIC_URL's host, since others are refused. Workers and scheduler switch this off (--no-healthcheck).
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "\
import os, urllib.parse, urllib.request as r; host = urllib.parse.urlsplit(os.environ['PUBLIC_URL']).netloc; \
r.urlopen(r.Request('http://127.0.0.1:%s/sante/vivant' % os.environ['PORT'], headers={'Host': host}), timeout=2)"]
# The exec form: gunicorn is process 1 and gets SIGTERM itself.
CMD ["gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"]
