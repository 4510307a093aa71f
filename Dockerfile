# syntax=docker/dockerfile:1
# One image for operator, agent and the tools: arguments are deeprt's.
#   docker build -t deeprt:0.2.0 .                                           CPU, and WebGPU where the node has a Vulkan driver
#   docker build -t deeprt:0.2.0-cuda --build-arg PROVIDER=cuda \
#     --build-arg RUNTIME=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04 .     NVIDIA GPUs by CUDA
ARG NODE=node:24-bookworm
ARG RUNTIME=debian:bookworm-slim

FROM ${NODE} AS build
ARG PROVIDER=cpu
ENV ONNXRUNTIME_NODE_INSTALL=skip
WORKDIR /opt/deeprt
COPY package.json package-lock.json ./
RUN npm ci --no-fund --no-audit
COPY tsconfig.json ./
COPY api api
COPY kube kube
COPY sched sched
COPY agent agent
COPY operator operator
COPY cli cli
COPY ui ui
COPY crds crds
# What only develops, tests or other platforms need stays behind.
RUN node_modules/.bin/tsc -p tsconfig.json --noEmit false \
    && node_modules/.bin/tsc -p ui/page \
    && npm prune --omit=dev --no-fund --no-audit \
    && find dist -name '*.test.*' -delete && chmod +x dist/cli/main.js \
    && find node_modules \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name README.md -o -name CHANGELOG.md \) -delete \
    && find node_modules/@opentelemetry -name '*.cjs' ! -path '*/api/*' -delete \
    && find node_modules/onnxruntime-node/bin -mindepth 3 -maxdepth 3 -type d ! -path "*/linux/$(node -p process.arch)" -exec rm -rf {} +
RUN if [ "$PROVIDER" = cuda ]; then \
      apt-get update && apt-get install -y --no-install-recommends python3-pip \
      && node dist/cli/main.js install-provider cuda; \
    fi

FROM ${RUNTIME}
LABEL org.opencontainers.image.title="DeepRT" \
      org.opencontainers.image.description="Soft-real-time GPU scheduling for camera streams on edge nodes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.2.0"
ENV NODE_ENV=production
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /opt/deeprt/package.json /opt/deeprt/package.json
COPY --from=build /opt/deeprt/crds /opt/deeprt/crds
COPY --from=build /opt/deeprt/ui/static /opt/deeprt/ui/static
COPY --from=build /opt/deeprt/node_modules /opt/deeprt/node_modules
COPY --from=build /opt/deeprt/dist /opt/deeprt/dist
# For people: kubectl exec POD -- deeprt doctor
RUN ln -s /opt/deeprt/dist/cli/main.js /usr/local/bin/deeprt
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/node", "/opt/deeprt/dist/cli/main.js"]
