# Indelible as a container image: `docker build -t indelible .`
# docs/operations.md has how to run it. test/packaging lints this file and does what it says without an engine.

FROM node:24-slim AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY tree tree
COPY proofs proofs
COPY proto proto
COPY client client
COPY server server
COPY cli cli
RUN npm run build

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM node:24-slim
# The environment, so that it can be replaced by -e; a flag or a line of CMD could not.
# Room for young objects, and none for arenas: docs/operations.md, Memory.
ENV NODE_ENV=production \
    NODE_OPTIONS=--max-semi-space-size=32 \
    MALLOC_ARENA_MAX=2 \
    INDELIBLE_DATA_DIR=/data \
    INDELIBLE_LISTEN=0.0.0.0:8080
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /src/dist dist
COPY package.json LICENSE ./
RUN install -d -o 1000 -g 1000 -m 0700 /data
# The user `node` of the image, by number: some orchestrators check that it is not root.
USER 1000:1000
VOLUME /data
EXPOSE 8080
# Drains: running requests get up to 35 s, so give `docker stop` more than its 10.
STOPSIGNAL SIGTERM
# The image has no curl. With TLS or another port, set INDELIBLE_HEALTH_URL.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["node", "-e", "fetch(process.env.INDELIBLE_HEALTH_URL ?? 'http://127.0.0.1:8080/readyz').then((reply) => process.exit(reply.ok ? 0 : 1), () => process.exit(1))"]
# Node handles the signals itself and has no children, so no init process is needed.
# Node takes the first flag on its command line only: docs/operations.md, Memory.
ENTRYPOINT ["node", "--initial-old-space-size=160", "--v8-pool-size=1", "dist/cli/main.js"]
CMD ["serve"]
