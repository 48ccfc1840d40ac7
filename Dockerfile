# Two images: `full`, the default, for an NVIDIA GPU, and `cpu`, small, for the embedded profile.
#
#   docker build -t dubarr .
#   docker build -t dubarr:cpu --target cpu .

# Compiles the llama.cpp server; only `full` needs it.
ARG BASE_IMAGE=nvidia/cuda:13.1.1-devel-ubuntu24.04
# What both images stand on. The CUDA libraries come with torch, the driver from the host.
ARG RUNTIME_IMAGE=ubuntu:24.04
# Each a version, which uv fetches, or the path of an interpreter that RUNTIME_IMAGE holds.
ARG PYTHON_APP=3.12
ARG PYTHON_TTS=3.10


FROM ${RUNTIME_IMAGE} AS runtime
# ffmpeg comes with the requirements where there is a build of it.
# hadolint ignore=DL3008
RUN if [ "$(uname -m)" != x86_64 ]; then set -- ffmpeg; fi \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates tini tzdata "$@" \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf/*-old


FROM runtime AS uv
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/uv.txt /requirements/
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/root/.cache \
    python3 -m venv /opt/uv && /opt/uv/bin/pip install --require-hashes -r /requirements/uv.txt
ENV PATH=/opt/uv/bin:$PATH \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_PROGRESS=1 \
    UV_PYTHON_DOWNLOADS=manual \
    UV_PYTHON_INSTALL_DIR=/opt/python
ARG PYTHON_APP
ARG PYTHON_TTS
RUN mkdir -p /opt/python \
    && for python in "$PYTHON_APP" "$PYTHON_TTS"; do \
        case $python in /*) ;; *) uv python install "$python" || exit ;; esac; \
    done


# One stage an environment, so that they are made side by side and kept until their own requirements
# change. The code itself is not in them: a .pth file says where it is.
FROM uv AS app-cpu
COPY requirements/app.txt requirements/build.txt /requirements/
RUN --mount=type=cache,target=/root/.cache \
    uv venv --python "$PYTHON_APP" /app/.venv_app \
    && uv pip sync --python /app/.venv_app/bin/python --require-hashes \
        --build-constraints /requirements/build.txt /requirements/app.txt \
    && echo /app > "$(echo /app/.venv_app/lib/python3.*/site-packages)/app.pth"

FROM uv AS tts-cpu
COPY requirements/sidecar.txt requirements/build.txt /requirements/
RUN --mount=type=cache,target=/root/.cache \
    uv venv --python "$PYTHON_TTS" /app/.venv_tts \
    && uv pip sync --python /app/.venv_tts/bin/python --require-hashes \
        --build-constraints /requirements/build.txt /requirements/sidecar.txt \
    && echo /app > "$(echo /app/.venv_tts/lib/python3.*/site-packages)/app.pth"

FROM uv AS app-full
COPY requirements/full.txt requirements/build.txt /requirements/
RUN --mount=type=cache,target=/root/.cache \
    uv venv --python "$PYTHON_APP" /app/.venv_app \
    && uv pip sync --python /app/.venv_app/bin/python --require-hashes \
        --build-constraints /requirements/build.txt /requirements/full.txt \
    && echo /app > "$(echo /app/.venv_app/lib/python3.*/site-packages)/app.pth"

FROM uv AS tts-full
COPY requirements/sidecar-xtts.txt requirements/build.txt /requirements/
RUN --mount=type=cache,target=/root/.cache \
    uv venv --python "$PYTHON_TTS" /app/.venv_tts \
    && uv pip sync --python /app/.venv_tts/bin/python --require-hashes \
        --build-constraints /requirements/build.txt /requirements/sidecar-xtts.txt \
    && echo /app > "$(echo /app/.venv_tts/lib/python3.*/site-packages)/app.pth"


FROM ${BASE_IMAGE} AS llama
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        build-essential ca-certificates cmake curl \
    && rm -rf /var/lib/apt/lists/*
ARG LLAMA_TAG=b10069
ARG LLAMA_SHA256=293a7c65a11e2203c5468a06d0d0e8d21dfff16ad08712b16c61efbe0d93e097
# An address, or a path below this folder.
ARG LLAMA_SOURCE=https://github.com/ggml-org/llama.cpp/archive/refs/tags/${LLAMA_TAG}.tar.gz
ARG LLAMA_CUDA=ON
WORKDIR /llama
# Each backend is a library of its own, loaded where it can work: without a GPU the CPU's is used.
# Its web page would be fetched while it compiles, by no checksum, and nobody looks at it.
RUN --mount=type=bind,target=/context \
    case $LLAMA_SOURCE in \
        *://*) curl -fsSL --retry 3 -o llama.tar.gz "$LLAMA_SOURCE" ;; \
        *) cp "/context/$LLAMA_SOURCE" llama.tar.gz ;; \
    esac \
    && echo "$LLAMA_SHA256  llama.tar.gz" > llama.sha256 && sha256sum -c llama.sha256 \
    && tar -xzf llama.tar.gz --strip-components=1 \
    && cmake -B build -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=OFF -DGGML_CUDA="$LLAMA_CUDA" \
        -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON -DLLAMA_BUILD_TESTS=OFF \
        -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
        -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON -DCMAKE_INSTALL_RPATH="\$ORIGIN" \
        -DCMAKE_EXE_LINKER_FLAGS=-Wl,--allow-shlib-undefined \
    && cmake --build build --target llama-server -j "$(nproc)" \
    && mkdir /opt/llama.cpp \
    && cp -P build/bin/llama-server build/bin/*.so* /opt/llama.cpp/ \
    && cp -L "$(gcc -print-file-name=libgomp.so.1)" /opt/llama.cpp/ \
    && rm -rf /llama/*


FROM runtime AS code
COPY dubarr_watch /app/dubarr_watch
COPY tts_sidecar /app/tts_sidecar
COPY deploy/container/healthcheck.py /app/
COPY deploy/container/entrypoint.sh /usr/local/bin/dubarr-watch
RUN chmod -R u=rwX,go=rX /app && chmod 755 /usr/local/bin/dubarr-watch


FROM runtime AS image
ENV LANG=C.UTF-8
COPY --from=uv /opt/python /opt/python
RUN mkdir -p /app/videos /app/models /app/config \
    && chown 1000:1000 /app/videos /app/models /app/config
WORKDIR /app
VOLUME ["/app/videos", "/app/models", "/app/config"]
EXPOSE 8000
STOPSIGNAL SIGTERM
# The first start fetches models, which may take long; one answer ends the patience.
HEALTHCHECK --interval=60s --timeout=10s --start-period=1h --retries=3 \
    CMD ["/app/.venv_app/bin/python", "-I", "-S", "/app/healthcheck.py"]
ENTRYPOINT ["/usr/local/bin/dubarr-watch"]
CMD ["run", "--pull"]
LABEL org.opencontainers.image.title="dubarr-watch" \
    org.opencontainers.image.description="Drop a video into a folder and find a dubbed audio track beside it." \
    org.opencontainers.image.source="https://github.com/neutrinus/dubarr-watch" \
    org.opencontainers.image.licenses="GPL-3.0-or-later"


FROM image AS cpu
COPY --from=app-cpu /app/.venv_app /app/.venv_app
COPY --from=tts-cpu /app/.venv_tts /app/.venv_tts
COPY --from=code /app /app
COPY --from=code /usr/local/bin/dubarr-watch /usr/local/bin/
ARG VERSION
ARG REVISION
RUN [ -z "$VERSION" ] || sed -i "s/^__version__ = .*/__version__ = \"$VERSION\"/" \
        /app/dubarr_watch/__init__.py /app/tts_sidecar/__init__.py; \
    .venv_app/bin/python -m compileall -q -j 0 dubarr_watch \
    && .venv_tts/bin/python -m compileall -q -j 0 tts_sidecar
LABEL org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION"


FROM image AS full
ENV LLAMA_SERVER=/opt/llama.cpp/llama-server \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_VISIBLE_DEVICES=all
COPY --from=app-full /app/.venv_app /app/.venv_app
COPY --from=tts-full /app/.venv_tts /app/.venv_tts
COPY --from=llama /opt/llama.cpp /opt/llama.cpp
# It computes with the CUDA libraries that torch brings. libcuda comes with the host's driver.
RUN ln -s /app/.venv_app/lib/python3.*/site-packages/nvidia/cu13/lib/libcu[bdr]*.so.13 \
        /opt/llama.cpp/ \
    && ldd -r /opt/llama.cpp/*.so* > /tmp/linked 2>&1 \
    && sed -i "/libcuda\.so\.1 => not found/d" /tmp/linked \
    && ! grep -E "not found|undefined symbol: cu(da|blas)" /tmp/linked \
    && rm /tmp/linked && /opt/llama.cpp/llama-server --version
COPY --from=code /app /app
COPY --from=code /usr/local/bin/dubarr-watch /usr/local/bin/
ARG VERSION
ARG REVISION
RUN [ -z "$VERSION" ] || sed -i "s/^__version__ = .*/__version__ = \"$VERSION\"/" \
        /app/dubarr_watch/__init__.py /app/tts_sidecar/__init__.py; \
    .venv_app/bin/python -m compileall -q -j 0 dubarr_watch \
    && .venv_tts/bin/python -m compileall -q -j 0 tts_sidecar
LABEL org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION"
