# Each target does its own set-up; `make help` lists them.
NODE_BIN := $(shell hack/node.sh)
ifeq ($(NODE_BIN),)
$(error set-up found no usable Node; see the message above)
endif
export PATH := $(NODE_BIN):$(CURDIR)/node_modules/.bin:$(PATH)
# onnxruntime-node would download CUDA libraries from outside the package registry.
export ONNXRUNTIME_NODE_INSTALL := skip

INSTALLED := node_modules/.package-lock.json
SOURCES := $(shell find api kube sched agent operator cli bench test hack ui -name '*.ts')
BUILT := dist/.built
JEST := NODE_OPTIONS='--experimental-vm-modules --no-warnings' jest

.PHONY: help demo test unit lint format build generate api-server bench evaluation evaluation-cpu plans bench-peers bench-protocols gpu e2e pictures screenshots version release clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(INSTALLED): package.json package-lock.json
	@echo "installing the pinned dependencies"
	@npm ci --no-fund --no-audit --loglevel=error
	@touch $@

$(BUILT): $(INSTALLED) tsconfig.json $(SOURCES)
	@echo "compiling"
	@rm -rf dist && tsc -p tsconfig.json && tsc -p ui/page
	@touch $@

demo: $(BUILT) ## the main job on this machine: real models, real frames, admission, deadlines, a report
	@node dist/hack/demo/main.js

# Tests against real parts keep deadlines: one at a time, or they would take each other's cores. Those of the control plane
# alone wait more than they work.
TOGETHER := (chart|crash|crds|docs|kube|operator|questions|teams)\.test
ifdef T
test: $(BUILT)
	@rm -rf dist/.figures
	@hack/kube.sh >/dev/null && hack/helm.sh >/dev/null && hack/go-tool.sh grpcurl >/dev/null && hack/go-tool.sh krew >/dev/null
	@$(JEST) --runInBand '$(T)'
else
test: $(BUILT) lint ## lint, then every test; T=pattern: those of files whose path matches
	@hack/kube.sh >/dev/null && hack/helm.sh >/dev/null && hack/go-tool.sh grpcurl >/dev/null && hack/go-tool.sh krew >/dev/null
	@rm -rf dist/.figures
	@$(JEST) --testPathIgnorePatterns /dist/test/
	@$(JEST) --maxWorkers=2 'dist/test/$(TOGETHER)'
	@$(JEST) --runInBand --testPathIgnorePatterns 'dist/test/$(TOGETHER)' -- dist/test/
endif

unit: $(BUILT) ## the tests that stand beside the code, properties on fewer cases: no cluster, less than a minute
	@RUNS=0.1 $(JEST) --testPathIgnorePatterns /dist/test/

lint: $(INSTALLED) ## formatter, linter and the import rule of the house
	@prettier --check --log-level warn .
	@eslint .

format: $(INSTALLED) ## write the formatter's layout
	@prettier --write --log-level warn .

build: $(BUILT) ## compile TypeScript into dist/

generate: $(INSTALLED) ## write what is made from crds/ and hack/dashboards.ts: types, the chart’s files, docs/api.md
	@tsc -p tsconfig.json --noCheck && node dist/hack/generate.js

api-server: $(BUILT) ## a real kube-apiserver on loopback to try the operator and an agent on; Ctrl-C ends it
	@node dist/hack/api-server.js

gpu: $(BUILT) ## what a GPU does: doctor, profiles of the paper's networks into bench/profiles/, outputs, the demo
	@node dist/hack/gpu.js $(ONLY)

e2e: $(BUILT) ## a whole cluster of one node: the image, the chart, frames, Prometheus, failures, upgrade (root, Debian)
	@hack/e2e.sh

screenshots: $(BUILT) ## docs/live-*.png: the live pages, in a real browser (Chromium)
	@hack/kube.sh >/dev/null
	@node dist/hack/screenshots.js

pictures: $(BUILT) ## docs/dashboard-*.svg: the dashboards’ data during the end-to-end test
	@E2E_PICTURES=docs hack/e2e.sh

bench: $(BUILT) ## measure what docs/performance.md states
	@node dist/bench/main.js $(ONLY)

evaluation: $(BUILT) ## docs/evaluation/: the rules that DeepRT is compared with, on bench/workloads, in virtual time
	@node dist/bench/evaluation/main.js $(ONLY)

evaluation-cpu: $(BUILT) ## docs/evaluation/cpu.md: the same, each run executed on this machine's CPU
	@node dist/bench/evaluation/real.js

plans: $(BUILT) ## docs/evaluation/plans.md: sequential, concurrent and batched execution of real networks on this machine
	@node dist/bench/plans/main.js $(ONLY)

bench-peers: $(BUILT) ## side by side with Triton, BentoML and LitServe, which it sets up (Debian's python3.11)
	@node dist/bench/peers/main.js

bench-protocols: $(BUILT) ## what a frame costs besides its run, by protocol, beside Triton and BentoML (Debian's python3.11)
	@node dist/bench/peers/protocols.js

version: $(INSTALLED) ## V=x.y.z: the version, everywhere it is named
	@npm version --no-git-tag-version --allow-same-version $(V) >/dev/null && $(MAKE) --no-print-directory generate

release: $(BUILT) ## release/: the image's archive, the chart's package, kubectl's plugin, the CRDs in one file, their checksums (root, Debian)
	@hack/release.sh

clean: ## remove what the other targets built in this tree
	@rm -rf dist node_modules coverage release
