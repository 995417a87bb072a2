# The daemon in a small image: no compiler, no shell tools of ours, no root. The wheel is built in a stage of its own.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md ./
COPY .ci/constraints.txt .ci/
COPY reconciler reconciler
COPY schemas schemas
COPY example-repo example-repo
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && python -m venv /opt/reconciler \
 && /opt/reconciler/bin/pip install --no-cache-dir --constraint .ci/constraints.txt /wheels/*.whl

FROM python:3.13-slim
COPY --from=build /opt/reconciler /opt/reconciler
ENV PATH=/opt/reconciler/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, so that `runAsNonRoot` can be checked. Nothing is written outside a mounted work folder.
USER 65532:65532
ENTRYPOINT ["reconciler"]
