# The image of the jobs and of the command: docker build -t reward-monitor .
# Everything in it is locked by hash (requirements/); a test compares the locks with pyproject.toml.
FROM python:3.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/jobs.txt requirements/build.txt requirements/
RUN python -m venv --without-pip /opt/reward-monitor \
    && pip --python /opt/reward-monitor/bin/python install --require-hashes -r requirements/jobs.txt \
    && rm -rf /opt/reward-monitor/lib/python3.12/site-packages/pyarrow/include /opt/reward-monitor/lib/python3.12/site-packages/pyarrow/tests
RUN pip install --require-hashes -r requirements/build.txt
COPY . .
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
    && pip --python /opt/reward-monitor/bin/python install --no-deps --no-index /wheel/*.whl

FROM python:3.12-slim-bookworm
# The directory is where the notifier keeps what it must not forget: a volume takes its owner from here.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin reward-monitor \
    && install -d -o 10001 -g 10001 /var/lib/reward-monitor/notify
COPY --from=build /opt/reward-monitor /opt/reward-monitor
# Work happens below /tmp alone, so that the root file system may be read-only.
ENV PATH=/opt/reward-monitor/bin:$PATH PYTHONUNBUFFERED=1 REWARD_MONITOR_JOBS_DATA_DIR=/tmp/reward-monitor-jobs
WORKDIR /tmp
USER 10001:10001
# Of a worker or a lander; see the module. The notifier's is in docker-compose.yml. A container that runs a command is done before it matters.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=2 \
    CMD ["python", "-m", "reward_jobs.health", "/tmp/reward-monitor-jobs"]
CMD ["reward-monitor", "--help"]
