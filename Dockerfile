# One image for every worker: docker-compose.yml says which role a container has.
# A private package index is given while building: --build-arg PIP_INDEX_URL=...
FROM python:3.12-slim AS wheel
ARG PIP_INDEX_URL
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:3.12-slim
ARG PIP_INDEX_URL
COPY requirements.lock /tmp/
RUN pip install --no-cache-dir --no-deps -r /tmp/requirements.lock
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    pip install --no-cache-dir --no-deps /dist/*.whl
# The home is a volume; made here so that it belongs to the user who writes into it.
RUN useradd --create-home crp && mkdir -p /var/lib/crp && chown crp /var/lib/crp
USER crp
ENV CRP_HOME=/var/lib/crp PYTHONUNBUFFERED=1
VOLUME /var/lib/crp
ENTRYPOINT ["crp"]
CMD ["worker"]
