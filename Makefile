# make demo    build everything, train on the sample, index it, serve it
# make test    everything that must hold: format, lints, tests of Rust, of the page, in a browser
# Other targets are the parts of these two.

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
PORT ?= 8080
# Where the libraries are that bench-peers compares with.
VENV ?= bench/peers/.venv
# The browser's tests need one; Debian's is looked for first.
CHROMIUM ?= $(or $(firstword $(wildcard /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome)),/usr/bin/chromium)

# Lints and tests take everything that can be compiled in, and the same features: a second set would compile
# most dependencies again, since their macros differ in features too. Documentation takes the default ones,
# and so checks them.
FEATURES := --features wgpu
# Where Vulkan's loader looks for drivers, besides these two variables.
VULKAN_DRIVERS = $(VK_DRIVER_FILES)$(VK_ICD_FILENAMES)$(wildcard $(addsuffix /vulkan/icd.d/*.json,/usr/share /usr/local/share /etc $(HOME)/.local/share))

.PHONY: demo test build page need-cargo need-node need-chromium need-vulkan lint docs test-rust test-page test-browser clean-demo bench bench-peers bench-serve

demo: build page
	$(TARGET)/release/sae demo --port $(PORT)

build: need-cargo
	$(CARGO) build --release --locked

page: web/dist/index.html

web/dist/index.html: web/node_modules/.package-lock.json $(shell find web/src web/public web/index.html web/vite.config.ts -type f)
	cd web && npm run build
	@touch $@

web/node_modules/.package-lock.json: web/package-lock.json | need-node
	cd web && npm ci --no-audit --no-fund
	@touch $@

test: lint test-rust test-page test-browser
	@echo "everything passed"

lint: need-cargo web/node_modules/.package-lock.json
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked $(FEATURES) -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
	cd web && npm run lint

test-rust: need-cargo need-vulkan
	$(CARGO) test --workspace --locked $(FEATURES)

test-page: web/node_modules/.package-lock.json
	cd web && npm test

# The real server on an index of the sample, on a free port.
# `cargo test` builds the binary too; `cargo build` would compile half of the dependencies again, with
# fewer features.
test-browser: need-cargo need-chromium page
	$(CARGO) test --workspace --locked $(FEATURES) --no-run
	CHROMIUM=$(CHROMIUM) web/test-browser.sh $(TARGET)/debug/sae

# Both write bench/runs/DATE-MACHINE: bench/README.md. Nothing else should run meanwhile.
bench: need-cargo
	python3 bench/run.py

bench-peers: need-cargo $(VENV)
	$(VENV)/bin/python bench/peers/run.py --check

bench-serve: need-cargo
	python3 bench/serve.py

bench/peers/.venv: bench/peers/requirements.txt
	python3 -m venv $@
	$@/bin/pip install --quiet --requirement $< || { rm -rf $@; exit 1; }
	@touch $@

clean-demo:
	rm -rf runs/demo

need-cargo:
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: install it from https://rustup.rs"; exit 1; }

need-node:
	@command -v npm >/dev/null || { echo "Node.js is missing: install version 20.19 or newer, from https://nodejs.org"; exit 1; }

need-chromium:
	@test -x $(CHROMIUM) || { echo "Chromium is missing: apt-get install chromium, or CHROMIUM=/path/to/chrome make test"; exit 1; }

need-vulkan:
	@test "$$(uname)" = Darwin || test -n "$(VULKAN_DRIVERS)" || { echo "A Vulkan driver is missing: apt-get install mesa-vulkan-drivers (one in software), or install that of the GPU"; exit 1; }
