# Everything comes from the Go module proxy; `make help` lists what there is.

SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help

# One set of build flags for all, so that what one build compiles the next one finds in the cache.
export CGO_ENABLED := 0
export GOFLAGS += -trimpath
# The toolchain that go.mod names, which has the fixes of known vulnerabilities; Go downloads it if it is another one.
export GOTOOLCHAIN := auto

KUBERNETES_VERSION := v1.37.2
VERSION ?= v0.1.0
# Where images and the chart are published, with the organisation: the one place to set it. `make generate` writes it to where it is needed.
REGISTRY ?= ghcr.io/example

TOOL := go tool -modfile=go.tools.mod
# `go build` that shows its progress: from nothing, Kubernetes takes minutes to an hour.
BUILD := $(CURDIR)/test/cluster/build.sh
# See environment in test/cluster/process.go.
ONE_THREAD := $(if $(filter 1 2,$(shell nproc 2>/dev/null)),-exec 'env GOMAXPROCS=1')
UNIT := ./api/... ./oci/... ./gate/... ./ksmflags/... ./shardpods/... ./scaling/... ./sizing/... ./nodes/... \
	./loads/... ./completeness/... ./telemetry/... ./plans/... ./plugin/... ./adapter/... ./controller/... ./cmd/... ./config/... \
	./test/changes/... ./test/churn/... ./test/cluster/... ./test/docs/... ./test/installation/... ./test/panels/... \
	./test/performance/... ./test/prometheus/server/... ./test/replica/... ./test/rights/... ./test/sizing/... ./test/specs/... \
	./test/vulncheck/... ./test/walk/...

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Run

.PHONY: demo
demo: build kube ## Run the main job: a KSMScale follows the nodes of a real local cluster, and draw it (one to three minutes).
	go run ./test/demo --record bin/demo/walk.json
	@cd test/pictures && go run ./walk $(CURDIR)/bin/demo/walk.json

.PHONY: lab
lab: root node-packages build e2e-images node ## Open a shell in a real cluster of two nodes with KSMScale, Prometheus and 2,000 fake pods, as root on Linux.
# Not `go run`, which ends with an error after Ctrl-C.
	@go build -o bin/lab ./test/lab && bin/lab

# The first builds take long, so this comes before them.
.PHONY: root
root:
	@[ "$$(id -u)" = 0 ] || { echo "Real nodes need root: sudo --preserve-env=PATH,HOME make $(MAKECMDGOALS)"; exit 1; }

.PHONY: lab-test
lab-test: root node-packages build e2e-images node ## Test the lab: commands from its input, and its end (4 minutes).
	@go build -o bin/lab ./test/lab
	go test -v -count=1 -timeout 20m ./test/lab

.PHONY: up
up: build kube ## Start a local cluster without KSMScale, and print how to use it.
	go run ./test/cluster/local up

.PHONY: play
play: build kube ## Start that cluster, if it does not run, and KSMScale on it until you press Ctrl-C.
# Not `go run`, which ends with an error after Ctrl-C.
	@go build -o bin/local ./test/cluster/local && bin/local run

.PHONY: nodes
nodes: ## Set the number of fake nodes of that cluster, as in `make nodes N=90`.
	@go run ./test/cluster/local nodes $(or $(N),$(error Set the number of nodes: make nodes N=90))

.PHONY: down
down: ## Stop the local cluster of `make play` and `make up`.
	go run ./test/cluster/local down

.PHONY: build
build: ## Build adapter, controller, gate and the kubectl plugin into bin/.
	@echo "Building adapter, controller, gate and the kubectl plugin into bin/ ..."
	@$(BUILD) -ldflags "-s -w -X github.com/example/ksmscale/version.Version=$(VERSION)" -o bin/ ./cmd/...

##@ Test

.PHONY: test
test: unit rules integration ## Run all tests but the benchmarks.

.PHONY: unit
unit: ## Run the unit tests: no binaries, no cluster.
	go test $(UNIT) ./test/e2e/audit/...
	cd test/e2e/kind && go test .
	cd test/ksmflags && go test .
# Go does not see when the chart or the dashboard changes, which is in another module.
	cd test/chart && go test -count=1 .
	cd test/pictures && go test -count=1 ./...
# Nor when what is released changes.
	cd release && go test -count=1 -timeout 30m ./...

# What service accounts asked of the local clusters of `make integration` and `make e2e`.
RIGHTS := $(CURDIR)/bin/rights

.PHONY: rights
rights: ## Compare granted rights with the requests of `make integration` and `make e2e`, after both.
	go run ./test/rights --suites=integration,e2e $(RIGHTS)/integration $(RIGHTS)/chart $(RIGHTS)/e2e

.PHONY: rules
rules: prometheus-package ## Test rules and configuration of Prometheus, with a real one (a minute).
	promtool check rules $(RULES)/rules.yaml $(RULES)/deduplicate.yaml $(RULES)/recommendations.yaml
	promtool test rules test/prometheus/rules_test.yaml
	go test -count=1 -parallel 4 ./test/prometheus

.PHONY: prometheus-package
prometheus-package: ## Install the Debian package of Prometheus, or say that it is missing.
	@if command -v prometheus >/dev/null && command -v promtool >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "Prometheus and promtool are missing. As root on Debian run: apt-get install prometheus"; exit 1; fi; \
	apt-get update && apt-get install --yes --no-install-recommends prometheus

.PHONY: integration
integration: build kube bin/kube-state-metrics-v2.20.0 bin/test-adapter cert-manager ## Run the integration tests on a real local control plane.
	rm -rf $(RIGHTS)/integration $(RIGHTS)/chart
	go test -c -o bin/integration.test ./test/integration
# Most of the time the tests wait for the control plane, so two halves run at the same time, each on a control plane of its own.
	@RIGHTS=$(RIGHTS)/integration test/integration/halves.sh $(CURDIR)/bin/integration.test
	cd test/chart && RIGHTS=$(RIGHTS)/chart go test $(ONE_THREAD) -count=1 -timeout 20m ./integration
	go run ./test/rights --suites=integration $(RIGHTS)/integration $(RIGHTS)/chart

.PHONY: e2e
e2e: e2e-images node prometheus-package ## Run the end-to-end tests on two real nodes of a local cluster, as root, or on KUBECONFIG's.
	rm -rf $(RIGHTS)/e2e
# TestChaos injects the same faults each time, so that two runs can be compared. `make chaos` draws other ones.
	CHAOS_SEED=$(or $(CHAOS_SEED),1795766540229394570) RIGHTS=$(RIGHTS)/e2e go test $(ONE_THREAD) -v -count=1 -parallel 4 -timeout 60m -skip '^TestSizes' ./test/e2e
# The cluster of KUBECONFIG has no audit log.
	$(if $(KUBECONFIG),,go run ./test/rights --suites=e2e $(RIGHTS)/e2e)

# How long faults are injected, and a seed that repeats those of an earlier run.
CHAOS_DURATION ?= 10m
CHAOS_SEED ?=

.PHONY: chaos
chaos: e2e-images node prometheus-package ## Inject faults at random for CHAOS_DURATION, under the audit of the metrics, as root; CHAOS_SEED repeats a run.
	CHAOS_DURATION=$(CHAOS_DURATION) CHAOS_SEED=$(CHAOS_SEED) go test $(ONE_THREAD) -v -count=1 -timeout 90m -run '^TestChaos$$' ./test/e2e

# A regular expression of the rows of docs/coverage.md to measure; the others stay as they are.
ROWS ?=

.PHONY: e2e-full
e2e-full: e2e-images kube-state-metrics node ## Run all events of the end-to-end tests at both speeds, and the baselines, and write docs/coverage.md (hours).
	E2E_FULL=1 go test $(ONE_THREAD) -v -count=1 -timeout 12h -run 'TestCoverage/$(ROWS)' ./test/e2e

.PHONY: e2e-sizes
e2e-sizes: e2e-images kube-state-metrics node ## Let sizes follow a cluster from 2,000 to 20,000 pods and back, with a row in docs/coverage.md, and start on 20,000 pods (half an hour).
	E2E_SIZES=1 go test $(ONE_THREAD) -v -count=1 -timeout 2h -run '^TestSizes' ./test/e2e

.PHONY: e2e-images
e2e-images: release-images kube bin/kube-state-metrics-v2.18.0 bin/kube-state-metrics-v2.20.0 prometheus-operator
	go build -ldflags "-s -w" -o bin/ ./test/e2e/auditor

.PHONY: plain-families
plain-families: e2e-images node ## Read off which families plain objects have, into gate/exposition/plain.txt (5 minutes).
	go test $(ONE_THREAD) -v -count=1 -timeout 20m -run TestFamiliesOfPlainObjects ./test/e2e -update-families

.PHONY: dashboard-run
dashboard-run: e2e-images node prometheus-package ## Save what the Grafana dashboard shows of an end-to-end test, for its picture; then run `make generate` (15 minutes).
	go test $(ONE_THREAD) -v -count=1 -timeout 30m -run '^TestPrometheus$$' ./test/e2e -update-dashboard

KIND := go tool -modfile=test/e2e/kind/go.mod kind
KIND_CLUSTER := ksmscale-e2e

.PHONY: kind-e2e
kind-e2e: e2e-images ## Run the end-to-end tests on a kind cluster, which needs Docker.
	rm -rf bin/images && go run ./test/e2e/images bin/images
	$(KIND) create cluster --name $(KIND_CLUSTER) --config test/e2e/kind/kind.yaml --kubeconfig bin/kind.kubeconfig --wait 5m
	trap '$(KIND) delete cluster --name $(KIND_CLUSTER)' EXIT; \
	for file in bin/images/*.tar; do $(KIND) load image-archive $$file --name $(KIND_CLUSTER) || exit 1; done; \
	KUBECONFIG=$(CURDIR)/bin/kind.kubeconfig go test -v -count=1 -parallel 4 -timeout 60m -skip '^TestSizes' ./test/e2e

COMPATIBILITY := test/compatibility/kube-state-metrics
COMPATIBLE := $(patsubst $(COMPATIBILITY)/%,bin/compatibility/kube-state-metrics-%,$(wildcard $(COMPATIBILITY)/v*))

.PHONY: compatibility
compatibility: build kube kube-state-metrics $(COMPATIBLE) ## Run all supported versions of Kubernetes and kube-state-metrics, of docs/supported-versions.md (half an hour).
	go test $(ONE_THREAD) -v -count=1 -timeout 60m ./test/compatibility
	cd test/chart && COMPATIBILITY_FULL=1 go test -v -count=1 -run TestManifestsAreValidForEachKubernetes .

bin/compatibility/kube-state-metrics-%: $(COMPATIBILITY)/%/go.mod $(COMPATIBILITY)/%/go.sum
	@mkdir -p $(@D)
	cd $(COMPATIBILITY)/$* && go build -ldflags "-s -w -X github.com/prometheus/common/version.Version=$*" -o $(CURDIR)/$@ k8s.io/kube-state-metrics/v2

# The packages of the product that have goroutines.
CONCURRENT := ./gate/... ./shardpods/... ./nodes/... ./loads/... ./telemetry/... ./plans/... ./adapter/... ./controller/... ./plugin/... ./test/e2e/audit/...

.PHONY: race
race: c-compiler ## Run the unit tests of packages with goroutines under the race detector.
	CGO_ENABLED=1 go test -race $(CONCURRENT)

# How long each fuzz target runs.
FUZZTIME ?= 1m

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME, by default a minute.
	@for file in $$(git grep -l '^func Fuzz' -- '*_test.go'); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' $$file); do echo "Fuzzing $$target of $$(dirname $$file)"; \
			(cd $$(dirname $$file) && go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s .) || exit 1; done; done

.PHONY: bench
bench: ## Run the benchmarks: plans and metric requests from 100 to 15,000 nodes, how long the gate takes to open, and what its measurements cost (15 minutes).
	@mkdir -p bin
	go test -run '^$$' -bench . -benchmem -count 6 ./scaling/... ./adapter/... ./gate/... | tee bin/bench.txt
	$(TOOL) benchstat bin/bench.txt

# Which sizes to measure, for example: make performance SIZES='--nodes=1000 --ksmscales=20'
SIZES ?=

.PHONY: performance
performance: build kube bin/test-adapter ## Measure what adapter and controller cost with 100 to 15,000 nodes and 1 to 200 KSMScales, what a replica costs the API server, and write docs/performance.md; then run `make generate` for its picture (an hour).
	go build -ldflags "-s -w" -o bin/performance-informer ./test/performance/informer
	go run ./test/performance $(SIZES)
	@$(MAKE) --no-print-directory performance-replica

.PHONY: performance-replica
performance-replica: build kube bin/kube-state-metrics-v2.20.0 ## Measure what one replica of a shard costs the API server with 20,000 pods, for docs/performance.md (a quarter of an hour).
	go run ./test/performance replica

.PHONY: sizing
sizing: build kube kube-state-metrics ## Measure memory and CPU time of shards with 2,000 to 20,000 pods, and compare them with what is recommended, for docs/sizing.md (10 minutes).
	go run ./test/sizing

.PHONY: sizing-series
sizing-series: build kube kube-state-metrics ## Count the series of one object of each resource, for package sizing (2 minutes).
	go run ./test/sizing series

##@ Release

RELEASE := cd release && go run .
NAMES := --version $(VERSION) --registry $(REGISTRY)
DIST := $(CURDIR)/dist
# Files of a private key to sign with, and of its public key to verify with; COSIGN_PASSWORD has the password.
KEY ?=
PUBLIC_KEY ?=

.PHONY: release
release: ## Write a release into dist/, for example: make release VERSION=v0.2.0 KEY=cosign.key
	$(RELEASE) build $(NAMES) --output $(DIST) $(CURDIR)
	$(if $(KEY),$(RELEASE) sign --key $(abspath $(KEY)) $(DIST))

.PHONY: release-verify
release-verify: ## Verify the files in dist/, and their signature with PUBLIC_KEY=cosign.pub.
	$(RELEASE) verify $(if $(PUBLIC_KEY),--key $(abspath $(PUBLIC_KEY))) $(DIST)

.PHONY: publish
publish: ## Push images and chart of dist/ to the registry that they name, with signatures by KEY.
	$(RELEASE) publish $(if $(KEY),--key $(abspath $(KEY))) $(DIST)

.PHONY: release-images
release-images: ## Write the images of a release for this machine, and the manifest that installs them, into bin/release.
	$(RELEASE) images $(NAMES) --output $(CURDIR)/bin/release $(CURDIR)

.PHONY: reproducible
reproducible: ## Build a release twice, the second time in another folder without any cache, and compare (a quarter of an hour).
	cd release && RELEASE_FULL=1 go test -v -count=1 -timeout 60m -run TestRelease ./dist

##@ Check

# Modules with Go code of ours; those of test/cluster/binaries would have the linters load all of Kubernetes. The program is
# golangci-lint with one linter more, which checks api/ for the conventions of Kubernetes.
LINTED := . test/chart test/pictures test/e2e/kind test/ksmflags release

.PHONY: lint
lint: ## Run the linters, also those of prose.
	@for module in $(LINTED); do echo "Linting $$module"; \
		(cd $$module && go tool -modfile=$(CURDIR)/go.tools.mod golangci-lint-kube-api-linter run) || exit 1; done
	go tool -modfile=release/validators/go.mod actionlint
	@$(MAKE) --no-print-directory prose

PROSE := README.md $(wildcard docs/*.md docs/*/*.md) deploy/chart/README.md

.PHONY: prose
prose: c-compiler ## Check the English of pages and of Go comments, with vale (its build takes 2 minutes, once).
	@CGO_ENABLED=1 go tool -modfile=go.prose.mod vale --output=line $(PROSE) $$(git ls-files '*.go' ':!*_test.go' ':!*zz_generated*')

.PHONY: c-compiler
c-compiler: ## Install a C compiler on Debian, or say that it is missing.
	@if command -v $$(go env CC) >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "A C compiler is missing. As root on Debian run: apt-get install gcc libc6-dev"; exit 1; fi; \
	apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev

# The database of known vulnerabilities as it was on a day, so that a check can be repeated. To raise it, write the version that
# `go list -m golang.org/x/vulndb@latest` prints.
VULNDB_VERSION := v0.0.0-20261105234957-e22db6528018
VULNDB := bin/vulndb-$(VULNDB_VERSION)
SCANNED := bin/scanned

# A program has its own symbols only, so this also sees that what is vulnerable in a module is not linked. It needs them: without
# -s -w. Not scanned are the programs of others that tests run (test/cluster/binaries, cert-manager's): they are as released.
.PHONY: vulncheck
vulncheck: $(VULNDB)/index/db.json ## Look for known vulnerabilities in our programs, and compare them with vulnerabilities.txt.
	rm -rf $(SCANNED)
	go build -o $(SCANNED)/ ./cmd/...
	cd test/chart && go test -c -o $(CURDIR)/$(SCANNED)/chart.test .
	cd release && go build -o $(CURDIR)/$(SCANNED)/release .
	cd test/e2e/kind && go test -c -o $(CURDIR)/$(SCANNED)/kind.test .
	for program in $(SCANNED)/*; do \
		$(TOOL) govulncheck -mode binary -format json -db file://$(CURDIR)/$(VULNDB) $$program || exit 1; \
	done | go run ./test/vulncheck vulnerabilities.txt

$(VULNDB)/index/db.json:
	rm -rf $(VULNDB) $(VULNDB).partial
	module=$$(go mod download -json golang.org/x/vulndb@$(VULNDB_VERSION) | sed -n 's/.*"Dir": "\(.*\)".*/\1/p') && \
	cd "$$module" && go run ./cmd/indexdb -vulns data/osv -out $(CURDIR)/$(VULNDB).partial
	mv $(VULNDB).partial $(VULNDB)

.PHONY: generate
generate: ## Generate deep copies, the CustomResourceDefinition, its reference in docs/api.md, RBAC, the install manifest, the Grafana dashboard and its picture, and the chart's copies.
	$(TOOL) controller-gen object paths=./api/...
	$(TOOL) controller-gen crd paths=./api/... output:crd:dir=config/crd
	$(TOOL) controller-gen rbac:roleName=ksmscale-controller paths=./controller/... output:rbac:dir=config/rbac
	$(RELEASE) names $(NAMES) $(CURDIR)
	$(TOOL) kustomize build config/default > deploy/install.yaml
	$(TOOL) crd-ref-docs --source-path=./api --config=.crd-ref-docs.yaml --renderer=markdown --output-path=docs/api.md --log-level=ERROR
	@$(MAKE) --no-print-directory generate-rules

# The families of metrics are those of the newest kube-state-metrics that is tested, as its documentation lists them.
KSM_NEWEST = $(KSM_MODULES)/$(lastword $(sort $(KSM_VERSIONS)))
RULES := deploy/prometheus

.PHONY: generate-rules
generate-rules:
	@{ echo '# Generated from rules.yaml, for the Prometheus Operator.'; \
	printf '%s\n' 'apiVersion: monitoring.coreos.com/v1' 'kind: PrometheusRule' 'metadata:' '  name: ksmscale' '  namespace: ksmscale-system' 'spec:'; \
	sed -e '/^#/d' -e 's/^./  &/' $(RULES)/rules.yaml; } > $(RULES)/prometheusrule.yaml
	@source=$$(cd $(KSM_NEWEST) && go mod download k8s.io/kube-state-metrics/v2 && go list -m -f '{{.Dir}}' k8s.io/kube-state-metrics/v2); \
	{ echo '# Generated: one rule for each family of $(notdir $(KSM_NEWEST)), for the job of every-pod.yaml.'; \
	printf '%s\n' 'groups:' '  - name: ksmscale.deduplicate' '    rules:'; \
	grep -rhoE '^\| *kube_[a-z0-9_]+' "$$source/docs/metrics" | tr -d '| ' | sort -u | \
	sed 's/.*/      - record: &\n        expr: max without (instance, ksm_pod) (replica:&)/'; } > $(RULES)/deduplicate.yaml
	@{ echo '# $(sort $(KSM_VERSIONS))'; \
	for version in $(KSM_VERSIONS); do (cd $(KSM_MODULES)/$$version && go mod download k8s.io/kube-state-metrics/v2 && \
	grep -rhE '^\| *kube_[a-z0-9_]+' "$$(go list -m -f '{{.Dir}}' k8s.io/kube-state-metrics/v2)/docs") || exit 1; done | \
	awk -F '[| ]+' '{ print $$2 (tolower($$0) ~ /opt-in/ ? " opt-in" : "") }' | sort -u; } > gate/exposition/families.txt
# A module of a newer kube-state-metrics takes the command over from the one before.
	@mkdir -p gate/sharding/testdata
	@{ echo '# Generated by the package sharding of $(notdir $(KSM_NEWEST)): UIDs, and the shard that exports each of 1 to 10 shards.'; \
	cd $(KSM_NEWEST) && go run ./shards; } > gate/sharding/testdata/shards.csv
	$(TOOL) kustomize build config/chart/crd > deploy/chart/files/crd.yaml
	$(TOOL) kustomize build config/chart/rbac > deploy/chart/files/rbac.yaml
	sed -e '/^#/d' deploy/rbac/object-counts.yaml > deploy/chart/files/object-counts.yaml
	sed -e '/^#/d' $(RULES)/rules.yaml > deploy/chart/files/rules.yaml
# The groups of these files come after those of rules.yaml.
	@for file in deduplicate recommendations; do sed -e '/^#/d' -e '/^groups:$$/d' $(RULES)/$$file.yaml > deploy/chart/files/$$file.yaml || exit 1; done
	cd test/pictures && go run ./dashboard && go run ./run && go run ./growth
	cd test/chart && go run ./table

.PHONY: verify
verify: generate ## Check that what is generated and formatted is up to date.
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "Run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	go mod tidy -diff
	@changes=$$(git status --porcelain); if [ -n "$$changes" ]; then \
		echo "Not up to date; run 'make generate' and commit:"; echo "$$changes"; git diff; exit 1; fi

##@ Local Kubernetes

.PHONY: kube
kube: bin/kube bin/kubectl ## Build the local Kubernetes, once (from 7 minutes on 2 cores).

VERSION_PACKAGES := k8s.io/component-base/version k8s.io/client-go/pkg/version
KUBE_LDFLAGS := -s -w $(foreach p,$(VERSION_PACKAGES),-X $(p).gitVersion=$(KUBERNETES_VERSION) -X $(p).gitMajor=1 -X $(p).gitMinor=37)

bin/kube: test/cluster/binaries/go.mod test/cluster/binaries/go.sum $(wildcard test/cluster/binaries/kube/*.go)
	@echo "Building Kubernetes $(KUBERNETES_VERSION), etcd and KWOK into $@; from nothing this takes 7 minutes on 2 fast cores, and much longer on slow ones ..."
	@mkdir -p bin
	@cd test/cluster/binaries && $(BUILD) -ldflags "$(KUBE_LDFLAGS)" -o $(CURDIR)/$@ ./kube

bin/kubectl: | bin/kube
	ln -sf kube $@

# Another server of external metrics, for tests with KSMScale's in front of it.
bin/test-adapter: go.mod go.sum $(wildcard test/testadapter/*.go)
	go build -ldflags "-s -w" -o $@ ./test/testadapter

# In the module of the chart's tests, so that its version is that of the types that these install.
.PHONY: cert-manager
cert-manager: bin/cert-manager ## Build what tests need of cert-manager, once (from 1 minute on 2 cores).

bin/cert-manager: test/chart/go.mod test/chart/go.sum $(wildcard test/chart/certmanager/*.go)
	@mkdir -p bin
	@echo "Building cert-manager into $@ ..."
	@cd test/chart && $(BUILD) -ldflags "-s -w" -o $(CURDIR)/$@ ./certmanager

.PHONY: node
node: bin/node bin/pause node-packages ## Build what real nodes run, once (from 3 minutes on 2 cores).

bin/node: test/cluster/binaries/go.mod test/cluster/binaries/go.sum $(wildcard test/cluster/binaries/node/*.go)
	@echo "Building kubelet and kube-proxy $(KUBERNETES_VERSION) into $@; this takes minutes, and much longer on slow machines ..."
	@mkdir -p bin
	@cd test/cluster/binaries && $(BUILD) -ldflags "$(KUBE_LDFLAGS)" -o $(CURDIR)/$@ ./node

bin/pause: $(wildcard test/cluster/binaries/pause/*.go)
	@mkdir -p bin
	cd test/cluster/binaries && go build -ldflags "-s -w" -o $(CURDIR)/$@ ./pause

NODE_PACKAGES := containerd runc containernetworking-plugins iptables iproute2

.PHONY: node-packages
node-packages: ## Install the Debian packages that real nodes need, or say which programs are missing.
	@missing=; for program in containerd ctr runc iptables ip; do \
		PATH=$$PATH:/usr/sbin:/sbin command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	[ -e /usr/lib/cni/bridge ] || [ -e /opt/cni/bin/bridge ] || missing="$$missing CNI-plugins"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "Real nodes need these, which are missing:$$missing. As root on Debian run: apt-get install $(NODE_PACKAGES)"; exit 1; fi; \
	apt-get update && apt-get install --yes --no-install-recommends $(NODE_PACKAGES)

KSM_MODULES := test/cluster/binaries/kube-state-metrics
KSM_VERSIONS := $(notdir $(wildcard $(KSM_MODULES)/v*))

.PHONY: kube-state-metrics
kube-state-metrics: $(KSM_VERSIONS:%=bin/kube-state-metrics-%) ## Build the versions of kube-state-metrics that tests run, once.

bin/kube-state-metrics-%: $(KSM_MODULES)/%/go.mod $(KSM_MODULES)/%/go.sum
	@mkdir -p bin
	@echo "Building kube-state-metrics $* into $@ ..."
	@cd $(KSM_MODULES)/$* && $(BUILD) -ldflags "-s -w -X github.com/prometheus/common/version.Version=$*" -o $(CURDIR)/$@ k8s.io/kube-state-metrics/v2

# What the Prometheus Operator is made of: itself, and what its pods run. One module has all, so that they share what is
# compiled; Prometheus finds no targets but those of Kubernetes, and has no pages.
OPERATOR_MODULE := test/cluster/binaries/prometheus-operator
OPERATOR_SOURCE := github.com/prometheus-operator/prometheus-operator/cmd
OPERATOR_BINARIES := bin/prometheus-operator bin/prometheus-config-reloader bin/prometheus

.PHONY: prometheus-operator
prometheus-operator: $(OPERATOR_BINARIES) ## Build the Prometheus Operator and a Prometheus for it, once (3 minutes on 2 cores).

bin/prometheus-operator: PACKAGE := $(OPERATOR_SOURCE)/operator
bin/prometheus-config-reloader: PACKAGE := $(OPERATOR_SOURCE)/prometheus-config-reloader
bin/prometheus: PACKAGE := github.com/prometheus/prometheus/cmd/prometheus

$(OPERATOR_BINARIES): $(OPERATOR_MODULE)/go.mod $(OPERATOR_MODULE)/go.sum
	@mkdir -p bin
	@echo "Building $(notdir $(PACKAGE)) into $@ ..."
	@cd $(OPERATOR_MODULE) && $(BUILD) -tags remove_all_sd,enable_kubernetes_sd -ldflags "-s -w" -o $(CURDIR)/$@ $(PACKAGE)
