# One image for the sidecar (the default), the controller and the CLI. What is in it and why: docs/image.md.
FROM node:26-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
# Scripts are not needed (the npm package "node" would only fetch the node that is here already).
RUN npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/bundle.mjs scripts/code-cache.mjs scripts/exercise.mjs scripts/image.mjs scripts/
COPY cmd cmd
COPY src src
RUN PATH=/src/node_modules/.bin:$PATH node scripts/build.mjs && node scripts/image.mjs /rootfs/app

# Node and nft with the shared libraries that they load, nothing else of Debian: no shell, no package manager.
FROM node:26-bookworm-slim AS root
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends nftables >/dev/null
COPY scripts/rootfs.sh /rootfs.sh
RUN sh /rootfs.sh /rootfs "$(command -v node)" /usr/sbin/nft
COPY --from=build /rootfs/app /rootfs/app

FROM scratch
COPY --from=root /rootfs /
ENV PATH=/usr/local/bin:/usr/sbin NODE_ENV=production
WORKDIR /app
USER 65532:65532
# The sidecar may read its own code, its configuration and its network namespace; it may use the network. No writes, no child
# processes, no workers, no addons (Node's permission model). Programs that need more are started with their own command.
# A heap and thread count for a sidecar: docs/decisions/0019-flags-for-a-small-heap.md. The entry: docs/decisions/0025-one-file-and-its-bytecode.md.
ENTRYPOINT ["/usr/local/bin/node", "--disable-warning=ExperimentalWarning", "--single-threaded-gc", "--no-concurrent-recompilation", "--no-concurrent-sparkplug", "--v8-pool-size=1", "--max-semi-space-size=1", "--max-old-space-size-percentage=50", "--permission", "--allow-net", "--allow-fs-read=/app/", "--allow-fs-read=/etc/", "--allow-fs-read=/proc/", "--allow-fs-read=/var/run/secrets/", "--allow-fs-read=/run/secrets/", "/app/dist/cmd/sidecar-bundled.cjs"]
