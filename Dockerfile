# A job: docker run --rm -e NORTH_API_KEY -v "$PWD:/data" IMAGE push showings.csv --log-format json
FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/bulk-sync \
    && /opt/bulk-sync/bin/pip install --no-cache-dir ".[fast,xlsx]"

FROM python:3.13-slim
COPY --from=build /opt/bulk-sync /opt/bulk-sync
# Anyone may run it, as whoever owns the sheets: --user "$(id -u):$(id -g)".
# An init as process 1: the kernel drops signals that process 1 has no handler for
# (pid_namespaces(7)), and Python has none while it starts.
RUN apt-get update && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 bulk-sync
USER 10001:10001
WORKDIR /data
ENV PATH="/opt/bulk-sync/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    XDG_STATE_HOME=/data/.state
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "bulk-sync"]
CMD ["--help"]
