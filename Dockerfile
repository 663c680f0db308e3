# The service. CPU: docker build --target cpu -t visual-judge:cpu .    CUDA: docker build --target cuda -t visual-judge:cuda .
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN python -m pip install --no-cache-dir build==1.6.1 && python -m build --wheel --outdir /wheels

FROM python:3.11-slim-bookworm AS base
RUN useradd --create-home --uid 10001 judge
COPY constraints.txt /tmp/constraints.txt
COPY --from=build /wheels /wheels
USER 10001
ENV PATH=/home/judge/.local/bin:$PATH PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=180s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["judge", "serve", "--host", "0.0.0.0"]

FROM base AS cpu
RUN python -m pip install --no-cache-dir --user -c /tmp/constraints.txt \
    "$(ls /wheels/*.whl)[transformers,serve,video]"

FROM base AS cuda
RUN python -m pip install --no-cache-dir --user -c /tmp/constraints.txt "$(ls /wheels/*.whl)[vllm,serve,video]"
