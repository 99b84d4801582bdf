# A job: docker run --rm -e NORTH_API_KEY -v "$PWD:/data" IMAGE push showings.csv --log-format json
#
# The base by its digest, so that a tag that is moved changes nothing: renew both lines together.
FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS build
WORKDIR /source
COPY . .
# The versions that the gate tests (.ci/lock); no pip where the program runs.
# hadolint ignore=DL3013
RUN sed -n 's/^\([A-Za-z0-9].*[^ ]\) *\\$/\1/p' .ci/constraints.txt > /versions.txt \
    && python -m venv --without-pip /opt/bulk-sync \
    && PIP_CONSTRAINT=/versions.txt pip --python /opt/bulk-sync/bin/python \
        install --no-cache-dir ".[fast,xlsx]"

FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
# An init as process 1: the kernel drops signals that process 1 has no handler for
# (pid_namespaces(7)), and Python has none while it starts.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/bulk-sync /opt/bulk-sync
# A user without rights, home or passwd entry. Anyone else may run it, too, as whoever owns the
# sheets: --user "$(id -u):$(id -g)".
USER 10001:10001
WORKDIR /data
ENV PATH="/opt/bulk-sync/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    XDG_STATE_HOME=/data/.state
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "bulk-sync"]
CMD ["--help"]
